"""topology show, make, check, families; must not know graphs beyond their figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gossipfl.cli.options import As, Seed, Spec
from gossipfl.cli.say import say
from gossipfl.errors import BadExperiment

if TYPE_CHECKING:
    import networkx as nx

app = typer.Typer(help="Look at, make and check who talks to whom.", no_args_is_help=True)


@app.command(
    epilog="""\b
Examples:
  gossipfl topology show torus:4x4
  gossipfl topology show topologies/hospitals.toml --plot hospitals.svg
  gossipfl topology show er:32:0.2 --seed 7 --weights metropolis
  gossipfl topology show base:3:12"""
)
def show(
    spec: Spec,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw it too: .png or .svg (needs the extra plots)."),
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", metavar="RULE", help="Only this weight rule.")
    ] = None,
    seed: Seed = 0,
    format: As = "text",
) -> None:
    """Figures of a graph, and how fast it averages.

    Size, degrees and diameter; for each rule that gives links their weights the spectral gap, and the rounds
    in which disagreement falls to a tenth. Of a graph whose links change: how often, after how many rounds
    all peers hold the exact mean if they do, and how fast disagreement falls.
    """
    from dataclasses import asdict

    from gossipfl.report.topology import table
    from gossipfl.topology import WEIGHTS, describe

    if weights is not None and weights not in WEIGHTS:
        raise BadExperiment(f"--weights {weights}: there is no such rule; use one of {', '.join(WEIGHTS)}")
    graph = _load(spec, seed)
    if weights is not None and "schedule" in graph.graph:
        raise BadExperiment(f"--weights {weights}: {spec} brings its own weights; leave --weights out")
    found = asdict(describe(graph, None if weights is None else [weights], seed))
    found["name"] = found["name"] or spec
    if not any("weight" in link for link in graph.edges.values()) and weights is None:
        found["weights"].pop("file", None)
    drawn = []
    if plot is not None:
        from gossipfl.report.plots import draw

        draw(graph, spec, plot)
        found["plot"], drawn = str(plot), [f"drawn in {plot}"]
    say(format, found, *table(found), *drawn)


@app.command(
    epilog="""\b
Examples:
  gossipfl topology make regular:16:4 regular.json --seed 3
  gossipfl topology make topologies/hospitals.toml hospitals.graphml"""
)
def make(
    spec: Spec,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; the suffix names the format.")],
    seed: Seed = 0,
    format: As = "text",
) -> None:
    """Write a graph to a file, from a shorthand or another file.

    The suffix says how: .json .toml .graphml .gml .edgelist .adj or .g6. The first four hold directed graphs,
    and the schedule of one whose links change.
    """
    from gossipfl.topology import write

    if file.exists():
        raise BadExperiment(f"{file} exists already: give another name, or remove it")
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
    """Say ok, or what is wrong in a topology file.

    An unknown neighbour, a peer linked to itself, peers that are cut off from the others, links that its schedule
    needs.
    """
    graph = _load(spec, 0)
    silent = [peer for peer, known in graph.nodes.items() if not known.get("endpoint")]
    where = (
        "all have endpoints"
        if not silent
        else f"{len(silent)} without an endpoint, which only gossipfl peer needs"
    )
    links = graph.number_of_edges()
    say(
        format,
        {"ok": True, "peers": len(graph), "edges": links, "without_endpoint": silent},
        f"ok: {len(graph)} peers, {links} {'one-way ' * graph.is_directed()}links, connected; {where}",
    )


@app.command(epilog="\b\nExample:\n  gossipfl topology families")
def families(format: As = "text") -> None:
    """List the shorthands for graphs, such as ring:16."""
    from gossipfl.report.tables import plain
    from gossipfl.topology import FAMILIES

    rows = [
        (f.signature, f.example, f.about + (" (drawn from the seed)" if f.random else ""))
        for f in FAMILIES.values()
    ]
    found = {
        name: {"signature": f.signature, "example": f.example, "about": f.about}
        for name, f in FAMILIES.items()
    }
    say(format, found, plain(("write", "for example", "what it is"), rows))


def _load(spec: str, seed: int) -> "nx.Graph":
    from gossipfl.topology import load

    return load(spec, seed)
