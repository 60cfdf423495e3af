"""The figures of a graph that show how well it averages; must not print or draw them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import networkx as nx
import numpy as np

from gossipfl.errors import BadExperiment
from gossipfl.topology.averaging import averaging
from gossipfl.topology.links import Links, static
from gossipfl.topology.pace import pace
from gossipfl.topology.plan import ONE_WAY, SOLVED, WEIGHTS, schedule
from gossipfl.topology.preserves import stochastic, symmetric
from gossipfl.topology.reach import STARTS, horizon, period
from gossipfl.topology.spectrum import DENSE, dense, diameter, extreme, rounds_per_tenfold
from gossipfl.topology.tree import tree

MOST_PEERS = 10_000  # the diameter of a ring takes seconds, and four times as long with twice the peers
QUICK = tuple(rule for rule in WEIGHTS if rule not in (*SOLVED, *ONE_WAY))


@dataclass(frozen=True)
class Speed:
    """How fast a graph averages with one weight rule; if the rule cannot be used, only the reason."""

    gap: float | None = None  # 1 - rho
    rounds: float | None = None  # for a tenfold fall of disagreement
    reason: str | None = None


@dataclass(frozen=True)
class Changes:
    """How a schedule averages, over its first 32 rounds or one period of up to 64; rho and rounds are measured."""

    schedule: str
    period: int | None  # None: the links do not repeat
    heard_max: int  # the most neighbours that a peer hears in one round
    both_ways: bool  # W is symmetric
    keeps_mean: bool  # W is doubly stochastic
    horizon: int  # rounds in which information from every peer reaches every peer
    exact: int | None  # rounds after which every peer holds the exact mean
    rho: float  # disagreement falls by this factor in each round
    rounds: float | None  # for a tenfold fall of disagreement; None if it ends


@dataclass(frozen=True)
class SumCost:
    """What a sum over all peers takes along the tree, and what an exact average takes; messages are those of all peers."""

    depth: int  # of the tree
    exchanges: int
    messages: int
    average: int | None  # exchanges of an exact average; None: links lead one way
    average_messages: int | None


@dataclass(frozen=True)
class TopologyDescription:
    """A graph in figures; `dataclasses.asdict` makes it JSON. Degrees of a directed graph count the peers sent to."""

    name: str
    peers: int
    edges: int
    directed: bool
    degree_min: int
    degree_mean: float
    degree_max: int
    diameter: int
    weights: dict[str, Speed]
    changes: Changes | None
    sums: SumCost | None  # None: links change


def describe(graph: nx.Graph, rules: Iterable[str] | None = None, seed: int = 0) -> TopologyDescription:
    """Size, degrees, diameter, and for each weight rule the gap and the rounds for a tenfold fall.

    A graph with a schedule uses no rules; its `changes` are described instead.

    Args:
        graph: connected, as `load` gives it.
        rules: some of WEIGHTS; by default all that suit the graph, except those that a solver computes.
        seed: for random schedules.

    Raises:
        BadExperiment: there are more than 10,000 peers.
    """
    if len(graph) > MOST_PEERS:
        raise BadExperiment(
            f"this graph has {len(graph):,} peers, and figures take too long above {MOST_PEERS:,}: "
            "use a smaller graph of its kind"
        )
    degrees = [degree for _, degree in (graph.out_degree if graph.is_directed() else graph.degree)]
    changing = "schedule" in graph.graph
    if rules is None:
        rules = () if changing else ONE_WAY if graph.is_directed() else QUICK
    return TopologyDescription(
        name=graph.name,
        peers=len(graph),
        edges=graph.number_of_edges(),
        directed=graph.is_directed(),
        degree_min=min(degrees),
        degree_mean=sum(degrees) / len(degrees),
        degree_max=max(degrees),
        diameter=diameter(graph),
        weights={rule: _speed(graph, rule) for rule in rules},
        changes=_changes(graph, seed) if changing else None,
        sums=None if changing else _sums(graph),
    )


def _sums(graph: nx.Graph) -> SumCost:
    made = tree(graph)
    messages = sum(len(links.senders) for links in made.rounds())
    depth = int(max(made.up.max(), made.down.max()))
    if graph.is_directed():
        return SumCost(depth, made.exchanges, messages, None, None)
    average = len(averaging(graph).nodes)
    return SumCost(depth, made.exchanges, messages, average, average * 2 * graph.number_of_edges())


def _speed(graph: nx.Graph, rule: str) -> Speed:
    try:
        links = WEIGHTS[rule](graph)
    except BadExperiment as why:
        return Speed(reason=str(why))
    rho = _rho(Links(links.senders, links.receivers, links.weights) if rule == "push" else links, len(graph))
    rounds = rounds_per_tenfold(rho)
    if math.isinf(rounds):
        return Speed(gap=0.0, reason="the peers never reach the mean: an eigenvalue of W is -1")
    return Speed(gap=1 - rho, rounds=rounds)


def _rho(links: Links, peers: int) -> float:
    """The second largest modulus of W's eigenvalues (W^T has the same); measured if W is large and not symmetric."""
    if symmetric(links):
        return extreme(links, peers).rho
    if peers > DENSE:
        return pace(static(links), peers).rho
    return float(np.sort(np.abs(np.linalg.eigvals(dense(links, peers))))[-2])


def _changes(graph: nx.Graph, seed: int) -> Changes:
    topology, peers = schedule(graph, seed=seed), len(graph)
    again = period(topology)
    some = [topology(round) for round in range(again or STARTS)]
    found = pace(topology, peers)
    return Changes(
        schedule=graph.graph["schedule"],
        period=again,
        heard_max=max(int(np.bincount(links.receivers, minlength=1).max()) for links in some),
        both_ways=all(map(symmetric, some)),
        keeps_mean=all(stochastic(links, peers)[1] for links in some),
        horizon=horizon(topology, peers),
        exact=found.exact,
        rho=found.rho,
        rounds=None if found.exact is not None else rounds_per_tenfold(found.rho),
    )
