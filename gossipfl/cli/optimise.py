"""topology optimise: finds the weights with which a graph averages fastest; must not know the solver."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gossipfl.cli.options import As, Seed, Spec
from gossipfl.cli.say import say
from gossipfl.errors import BadExperiment

EXAMPLES = """\b
Examples:
  gossipfl topology optimise er:32:0.2 fast.json
  gossipfl topology optimise offices.toml fast.toml --rule fastest-mixing"""
WEIGHTLESS = (".adj", ".g6")


def optimise(
    spec: Spec,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write. Its suffix chooses the format.")
    ],
    rule: Annotated[
        Literal["fdla", "fastest-mixing"],
        typer.Option("--rule", help="fdla: the fastest weights; fastest-mixing: the fastest weights >= 0."),
    ] = "fdla",
    seed: Seed = 0,
    format: As = "text",
) -> None:
    """Find the weights with which a graph averages fastest.

    Writes them to a topology file. To use them, set topology.weights = "file" in the experiment. Needs cvxpy
    and SCS: pip install "gossipfl[weights]".
    """
    if file.exists():
        raise BadExperiment(f"{file} exists already: choose another name, or remove the file")
    if file.suffix in WEIGHTLESS:
        raise BadExperiment(f"{file}: a {file.suffix} file cannot hold weights; use .json, .toml or .graphml")
    from dataclasses import asdict

    from gossipfl.report.topology import table
    from gossipfl.topology import WEIGHTS, describe, load, write

    graph = load(spec, seed)
    links = WEIGHTS[rule](graph)
    peers = list(graph)
    ends = zip(links.receivers.tolist(), links.senders.tolist(), links.weights.tolist(), strict=True)
    for i, j, weight in ends:
        graph.edges[peers[i], peers[j]]["weight"] = weight
    write(graph, file)
    found = asdict(describe(graph, ("metropolis", "best-constant", "file")))
    found["name"] = found["name"] or spec
    found["weights"][rule] = found["weights"].pop("file")
    told = found | {"file": str(file), "rule": rule, "weight_min": None, "weight_max": None}
    span = ""
    if len(links.weights):
        told |= {"weight_min": float(links.weights.min()), "weight_max": float(links.weights.max())}
        span = f", with weights from {told['weight_min']:.3g} to {told['weight_max']:.3g}"
    next_ = f"Next: gossipfl simulate FILE -s topology.graph={file.absolute()} -s topology.weights=file"
    say(format, told, *table(found), f"wrote {file}{span}", next_)
