"""The laws of docs/design.md, each over the table of all algorithms, mixings and proximal maps."""

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from worlds import (
    INSTANCES,
    PEERS,
    PLAIN,
    Instance,
    Toy,
    after,
    graphs,
    live,
    metropolis,
    neighbours,
    rng_converged,
    run_live,
    simulate,
    start,
    timetable,
)

from gossipfl import topology
from gossipfl.algorithms import (
    ALGORITHMS,
    DPSGD,
    Consensus,
    Grad,
    Ingredients,
    Iterate,
    Mix,
    leaves,
    made,
)
from gossipfl.engine import Run
from gossipfl.mixing import Mixing, PullAndPush
from gossipfl.peer import Exchange, Peer, Quorum
from gossipfl.peer.inbox import AHEAD
from gossipfl.simulator import Simulator
from gossipfl.testing.laws import (
    account_law,
    close,
    engine_law,
    frozen,
    identical,
    mean_law,
    mix_law,
    resume_law,
    row_law,
    thawed,
)

every_instance = pytest.mark.parametrize("instance", INSTANCES, ids=str)
RING = topology.load(f"ring:{PEERS}")
GRAPHS = graphs()


@every_instance
@pytest.mark.parametrize("law", [row_law, mix_law, account_law], ids=lambda law: law.__name__)
def test_law(instance: Instance, law: Callable[[Instance], None]) -> None:
    law(instance)


@pytest.mark.parametrize("times", [0, 2])
@pytest.mark.parametrize("period", [1, 2])
def test_an_algorithm_that_mixes_never_or_twice_is_stopped(times: int, period: int) -> None:
    class Wrong(Consensus):
        def round(self, s: Iterate, grad: Grad, mix: Mix) -> Iterate:
            for _ in range(times):
                mix(s.x)
            return s

    with pytest.raises(RuntimeError, match=f"mixed {times} times in one round: a round mixes exactly once"):
        simulate(Instance("wrong", lambda _: Wrong(), Mixing()), 1, RING, period=period)


@every_instance
@pytest.mark.parametrize("spec", GRAPHS)
def test_mean_law(instance: Instance, spec: str) -> None:
    pulled = isinstance(instance.mixing.aggregator, PullAndPush)  # its first block is not a weighted average
    mean_law(instance, spec, slice(int(pulled), None))


def test_the_exact_methods_have_accounts() -> None:
    assert {name for name in ALGORITHMS if made(name, Ingredients(0.1)).accounts} == {
        "exact-diffusion", "nids", "d2", "extra", "opapc", "gradient-tracking",
    }  # fmt: skip


@pytest.mark.parametrize("instance", PLAIN, ids=str)
def test_replica_law(instance: Instance) -> None:
    """A peer holds exactly the replica of a neighbour that the neighbour assumes."""
    runs = run_live("memory", instance, 5, RING, batch=3, period=2)
    around = neighbours(RING)
    for k in range(2, 6):
        replicas: list[Tensor] = [
            runs[i][k].replicas for i in range(PEERS)
        ]  # mine first, then the neighbours'
        for i, mine in enumerate(replicas):
            assert torch.equal(mine[1:], torch.cat([replicas[j][:1] for j in around[i]]))


@every_instance
@pytest.mark.parametrize("stop", [0, 1, 7])
def test_resume_law_of_the_simulator(instance: Instance, stop: int) -> None:
    resume_law(instance, stop)


@every_instance
def test_a_resumed_simulator_measures_the_disagreement(instance: Instance) -> None:
    run = simulate(instance, 12, RING, batch=3, period=2)[-1]
    toy = Toy(range(PEERS), 3)
    again = Simulator(instance.make(toy), toy, timetable(RING, 2), instance.mixing)
    close(again.disagreement(thawed(frozen(run), run)), disagreement(run))


def disagreement(run: Run) -> Tensor:
    """The largest relative distance to a neighbour in the first tensor that was sent, peer by peer."""
    r = run.replicas[:, : run.state.x.shape[1]]
    return torch.stack(
        [max((r[j] - r[i]).norm() / r[i].norm() for j in around) for i, around in enumerate(neighbours(RING))]
    )


@pytest.mark.parametrize("instance", PLAIN, ids=str)
def test_resume_law_of_live_peers(instance: Instance) -> None:
    """At a round beyond the look-ahead of an inbox."""
    stop, rounds = AHEAD + 1, AHEAD + 6
    runs = run_live("memory", instance, rounds, RING, batch=3)

    def act(i: int, exchange: Exchange) -> tuple[list[Run], Tensor]:
        toy = Toy([i], 3)
        peer = Peer(exchange, instance.make(toy), toy, timetable(RING, 1), instance.mixing)
        resumed = after(peer, thawed(frozen(runs[i][stop]), runs[i][stop]), rounds - stop)
        return resumed, peer.disagreement(resumed[-1])

    whole = simulate(instance, rounds, RING, batch=3)[-1]
    for i, (resumed, apart) in enumerate(live("memory", RING, act)):
        for one, other in zip(runs[i][stop:], resumed, strict=True):
            identical(one, other)
        close(apart, disagreement(whole)[i : i + 1])


@pytest.mark.parametrize("instance", PLAIN, ids=str)
@pytest.mark.parametrize("kind", ["memory", "tcp", "ipc"])
def test_engine_law(instance: Instance, kind: str) -> None:
    """The simulator and live peers have the same numbers after 60 rounds of mini-batches."""
    same_in_both_engines(instance, kind, RING, batch=3)


@every_instance
def test_engine_law_with_local_steps_and_penalties(instance: Instance) -> None:
    engine_law(instance, "line:4", batch=3, period=4)


@pytest.mark.parametrize("spec", GRAPHS)
def test_engine_law_on_other_graphs(spec: str) -> None:
    engine_law(PLAIN[-1], spec, batch=2)


def same_in_both_engines(instance: Instance, kind: str, graph: nx.Graph, batch: int, period: int = 1) -> None:
    expected = simulate(instance, 60, graph, batch, period)[-1]
    runs = [each[-1] for each in run_live(kind, instance, 60, graph, batch=batch, period=period)]
    for name, tensor in leaves(expected.state).items():
        close(torch.cat([leaves(run.state)[name] for run in runs]), tensor)


def test_engine_law_where_some_peers_have_no_edge_this_round() -> None:
    """A schedule of matchings on a line: in each round a peer at an end has no link."""
    graph = GRAPHS["line:4"]
    links = metropolis(graph)
    lowest = np.minimum(links.receivers, links.senders)
    turns = [type(links)(*(t[lowest % 2 == parity] for t in links[:3])) for parity in (0, 1)]
    x, algorithm = start(4), DPSGD(0.1)

    def act(i: int, exchange: Exchange) -> Run:
        peer = Peer(exchange, algorithm, Toy([i], 3, peers=4), lambda k: turns[k % 2])
        return after(peer, peer.init(x[i : i + 1]), 21)[-1]

    simulator = Simulator(algorithm, Toy(range(4), 3, peers=4), lambda k: turns[k % 2])
    expected = after(simulator, simulator.init(x), 21)[-1]
    close(torch.cat([run.state.x for run in live("memory", graph, act)]), expected.state.x)


def test_engine_law_in_single_precision() -> None:
    simulator = Simulator(Consensus(), None, timetable(RING, 1))
    expected = after(simulator, simulator.init(start().float()), 9)[-1].state.x

    def act(i: int, exchange: Exchange) -> Tensor:
        peer = Peer(exchange, Consensus(), None, timetable(RING, 1))
        return after(peer, peer.init(start()[i : i + 1].float()), 9)[-1].state.x

    found = torch.cat(live("memory", RING, act))
    assert found.dtype == expected.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_engines_count_the_same_messages_and_bytes_of_numbers() -> None:
    simulator = Simulator(Consensus(), None, timetable(RING, 2))
    after(simulator, simulator.init(start()), 6)

    def act(i: int, exchange: Exchange) -> tuple[int, int]:
        peer = Peer(exchange, Consensus(), None, timetable(RING, 2))
        after(peer, peer.init(start()[i : i + 1]), 6)
        return peer.messages_sent, peer.bytes_sent

    counts = live("memory", RING, act)
    assert sum(messages for messages, _ in counts) == simulator.messages_sent == 3 * 2 * PEERS
    assert simulator.bytes_sent == simulator.messages_sent * 4 * 8
    headers = sum(sent for _, sent in counts) - simulator.bytes_sent
    assert 0 < headers <= 64 * simulator.messages_sent


histories = st.sampled_from(sorted(GRAPHS)).flatmap(
    lambda spec: st.tuples(
        st.just(spec),
        st.lists(
            st.lists(
                st.sampled_from([True, True, True, False]),
                min_size=len(GRAPHS[spec]),
                max_size=len(GRAPHS[spec]),
            ),
            max_size=14,
        ),
    )
)


@given(histories)
@settings(max_examples=150)
def test_stop_law(case: tuple[str, list[list[bool]]]) -> None:
    """All answer True in the same round, exactly when all were converged D rounds ago."""
    spec, history = case
    graph = GRAPHS[spec]
    diameter, around = topology.diameter(graph), neighbours(graph)
    quorums = [Quorum(diameter) for _ in graph]
    simulator = Simulator(Consensus(), None, timetable(graph, 1), diameter=diameter)
    for k, converged in enumerate(history):
        words = [quorum.speak() for quorum in quorums]
        for i, quorum in enumerate(quorums):
            for j in around[i]:
                quorum.hear(words[j])
        expected = k >= diameter and all(history[k - diameter])
        assert [quorum.settled(c) for quorum, c in zip(quorums, converged, strict=True)] == [expected] * len(
            graph
        )
        assert simulator.settled(torch.tensor(converged)) is expected


@pytest.mark.parametrize("spec", GRAPHS)
def test_live_peers_and_simulator_stop_in_the_same_round(spec: str) -> None:
    """`settled` is called after each exchange, with local steps in between."""
    graph = GRAPHS[spec]
    diameter, peers, x = topology.diameter(graph), len(graph), start(len(graph))
    converged = rng_converged(peers, 60)

    def stops(engine: Any, rows: slice) -> int:
        for run in engine.rounds(engine.init(x[rows])):
            if run.round % 2 == 0 and engine.settled(converged[run.round // 2, rows]):
                return int(run.round)
        raise AssertionError

    def act(i: int, exchange: Exchange) -> int:
        engine = Peer(exchange, Consensus(), None, timetable(graph, 2), diameter=diameter)
        return stops(engine, slice(i, i + 1))

    first = next(k for k in range(1, 60) if converged[k].all())
    simulator = Simulator(Consensus(), None, timetable(graph, 2), diameter=diameter)
    assert {stops(simulator, slice(None)), *live("memory", graph, act)} == {2 * (first + diameter)}
