"""The figures of a graph that tell how well it averages; must not print or draw them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import networkx as nx

from gossipfl.errors import BadExperiment
from gossipfl.topology.spectrum import diameter, extreme, rounds_per_tenfold
from gossipfl.topology.weights import SOLVED, WEIGHTS

QUICK = tuple(rule for rule in WEIGHTS if rule not in SOLVED)


@dataclass(frozen=True)
class Speed:
    """What one weight rule makes of a graph; where it cannot be used, only why not."""

    gap: float | None = None  # 1 - rho
    rounds: float | None = None  # for a tenfold fall of disagreement
    reason: str | None = None


@dataclass(frozen=True)
class Description:
    """A graph in figures; `dataclasses.asdict` makes it JSON."""

    name: str
    peers: int
    edges: int
    degree_min: int
    degree_mean: float
    degree_max: int
    diameter: int
    weights: dict[str, Speed]


def describe(graph: nx.Graph, rules: Iterable[str] = QUICK) -> Description:
    """Size, degrees, diameter, and for each weight rule the gap and the rounds for a tenfold fall.

    Args:
        graph: connected, as `load` gives it.
        rules: which of WEIGHTS; all but those that are solved for, unless given.
    """
    degrees = [degree for _, degree in graph.degree]
    return Description(
        name=graph.name,
        peers=len(graph),
        edges=graph.number_of_edges(),
        degree_min=min(degrees),
        degree_mean=sum(degrees) / len(degrees),
        degree_max=max(degrees),
        diameter=diameter(graph),
        weights={rule: _speed(graph, rule) for rule in rules},
    )


def _speed(graph: nx.Graph, rule: str) -> Speed:
    try:
        ends = extreme(WEIGHTS[rule](graph), len(graph))
    except BadExperiment as why:
        return Speed(reason=str(why))
    rounds = rounds_per_tenfold(ends.rho)
    if math.isinf(rounds):
        return Speed(gap=0.0, reason="these weights never reach the mean: an eigenvalue of W is -1")
    return Speed(gap=ends.gap, rounds=rounds)
