"""topology show, make, check and families; must not know graphs beyond their figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gossipfl.cli.options import As, Seed, Spec
from gossipfl.cli.say import say
from gossipfl.errors import BadExperiment

if TYPE_CHECKING:
    import networkx as nx

SHOWN = 500_000  # links above which a graph is not even made

app = typer.Typer(help="Show, make and check graphs of peers and links.", no_args_is_help=True)


@app.command(
    epilog="""\b
Examples:
  gossipfl topology show torus:4x4
  gossipfl topology show topologies/hospitals.toml --plot hospitals.svg
  gossipfl topology show er:32:0.2 --seed 7 --weights metropolis
  gossipfl topology show base:3:12
  gossipfl topology show er:50:0.12 --costs --parameters 31"""
)
def show(
    spec: Spec,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="FILE", help="Also draw the graph: .png, .svg or .pdf. Needs gossipfl[plots]."
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", metavar="RULE", help="Show only this weight rule.")
    ] = None,
    costs: Annotated[
        bool, typer.Option("--costs", help="Also show exchanges and bytes of typical runs.")
    ] = False,
    parameters: Annotated[
        int, typer.Option("--parameters", metavar="D", min=1, help="Of the model, for --costs.")
    ] = 31,
    seed: Seed = 0,
    format: As = "text",
) -> None:
    """Show the figures of a graph, and how fast it averages.

    Prints size, degrees and diameter, and the exchanges of a sum over all peers. For each weight rule: the
    spectral gap, and the rounds after which disagreement falls to a tenth. For a graph whose links change: the
    period, the rounds until all peers hold the exact mean (if that happens), and how fast disagreement falls.
    """
    from dataclasses import asdict

    from gossipfl.report.topology import cost_table, table
    from gossipfl.report.topology import costs as costs_of
    from gossipfl.topology import WEIGHTS, describe, load

    if weights is not None and weights not in WEIGHTS:
        raise BadExperiment(f"--weights {weights}: unknown rule; use one of {', '.join(WEIGHTS)}")
    graph = load(spec, seed, SHOWN)
    if weights is not None and "schedule" in graph.graph:
        raise BadExperiment(f"--weights {weights}: {spec} has its own weights; remove --weights")
    found = asdict(describe(graph, None if weights is None else [weights], seed))
    found["name"] = found["name"] or spec
    if not any("weight" in link for link in graph.edges.values()) and weights is None:
        found["weights"].pop("file", None)
    drawn = []
    if plot is not None:
        from gossipfl.report.plots import draw

        draw(graph, spec, plot)
        found["plot"], drawn = str(plot), [f"drawn in {plot}"]
    said = table(found)
    if costs:
        if found["sums"] is None:
            raise BadExperiment(f"--costs: the links of {spec} change, and have no tree; remove --costs")
        found["costs"] = costs_of(found, parameters)
        said.append(cost_table(found["costs"], parameters))
    say(format, found, *said, *drawn)


@app.command(
    epilog="""\b
Examples:
  gossipfl topology make regular:16:4 regular.json --seed 3
  gossipfl topology make topologies/hospitals.toml hospitals.graphml"""
)
def make(
    spec: Spec,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write. Its suffix chooses the format.")
    ],
    seed: Seed = 0,
    format: As = "text",
) -> None:
    """Write a shorthand or another topology file to a file.

    The suffix chooses the format: .json .toml .graphml .gml .edgelist .adj or .g6. The first four can also
    hold directed graphs and schedules of changing links.
    """
    from gossipfl.topology import write

    if file.exists():
        raise BadExperiment(f"{file} exists already: choose another name, or remove the file")
    graph = _load(spec, seed)
    write(graph, file)
    links = graph.number_of_edges()
    say(
        format,
        {"file": str(file), "peers": len(graph), "edges": links},
        f"wrote {file}: {len(graph)} peers, {links} links",
        f"Next: gossipfl topology show {file}",
    )


@app.command(epilog="\b\nExample:\n  gossipfl topology check topologies/hospitals.toml")
def check(
    spec: Annotated[str, typer.Argument(metavar="FILE", help="A topology file (or a shorthand).")],
    format: As = "text",
) -> None:
    """Check a topology file: print ok, or the error in it.

    Finds unknown neighbours, peers linked to themselves, peers that are cut off from the others, and links
    that a schedule needs but the file lacks.
    """
    graph = _load(spec, 0)
    silent = [peer for peer, known in graph.nodes.items() if not known.get("endpoint")]
    where = (
        "all have endpoints"
        if not silent
        else f"{len(silent)} have no endpoint (only gossipfl peer needs one)"
    )
    links = graph.number_of_edges()
    say(
        format,
        {"ok": True, "peers": len(graph), "edges": links, "without_endpoint": silent},
        f"ok: {len(graph)} peers, {links} {'one-way ' * graph.is_directed()}links, connected; {where}",
    )


@app.command(epilog="\b\nExample:\n  gossipfl topology fingerprint topologies/hospitals.toml")
def fingerprint(
    spec: Annotated[str, typer.Argument(metavar="FILE", help="A topology file.")], format: As = "text"
) -> None:
    """Print eight words that stand for the peers, links, endpoints and public keys of a topology.

    Compare them by telephone: if all institutions read the same words, their files say the same.
    """
    from gossipfl.topology.phrase import phrase

    words = phrase(_load(spec, 0))
    say(format, {"phrase": words}, words)


@app.command(epilog="\b\nExample:\n  gossipfl topology families")
def families(format: As = "text") -> None:
    """List the shorthands for graphs, such as ring:16."""
    from gossipfl.report.tables import plain
    from gossipfl.topology import FAMILIES

    rows = [
        (f.signature, f.example, f.about + (" (random, from the seed)" if f.random else ""))
        for f in FAMILIES.values()
    ]
    found = {
        name: {"signature": f.signature, "example": f.example, "about": f.about}
        for name, f in FAMILIES.items()
    }
    say(format, found, plain(("shorthand", "example", "graph"), rows))


def _load(spec: str, seed: int) -> "nx.Graph":
    from gossipfl.topology import load

    return load(spec, seed)
