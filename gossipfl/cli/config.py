"""config check and config schema; must not know what the keys mean."""

import typer

from gossipfl.cli.options import As, File, Set
from gossipfl.cli.say import say

app = typer.Typer(help="Check experiment files.", no_args_is_help=True)


@app.command(
    epilog="""\b
Examples:
  gossipfl config check demo.toml
  gossipfl config check demo.toml -s algorithm.kind=d2"""
)
def check(file: File, set: Set = None, format: As = "text") -> None:
    """Check an experiment file: print its main settings, or every error in it.

    Reads the topology, but not the data (use gossipfl data describe for that).
    """
    from gossipfl.config.file import load

    experiment = load(file, set or ())
    from gossipfl.experiment.study.make import study
    from gossipfl.report.tables import plain

    made = study(experiment)
    e = experiment
    stop = f"after {e.stop.rounds} rounds at most" + (
        f", or at tolerance {e.stop.tolerance:g}" if e.stop.tolerance else ""
    )
    rows = [
        ("data", f"{e.data.source}, standardised: {e.data.standardise}"),
        ("topology", f"{e.topology.graph}, {len(made.names)} peers, {e.topology.weights} weights"),
        ("model", f"{e.model.kind}, l2 = {e.model.l2}, l1 = {e.model.l1}"),
        ("algorithm", f"{e.algorithm.kind}, step {e.algorithm.step}, batch {e.algorithm.batch}"),
        ("stop", stop),
    ]
    told = {"ok": True, "peers": len(made.names), "experiment": e.model_dump(mode="json")}
    say(format, told, f"ok: {file}", plain((e.name, ""), rows))


@app.command(epilog="\b\nExample:\n  gossipfl config schema > experiment.schema.json")
def schema(format: As = "json") -> None:
    """Print the JSON Schema of experiment files: every key and its meaning.

    Editors use it to complete and check such files.
    """
    import json

    from gossipfl.config.file import schema

    if format == "json":
        say("json", schema())
    else:
        typer.echo(json.dumps(schema(), indent=2))
