"""Topology files, in the format that the suffix names; must not know weights, rounds or how a format is written.

`read(write(graph)) == graph` for `.json`, `.toml`, `.graphml` and `.gml`, with all attributes. Only these formats hold
directed graphs and schedules. An edge list keeps names and weights, an adjacency list only names, and graph6 neither: its
peers come back as "0", "1", ...
"""

from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from textwrap import shorten

import networkx as nx

from gossipfl.disk import unwritable, whole
from gossipfl.errors import BadExperiment
from gossipfl.topology.assemble import Listed, assemble
from gossipfl.topology.check import check
from gossipfl.topology.families import FAMILIES
from gossipfl.topology.formats import FORMATS, Format
from gossipfl.topology.plan import fits
from gossipfl.topology.shorthand import MOST_LINKS, generate

# What parsers raise on unexpected bytes.
_UNREADABLE = (
    nx.NetworkXException, ValueError, SyntaxError, TypeError, LookupError, AttributeError, ArithmeticError,
    AssertionError, RecursionError,
)  # fmt: skip


def load(spec: str | PathLike[str], seed: int = 0, most: int = MOST_LINKS) -> nx.Graph:
    """The checked graph of a file or of a shorthand such as "ring:16": the value of an experiment's `graph` key.

    A spec that exists as a file or has the suffix of one is a file; anything else is a shorthand. Random shorthands draw from
    `seed`, and have at most so many links.

    Raises:
        BadExperiment: there is no such file or shorthand, or the graph is not simple and connected (strongly connected if
            directed), or it does not fit its schedule.
    """
    text = str(spec)
    file = Path(text).suffix in FORMATS or _is_file(text)
    graph = read(text) if file else generate(text, seed, most)
    check(graph, text)
    if file:
        fits(graph, text)
    return graph


def read(path: str | PathLike[str]) -> nx.Graph:
    """The graph in a file. It may be disconnected: see `check`.

    Peers are strings in natural order, with `endpoint public_key role`; edges have `weight delay drop`.

    Raises:
        BadExperiment: there is no such file, or its content is wrong; the message says what.
    """
    format = _format(path)
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as why:
        reason = why.strerror if isinstance(why, OSError) else why
        raise BadExperiment(
            f"{path}: cannot read this topology file: {reason}{_similar(Path(path))}"
        ) from None
    try:
        return assemble(format.parse(content), format.strict)
    except _UNREADABLE as why:
        reason = "it is nested too deeply" if isinstance(why, RecursionError) else shorten(str(why), 200)
        raise BadExperiment(f"{path}: cannot be read as a {Path(path).suffix} topology: {reason}") from None


def write(graph: nx.Graph, path: str | PathLike[str]) -> None:
    """Write a graph that `check` accepts, with the attributes that `read` knows and the format can hold.

    Raises:
        BadExperiment: the graph could not be read again, or the file cannot be written.
        Unwritten: the disk is full or read-only.
    """
    format = _format(path)
    check(graph, str(path))
    edges = [(u, v, attributes) for (u, v), attributes in graph.edges.items()]
    try:
        plain = not graph.is_directed() and "schedule" not in graph.graph
        if not plain and not format.whole:
            raise ValueError("it is directed or has a schedule, which this format cannot hold; use .json")
        listed = Listed(graph.graph, graph.nodes.items(), edges, graph.is_directed())
        content = format.dump(assemble(listed))
        with whole(Path(path)):
            Path(path).write_bytes(content)
    except ValueError as why:
        raise BadExperiment(f"{path}: cannot write this graph: {why}") from None
    except OSError as why:
        raise unwritable(f"cannot write {path}", why) from None


def _format(path: str | PathLike[str]) -> Format:
    suffix = Path(path).suffix
    if suffix not in FORMATS:
        raise BadExperiment(f'{path}: "{suffix}" is not a topology format; use one of {" ".join(FORMATS)}')
    return FORMATS[suffix]


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # a name too long for the file system
        return False


def _similar(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except (OSError, ValueError):
        names = []
    close = get_close_matches(path.name, names, n=1, cutoff=0.7)
    if close and close[0] != path.name:
        return f'; did you mean "{path.parent / close[0]}"?'
    return f"; give a file, or a shorthand: {' '.join(family.example for family in FAMILIES.values())}"
