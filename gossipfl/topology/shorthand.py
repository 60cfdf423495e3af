"""Graphs by shorthand, such as `ring:16`; must not know what the families are, files or weights."""

from collections.abc import Callable
from difflib import get_close_matches

import networkx as nx

from gossipfl import rng
from gossipfl.errors import BadExperiment
from gossipfl.topology.families import FAMILIES
from gossipfl.topology.family import Family

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


def _offsets(text: str) -> int | tuple[int, ...]:
    """The number of offsets to draw, or the offsets themselves: +1+4+6."""
    return tuple(map(_whole(1), text[1:].split("+"))) if text.startswith("+") else _whole(1)(text)


_PARAMETERS: dict[str, Callable[[str], object]] = {
    "n": _whole(1), "RxC": _sides, "d": _whole(0), "degree": _whole(0), "p": _probability, "k": _whole(0),
    "m": _whole(1), "branching": _whole(1), "height": _whole(0), "b": _whole(2), "s": _whole(1), "M": _offsets,
}  # fmt: skip


def shorthands() -> str:
    """The help text: every shorthand with what it means, one a line."""
    return "\n".join(
        f"{family.example:27} {family.signature:27} {family.about}" for family in FAMILIES.values()
    )


def generate(shorthand: str, seed: int = 0, most: int = MOST_LINKS) -> nx.Graph:
    """The graph that a shorthand names, with peers "0" to "n-1" in that order; directed if the family is.

    Random families draw from `rng.generator(seed, "topology")`, again until the graph is connected. If links change from
    round to round, the graph has the edges of all rounds, and its attribute `schedule` is the shorthand.

    Raises:
        BadExperiment: there is no such family, a parameter is out of range, the graph would have more than `most` links, or
            none of 50 draws is connected.
    """
    family, values = parse(shorthand)
    try:
        graph = _make(family, values, seed, most)
    except (ValueError, BadExperiment) as why:
        raise _refused(shorthand, family, why) from None
    schedule = {"schedule": graph.graph.get("schedule", shorthand.strip())} if family.schedule else {}
    named = nx.DiGraph(**schedule) if graph.is_directed() else nx.Graph(**schedule)
    edges = graph.edges if graph.is_directed() else map(sorted, graph.edges)
    named.add_nodes_from(map(str, range(len(graph))))
    named.add_edges_from((str(u), str(v)) for u, v in sorted(edges) if u != v)
    return named


def parse(shorthand: str) -> tuple[Family, list[object]]:
    """The family that a shorthand names, and the values of its parameters.

    Raises:
        BadExperiment: there is no such family, or a parameter is out of range.
    """
    name, *values = shorthand.strip().split(":")
    if name not in FAMILIES:
        close = get_close_matches(name, FAMILIES, n=1)
        hint = f"did you mean {FAMILIES[close[0]].example}? " if close else ""
        known = " ".join(family.example for family in FAMILIES.values())
        raise BadExperiment(f"{_quoted(shorthand)} is not a topology: {hint}use a file or one of {known}")
    family = FAMILIES[name]
    try:
        return family, _parsed(family, values)
    except ValueError as why:
        raise _refused(shorthand, family, why) from None


def _refused(shorthand: str, family: Family, why: Exception) -> BadExperiment:
    return BadExperiment(f"{_quoted(shorthand)}: {why}; write {family.signature}, as in {family.example}")


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


def _make(family: Family, values: list[object], seed: int, most: int) -> nx.Graph:
    if family.links(*values) > most:
        raise ValueError(f"this graph would have more than {most:,} links")
    if not family.random:
        return family.make(*values)
    draw = rng.generator(seed, "topology")
    for _ in range(DRAWS):
        graph = family.make(*values, seed=int(draw.integers(2**31)))
        if (nx.is_strongly_connected if graph.is_directed() else nx.is_connected)(graph):
            return graph
    raise BadExperiment(f"none of {DRAWS} draws was connected: choose parameters that give more links")


def _quoted(text: str) -> str:
    return f'"{text}"' if len(text) <= 40 else f'"{text[:37]}..."'
