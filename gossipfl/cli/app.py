"""The tree of commands; must not know what a command does."""

from typing import Annotated

import typer

from gossipfl.cli import (
    algorithms,
    built_in,
    chaos,
    config,
    data,
    first,
    keys,
    learn,
    metrics,
    optimise,
    peer,
    predict,
    privacy,
    results,
    study,
    sweep,
    topology,
)

app = typer.Typer(
    name="gossipfl",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gossipfl {version('gossipfl')}")
        raise typer.Exit


@app.callback(
    epilog="""\b
Start with:
  gossipfl demo

\b
Exit codes: 0 done, 2 usage, 3 configuration, 4 data, 5 network,
            6 diverged or did not converge, 7 could not write or print all,
            130 interrupted."""
)
def gossipfl(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train one linear model on data that many peers hold, without a server.

    Peers exchange messages with their neighbours only. Data files stay where they are, but neighbours can
    rebuild rows from the messages, unless sums are secure: gossipfl peer says at its start whether they are.
    """


app.command(epilog=learn.DEMO)(learn.demo)
app.command(epilog=learn.RUN)(learn.run)
app.command(epilog=learn.SIMULATE)(learn.simulate)
app.command(epilog=first.EXAMPLES)(first.init)
app.command(epilog=predict.PREDICT)(predict.predict)
app.command(epilog=predict.EXPORT)(predict.export)
app.command(epilog=sweep.EXAMPLES)(sweep.sweep)
app.command(epilog=chaos.EXAMPLES)(chaos.chaos)
app.command(epilog=metrics.EXAMPLES)(metrics.metrics)
app.command(epilog=algorithms.EXAMPLES)(algorithms.algorithms)
app.command(epilog=built_in.EXAMPLES)(built_in.examples)
app.add_typer(config.app, name="config")
app.add_typer(data.app, name="data")
app.add_typer(keys.app, name="keys")
app.add_typer(peer.app, name="peer")
topology.app.command(epilog=optimise.EXAMPLES)(optimise.optimise)
app.add_typer(topology.app, name="topology")
app.add_typer(privacy.app, name="privacy")
app.add_typer(results.app, name="results")
app.add_typer(study.app, name="study")
