"""privacy plan: what private sums will cost and hide, before anything runs; must not know rows."""

from pathlib import Path
from typing import Annotated

import typer

from gossipfl.cli.options import As, Set
from gossipfl.cli.say import say
from gossipfl.errors import BadExperiment

app = typer.Typer(help="Plan differentially private sums.", no_args_is_help=True)


@app.callback()
def privacy() -> None:
    """Plan differentially private sums."""


@app.command(
    epilog="""\b
Example:
  gossipfl privacy plan study.toml --rows 3700 --parameters 58
  gossipfl privacy plan study.toml --rows 740 --parameters 14 -s privacy.epsilon=0.5"""
)
def plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The experiment, a TOML file.")],
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=1, help="Training rows of all peers, about.")
    ],
    parameters: Annotated[int, typer.Option("--parameters", metavar="D", min=1, help="Of the model.")],
    set: Set = None,
    format: As = "text",
) -> None:
    """Show the noise of private sums beside the gradient that they carry, before anything runs.

    The mean of all gradients has at most the norm `privacy.clip`. Where its noise has a norm like that, little can be
    learned: take more rows, fewer parameters, a larger epsilon or fewer colluders.
    """
    from gossipfl.config.file import load
    from gossipfl.experiment.study.make import study

    made = study(load(file, set or ()))
    if not made.private:
        raise BadExperiment(f'{file} has no private sums: set privacy.sums = "private" and privacy.epsilon')
    found = made.promise.plan(rows, parameters)
    promise = made.promise
    say(
        format,
        promise._asdict() | found,
        f"epsilon = {promise.epsilon:g} at delta = {promise.delta:g}, though {promise.colluders} of {promise.peers} peers "
        f"collude (mu = {promise.mu:.3g})",
        f"{found['sums']:.0f} sums of {parameters:,} numbers, and one of the number of rows, which has noise of deviation "
        f"{found['rows_noise']:.2g}",
        f"each number of a total has noise of deviation {found['noise']:.3g}",
        f"the mean gradient of {rows:,} rows: norm {promise.clip:g} at most, and noise of norm {found['relative']:.2g}",
    )
