"""How peers combine what they hear: exchanges against dense matrices, and the limits of maximum and union."""

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from worlds import after, dense, graphs, live, metropolis, start

from gossipfl import topology
from gossipfl.algorithms import Consensus
from gossipfl.mixing import Average, Direct, Maximum, Mixing, Property, Union
from gossipfl.mixing.union import to_row, to_set, too_long
from gossipfl.peer import Exchange, Peer
from gossipfl.simulator import Simulator
from gossipfl.topology import WEIGHTS, static

GRAPHS = graphs()
everywhere = pytest.mark.parametrize("spec", GRAPHS)


def consensus(graph: nx.Graph, x: Tensor, mixing: Mixing, rounds: int) -> Tensor:
    simulator = Simulator(Consensus(), None, static(metropolis(graph)), mixing)
    result: Tensor = after(simulator, simulator.init(x), rounds)[-1].state.x
    return result


def live_consensus(graph: nx.Graph, x: Tensor, mixing: Mixing, rounds: int) -> Tensor:
    def act(i: int, exchange: Exchange) -> Tensor:
        peer = Peer(exchange, Consensus(), None, static(metropolis(graph)), mixing)
        result: Tensor = after(peer, peer.init(x[i : i + 1]), rounds)[-1].state.x
        return result

    return torch.cat(live("memory", graph, act))


@everywhere
@pytest.mark.parametrize("weights", ["metropolis", "uniform", "best-constant", "lazy"])
@pytest.mark.parametrize("gamma", [1.0, 0.5, 0.1])
def test_average_is_a_row_of_w(spec: str, weights: str, gamma: float) -> None:
    graph = GRAPHS[spec]
    links, x = WEIGHTS[weights](graph), start(len(graph))
    simulator = Simulator(Consensus(), None, static(links), Mixing(gamma=gamma))
    mixed = after(simulator, simulator.init(x), 1)[-1].state.x
    np.testing.assert_allclose(mixed, dense(links, len(graph), gamma) @ x.numpy(), rtol=1e-13, atol=1e-14)


def test_what_is_sent_stays_as_it_was() -> None:
    x = start()
    kept = x.clone()
    for gamma in (1.0, 0.5):
        for aggregator in (Average(), Maximum()):
            consensus(GRAPHS["ring:5"], x, Mixing(aggregator, gamma=gamma), 2)
            assert torch.equal(x, kept)


def test_properties() -> None:
    assert Mixing().preserves == Property.CONSENSUS | Property.LINEAR | Property.SETTLING
    assert Mixing(Maximum()).preserves == Mixing(Union(), Direct()).preserves == Property.CONSENSUS


@everywhere
def test_maximum_is_everywhere_after_diameter_rounds_and_not_before(spec: str) -> None:
    graph = GRAPHS[spec]
    diameter = topology.diameter(graph)
    x = torch.cat([start(len(graph)), torch.arange(float(len(graph)), dtype=torch.float64)[:, None] / 3], 1)
    top = x.amax(0).expand_as(x)
    for engine in (consensus, live_consensus):
        assert torch.equal(engine(graph, x, Mixing(Maximum()), diameter), top)
    ends = torch.zeros(len(graph), 1)
    ends[nx.periphery(nx.convert_node_labels_to_integers(graph))[0]] = 1.0
    assert consensus(graph, ends, Mixing(Maximum()), diameter - 1).min() == 0


words = st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(st.sets(words), st.integers(0, 200))
def test_a_set_survives_the_trip(some: set[str], width: int) -> None:
    row = to_row(some, width)
    assert len(row) >= width
    assert to_set(row) == some


@given(st.data(), st.sampled_from(sorted(GRAPHS)))
@settings(max_examples=40)
def test_union_is_everywhere_after_diameter_rounds(data: st.DataObject, spec: str) -> None:
    graph = GRAPHS[spec]
    sets = data.draw(st.lists(st.sets(words, max_size=4), min_size=len(graph), max_size=len(graph)))
    whole = set().union(*sets)
    width = len(to_row(whole)) + 1
    x = torch.stack([to_row(some, width) for some in sets])
    found = consensus(graph, x, Mixing(Union()), topology.diameter(graph))
    assert all(to_set(row) == whole for row in found)
    assert torch.equal(found, to_row(whole, width).expand_as(found)), "exactly the same at all peers"


def test_union_among_live_peers() -> None:
    graph = GRAPHS["line:4"]
    x = torch.stack([to_row({"shared", f"level {i}", "ü\u4e2d"}, 80) for i in range(4)])
    for row in live_consensus(graph, x, Mixing(Union()), 3):
        assert to_set(row) == {"shared", "ü\u4e2d", *(f"level {i}" for i in range(4))}


def test_a_union_that_is_too_long_is_too_long_at_all_peers_and_both_engines() -> None:
    graph = GRAPHS["line:4"]
    x = torch.stack([to_row({"shared", f"level {i}"}, 33) for i in range(4)])  # the union has 38 bytes
    for engine in (consensus, live_consensus):
        found = engine(graph, x, Mixing(Union()), 3)
        assert torch.equal(found, torch.full_like(x, 0xFF))
        assert all(map(too_long, found))
    assert not any(map(too_long, consensus(graph, x, Mixing(Union()), 1)))


@given(st.binary(max_size=30))
@example(b"\xff")
@example(b"\n\n")
def test_a_hostile_row_is_a_set_or_a_value_error(data: bytes) -> None:
    try:
        found = to_set(torch.tensor(list(data), dtype=torch.uint8))
    except ValueError:
        return
    assert all(isinstance(word, str) for word in found)
