"""Laws for links that change, are directed, or fail: both engines have the same numbers and stop in the same round."""

from itertools import product
from typing import NamedTuple

import networkx as nx
import pytest
import torch
from worlds import PLAIN, Instance, Toy, after, live, metropolis, rng_converged, start

from gossipfl import topology
from gossipfl.algorithms import Consensus, leaves, takes_back
from gossipfl.engine import Run
from gossipfl.mixing import Mixing
from gossipfl.peer import Exchange, Peer
from gossipfl.peer.inbox import AHEAD
from gossipfl.peer.wire import WINDOW
from gossipfl.simulator import Simulator
from gossipfl.topology import Topology, churn, dropping, every, horizon, lossy, partition, static, stragglers
from gossipfl.topology.plan import schedule
from gossipfl.topology.preserves import arriving, symmetric


class World(NamedTuple):
    """All pairs of peers that are ever linked, in either direction, and the links of each round."""

    graph: nx.Graph
    rounds: Topology


def world(spec: str) -> World:
    """A world whose links change or are directed."""
    graph = topology.load(spec, seed=3)
    weights = "push" if graph.is_directed() else "metropolis"
    return World(nx.Graph(graph), schedule(graph, weights, seed=3))


RING = topology.load("ring:5")
ALWAYS = static(metropolis(RING))
CHANGING = {
    spec: world(spec) for spec in ("one-peer-exp:5", "base:3:5", "matching:6", "epidemic:6:2", "directed-ring:5")
}  # fmt: skip
FAILING = {
    "stragglers": World(RING, stragglers(ALWAYS, [1, 3], 3, seed=2)),
    "dropping": World(RING, dropping(ALWAYS, 0.4, seed=2)),
    "churn": World(RING, churn(ALWAYS, 5, 0.7, 4, seed=2)),
    "partition": World(RING, partition(ALWAYS, [[0, 1], [2, 3, 4]], 3, 9)),
    "lossy": World(RING, lossy(ALWAYS, 0.4, seed=2)),
    "lossy one way": World(CHANGING["directed-ring:5"].graph, lossy(CHANGING["directed-ring:5"].rounds, 0.4, seed=2)),
    "local steps": World(CHANGING["base:3:5"].graph, every(CHANGING["base:3:5"].rounds, 3)),
}  # fmt: skip
WORLDS = CHANGING | FAILING
everywhere = pytest.mark.parametrize("name", WORLDS)
FIRST_ORDER = [instance for instance in PLAIN if not instance.name.startswith("newton")]


def acquaint(exchange: Exchange, among: World) -> None:
    """Some exchanges along all edges, as when peers agree. Sessions begin in them."""
    hello = Peer(exchange, Consensus(), None, static(metropolis(among.graph)))
    after(hello, hello.init(torch.zeros(1, 1, dtype=torch.float64)), 3)


def engines_agree(instance: Instance, among: World, kind: str = "memory", rounds: int = 24) -> None:
    """Simulator and live peers after some rounds of mini-batches: all numbers and all messages are the same."""
    peers = len(among.graph)
    x, toy = start(peers), Toy(range(peers), 3, peers=peers)
    simulator = Simulator(instance.make(toy), toy, among.rounds, instance.mixing)
    expected = after(simulator, simulator.init(x), rounds)[-1]

    def act(i: int, exchange: Exchange) -> tuple[Run, int]:
        own = Toy([i], 3, peers=peers)
        acquaint(exchange, among)
        peer = Peer(exchange, instance.make(own), own, among.rounds, instance.mixing, origin=exchange.number)
        if takes_back(peer.algorithm, peer.mixing) and all(
            symmetric(among.rounds(k)._replace(arrives=None)) for k in range(9)
        ):
            peer.tolerate(60.0)
        return after(peer, peer.init(x[i : i + 1]), rounds)[-1], exchange.inbox.refused

    told = live(kind, among.graph, act)
    assert {refused for _, refused in told} == {0}
    for field, tensor in leaves(expected.state).items():
        found = torch.cat([leaves(run.state)[field] for run, _ in told])
        assert ((found - tensor).abs() <= 1e-11 * tensor.abs().clamp(min=1)).all(), field


@pytest.mark.parametrize(
    ("instance", "name"),
    [
        pytest.param(one, name, id=f"{one}-{name}")
        for one, name in product(FIRST_ORDER, WORLDS)
        if name != "churn"  # in the live engine absent peers would have to be really absent
    ],
)
def test_engine_law(instance: Instance, name: str) -> None:
    engines_agree(instance, WORLDS[name])


@pytest.mark.parametrize("name", ["epidemic:6:2", "directed-ring:5", "lossy one way", "local steps"])
def test_engine_law_over_tcp(name: str) -> None:
    methods = {instance.name.split(",")[0]: instance for instance in PLAIN}
    engines_agree(methods["push-pull"], WORLDS[name], "tcp")


@pytest.mark.parametrize("instance", FIRST_ORDER, ids=str)
def test_engine_law_where_links_rest_for_longer_than_a_header_tells_of(instance: Instance) -> None:
    engines_agree(instance, World(RING, every(ALWAYS, WINDOW + 7)), rounds=4 * WINDOW)


@everywhere
def test_stop_law(name: str) -> None:
    """All stop in the same round: the first in which all know that all were converged."""
    graph, rounds = WORLDS[name]
    peers, steps = len(graph), 3 if name == "local steps" else 1
    converged, hops = rng_converged(peers, 200), horizon(rounds, peers) // steps
    x = start(peers)

    def stops(engine: Simulator | Peer, rows: slice) -> int:
        for run in engine.rounds(engine.init(x[rows])):
            if run.round % steps == 0 and engine.settled(converged[run.round // steps, rows]):
                return run.round
        raise AssertionError

    def act(i: int, exchange: Exchange) -> int:
        return stops(
            Peer(exchange, Consensus(), None, rounds, Mixing(), hops, changing=True), slice(i, i + 1)
        )

    simulator = Simulator(Consensus(), None, rounds, Mixing(), hops, changing=True)
    stopped = stops(simulator, slice(None))
    assert set(live("memory", graph, act)) == {stopped}
    first = next(k for k in range(1, 200) if converged[k].all())
    assert stopped // steps >= first + hops
    assert converged[stopped // steps - hops].all()


@everywhere
def test_nobody_is_further_ahead_than_the_horizon(name: str) -> None:
    """The size of inbox that a peer needs if it has not yet sent round `begin` and all others go on as far as they can."""
    graph, rounds = WORLDS[name]
    peers, hops = len(graph), horizon(rounds, len(graph))
    for slow, begin in product(range(peers), range(1, 8)):
        spoken = [begin - 1 if peer == slow else begin for peer in range(peers)]  # the last rounds sent
        moved = True
        while moved:
            moved = False
            for peer in range(peers):
                links = arriving(rounds(spoken[peer]))
                awaited = links.senders[links.receivers == peer].tolist()
                if peer != slow and all(spoken[other] >= spoken[peer] for other in awaited):
                    spoken[peer] += 1
                    moved = True
                    assert spoken[peer] - begin <= hops
    assert hops < AHEAD, "the default inbox is long enough for these worlds"
