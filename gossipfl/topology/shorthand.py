"""Graphs by shorthand, such as `ring:16`; must not know what the families are, files or weights."""

from collections.abc import Callable
from difflib import get_close_matches

import networkx as nx

from gossipfl import rng
from gossipfl.errors import BadExperiment
from gossipfl.topology.families import FAMILIES, Family

MOST_LINKS = 5_000_000
DRAWS = 50


def _whole(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text) >= least):
            raise ValueError(f"must be a whole number of at least {least}")
        return int(text)

    return parse


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError("must be a number from 0 to 1")
    return value


def _sides(text: str) -> tuple[int, ...]:
    sides = text.split("x")
    if len(sides) != 2:
        raise ValueError("must be two sides such as 4x4")
    return tuple(map(_whole(1), sides))


_PARAMETERS: dict[str, Callable[[str], object]] = {
    "n": _whole(1), "RxC": _sides, "d": _whole(0), "degree": _whole(0), "p": _probability, "k": _whole(0),
    "m": _whole(1), "branching": _whole(1), "height": _whole(0),
}  # fmt: skip


def shorthands() -> str:
    """Every shorthand with what it is, one a line: the help text."""
    return "\n".join(
        f"{family.example:16} {family.signature:22} {family.about}" for family in FAMILIES.values()
    )


def generate(shorthand: str, seed: int = 0) -> nx.Graph:
    """The graph that a shorthand names, its peers called "0" to "n-1" in that order.

    Random families draw from `rng.generator(seed, "topology")`, again until the graph is connected.

    Raises:
        BadExperiment: no such family, a parameter out of range, or no connected draw in 50.
    """
    name, *values = shorthand.strip().split(":")
    if name not in FAMILIES:
        close = get_close_matches(name, FAMILIES, n=1)
        hint = f"did you mean {FAMILIES[close[0]].example}? " if close else ""
        known = " ".join(family.example for family in FAMILIES.values())
        raise BadExperiment(f"{_quoted(shorthand)} is no topology: {hint}use a file or one of {known}")
    family = FAMILIES[name]
    try:
        graph = _make(family, _parsed(family, values), seed)
    except (ValueError, BadExperiment) as why:
        raise BadExperiment(
            f"{_quoted(shorthand)}: {why}; write {family.signature}, as in {family.example}"
        ) from None
    named = nx.Graph()
    named.add_nodes_from(map(str, range(len(graph))))
    named.add_edges_from((str(u), str(v)) for u, v in sorted(map(sorted, graph.edges)) if u != v)
    return named


def _parsed(family: Family, values: list[str]) -> list[object]:
    names = family.signature.split(":")[1:]
    if len(names) != len(values):
        raise ValueError(f"takes {len(names)} parameter{'s' * (len(names) > 1)}, not {len(values)}")
    parsed = []
    for name, value in zip(names, values, strict=True):
        try:
            parsed.append(_PARAMETERS[name](value.strip()))
        except ValueError as why:
            raise ValueError(f"{name} = {_quoted(value)} {why}") from None
    return parsed


def _make(family: Family, values: list[object], seed: int) -> nx.Graph:
    if family.links(*values) > MOST_LINKS:
        raise ValueError(f"that would be more than {MOST_LINKS:,} links")
    if not family.random:
        return family.make(*values)
    draw = rng.generator(seed, "topology")
    for _ in range(DRAWS):
        graph = family.make(*values, seed=int(draw.integers(2**31)))
        if nx.is_connected(graph):
            return graph
    raise BadExperiment(f"none of {DRAWS} draws was connected: ask for more links")


def _quoted(text: str) -> str:
    return f'"{text}"' if len(text) <= 40 else f'"{text[:37]}..."'
