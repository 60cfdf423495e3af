"""Sums along a tree: equal contributions give equal totals at all peers, bit for bit, in at most 2 x radius exchanges."""

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from topology_graphs import CHANGING, DIRECTED, SPECS
from torch import Tensor
from worlds import after

from gossipfl import topology
from gossipfl.algorithms import Consensus
from gossipfl.mixing import Mixing, Sum
from gossipfl.simulator import Simulator
from gossipfl.topology import Tree, cycle, tree

NAMED = [
    "ring:16",
    "torus:4x4",
    "hypercube:4",
    "star:50",
    "regular:64:4",
    "er:50:0.12",
    "ba:50:2",
    "ws:100:4:0.1",
    "line:50",
]
EXCHANGES = {
    "ring:16": 15,
    "star:50": 2,
    "line:50": 49,
    "full:8": 2,
    "line:2": 1,
    "ring:1": 0,
    "directed-ring:7": 12,
}
BARBELL = nx.barbell_graph(10, 5)
STATIC = [spec for spec in {*SPECS, *NAMED, *EXCHANGES} if spec not in CHANGING]


def of(spec: str) -> nx.Graph:
    return BARBELL if spec == "barbell" else topology.load(spec, seed=3)


def contributions(graph: nx.Graph, width: int = 3, seed: int = 0) -> Tensor:
    """Numbers of very different sizes: in another order of addition they have another sum."""
    drawn = torch.Generator().manual_seed(seed)
    shape = len(graph), width
    x = torch.randn(shape, dtype=torch.float64, generator=drawn) * 10 ** torch.randint(
        -8, 8, shape, generator=drawn
    )
    x[:, 0] = 1.0  # the count of contributors
    x[:, -1] = -0.0
    return x


def summed(graph: nx.Graph, made: Tree, x: Tensor) -> Tensor:
    simulator = Simulator(Consensus(), None, cycle(made.rounds()), Mixing(Sum()))
    result: Tensor = after(simulator, simulator.init(x + 0.0), made.exchanges)[-1].state.x
    return result


def by_hand(made: Tree, x: Tensor, root: int) -> Tensor:
    """Law A's twin: own, then each child's in natural order, then + 0, by recursion."""
    total = x[root]
    for child in range(len(x)):
        if made.receiver[child] == root and child != root:
            total = total + by_hand(made, x, child)
    return total + 0.0


@pytest.mark.parametrize("spec", [*sorted(STATIC), "barbell"])
def test_all_peers_hold_the_same_total(spec: str) -> None:
    graph = of(spec)
    made, x = tree(graph), contributions(graph)
    total = summed(graph, made, x)
    assert (total == total[0]).all()
    assert (total[:, 0] == len(graph)).all()
    assert not torch.signbit(total[:, -1]).any()
    up, *other = (by_hand(made, x, root) for root in made.roots)
    assert torch.equal(total[0], up + other[0] + 0.0 if other else up)
    exact = x.double().sum(0)
    assert ((total[0] - exact).abs() <= 1e-15 * len(graph) * x.abs().sum(0)).all()
    if not graph.is_directed() and len(graph) > 1:
        assert made.exchanges <= 2 * nx.radius(graph)
        if nx.is_tree(graph):
            assert made.exchanges == nx.diameter(graph)
    assert made.exchanges == EXCHANGES.get(spec, made.exchanges)


@pytest.mark.parametrize("spec", ["line:5", "er:20:0.2", "star:6", "ring:1", DIRECTED[0]])
def test_maxima_ride_along(spec: str) -> None:
    graph = of(spec)
    made, x = tree(graph), contributions(graph)
    bounds = -torch.rand(len(graph), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    simulator = Simulator(Consensus(), None, cycle(made.rounds()), Mixing(Sum(2)))
    found = after(simulator, simulator.init(torch.cat((x + 0.0, bounds), 1)), made.exchanges)[-1].state.x
    assert torch.equal(found[:, :-2], summed(graph, made, x))
    assert (found[:, -2:] == bounds.amax(0)).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 24), st.floats(0, 0.5), st.integers(0, 10**6))
@example(peers=2, chance=0.0, seed=0)
def test_law_a_on_random_graphs(peers: int, chance: float, seed: int) -> None:
    graph = nx.compose(
        nx.random_labeled_tree(peers, seed=seed), nx.gnp_random_graph(peers, chance, seed=seed)
    )
    made, x = tree(graph), contributions(graph, seed=seed)
    total = summed(graph, made, x)
    assert (total == total[0]).all()
    assert (total[:, 0] == peers).all()
    assert made.exchanges <= 2 * nx.radius(graph)


@pytest.mark.parametrize("spec", ["er:20:0.2", "line:6", DIRECTED[0]])
def test_links_are_links_of_the_graph(spec: str) -> None:
    graph = of(spec)
    for links in tree(graph).rounds():
        for receiver, sender in zip(links.receivers.tolist(), links.senders.tolist(), strict=True):
            assert graph.has_edge(str(sender), str(receiver))


@pytest.mark.parametrize("spec", ["line:1200", "tree:2:10"])
def test_a_large_tree_has_its_middle_as_the_root(spec: str) -> None:
    graph = of(spec)
    assert tree(graph).exchanges == nx.diameter(graph, usebounds=True)


def test_a_sum_without_a_peer_counts_too_few() -> None:
    """A lost message on the way up or down: no peer takes a part for the whole."""
    graph = of("er:20:0.2")
    made, x = tree(graph), contributions(graph)
    rounds = made.rounds()
    for lost, links in enumerate(rounds):
        arrives = np.ones(len(links.receivers), bool)
        arrives[0] = False
        broken = [*rounds[:lost], links._replace(arrives=arrives), *rounds[lost + 1 :]]
        simulator = Simulator(Consensus(), None, cycle(broken), Mixing(Sum()))
        total = after(simulator, simulator.init(x), len(rounds))[-1].state.x
        whole = total[:, 0] == len(graph)
        assert not whole.all()
        assert (total[whole] == summed(graph, made, x)[0]).all()
