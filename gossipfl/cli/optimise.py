"""topology optimise: the weights with which a graph averages fastest; must not know how they are found."""

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
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; the suffix names the format.")],
    rule: Annotated[
        Literal["fdla", "fastest-mixing"],
        typer.Option("--rule", help="fdla: the fastest; fastest-mixing: the fastest of those not below 0."),
    ] = "fdla",
    seed: Seed = 0,
    format: As = "text",
) -> None:
    """Find the weights with which a graph averages fastest, and write them to a topology file.

    An experiment uses them with topology.weights = "file". Needs the extra weights (cvxpy and SCS).
    """
    if file.exists():
        raise BadExperiment(f"{file} exists already: give another name, or remove it")
    if file.suffix in WEIGHTLESS:
        raise BadExperiment(f"{file}: a {file.suffix} file holds no weights; use .json, .toml or .graphml")
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
        span = f", its weights from {told['weight_min']:.3g} to {told['weight_max']:.3g}"
    next_ = f"Next: gossipfl simulate FILE -s topology.graph={file.absolute()} -s topology.weights=file"
    say(format, told, *table(found), f"wrote {file}{span}", next_)
