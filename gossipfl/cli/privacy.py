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
Examples:
  gossipfl privacy plan study.toml
  gossipfl privacy plan study.toml --rows 3700 --parameters 58
  gossipfl privacy plan study.toml --rows 740 --parameters 14 -s privacy.epsilon=0.5"""
)
def plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The experiment, a TOML file.")],
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows", metavar="N", min=1, help="Training rows of all peers, about. Default: read the data."
        ),
    ] = None,
    parameters: Annotated[
        int | None,
        typer.Option("--parameters", metavar="D", min=1, help="Of the model. Default: read the data."),
    ] = None,
    set: Set = None,
    format: As = "text",
) -> None:
    """Show the noise of private sums beside what they carry, before anything runs.

    The mean of all gradients has at most the norm `privacy.clip`. Where its noise has a norm like that, little can be
    learned: take more rows, fewer parameters, a larger epsilon or fewer colluders. Without --rows and --parameters the data
    of all peers are read here, and nothing is sent.
    """
    from gossipfl.config.file import load
    from gossipfl.experiment.learning.check import look
    from gossipfl.experiment.study.make import study
    from gossipfl.experiment.study.method import asked

    made = study(load(file, set or ()))
    if not made.private:
        raise BadExperiment(f'{file} has no private sums: set privacy.sums = "private" and privacy.epsilon')
    if rows and parameters:
        kind, wanted = asked(made, parameters)
    else:
        seen = look(made)
        if seen.refusal or not seen.prepared:
            raise seen.refusal or BadExperiment(
                f"{file}: the rows cannot be prepared; give --rows and --parameters"
            )
        kind, wanted = asked(made, parameters or seen.prepared.problem.width)
        rows = rows or sum(len(part.y) for part in seen.prepared.train)
    promise = made.promise
    found = promise.plan(rows, wanted)
    say(
        format,
        promise._asdict() | found | {"algorithm": kind, "rows": rows},
        f"epsilon = {promise.epsilon:g} at delta = {promise.delta:g}, though {promise.colluders} of {promise.peers} peers "
        f"collude (mu = {promise.mu:.3g})",
        f"{kind}: {wanted.sums} sums of {wanted.numbers:,} numbers, and one of the number of rows, which has noise of "
        f"deviation {found['rows_noise']:.2g}"
        + (", and one for means and deviations" if promise.standardises else ""),
        f"each number of a total has noise of deviation {found['noise']:.3g}",
        f"the mean over {rows:,} rows: norm {wanted.norm:.3g} at most, and noise of norm {found['relative']:.2g}"
        + (f"; of {found['together']:.2g} in all sums together" if wanted.sums > 1 else ""),
    )
