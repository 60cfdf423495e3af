"""Conditions leave out the right links, depend only on seed, round and numbers, and change nothing else."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from topology_graphs import graph, pairs

from gossipfl.errors import BadExperiment
from gossipfl.topology import (
    WEIGHTS,
    Links,
    Topology,
    churn,
    dropping,
    lossy,
    partition,
    schedule,
    static,
    stochastic,
    stragglers,
    symmetric,
)  # fmt: skip

N = 16
LINKS = WEIGHTS["metropolis"](graph("torus:4x4"))
TORUS = static(LINKS)
CONDITIONS: dict[str, Callable[[Topology], Topology]] = {
    "lossy": lambda t: lossy(t, 0.3, 5),
    "dropping": lambda t: dropping(t, 0.3, 5),
    "churn": lambda t: churn(t, N, 0.8, 6, 5),
    "partition": lambda t: partition(t, [range(8), [8, 9]], 3, 20),
    "stragglers": lambda t: stragglers(t, [2, 7, 11], 10, 5),
}
each = pytest.mark.parametrize("name", CONDITIONS)


def same(a: Links, b: Links) -> bool:
    return all(x is y is None or np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_whoever_is_away_is_said_whatever_else_goes_wrong() -> None:
    told = {k: churn(TORUS, N, 0.7, 6, 5)(k).present for k in range(20)}
    others = [make for name, make in CONDITIONS.items() if name != "churn"]
    for make in others:
        for both in (make(churn(TORUS, N, 0.7, 6, 5)), churn(make(TORUS), N, 0.7, 6, 5)):
            assert all(np.array_equal(both(k).present, present) for k, present in told.items())
    twice = churn(churn(TORUS, N, 0.7, 6, 5), N, 0.7, 6, 8)
    assert all(
        np.array_equal(twice(k).present, told[k] & churn(TORUS, N, 0.7, 6, 8)(k).present) for k in told
    )
    for k, present in told.items():
        assert away(churn(TORUS, N, 0.7, 6, 5)(k)) >= {*np.flatnonzero(~present).tolist()}
        assert {(i, j) for i, j in pairs(LINKS) if present[i] and present[j]} == {
            *pairs(churn(TORUS, N, 0.7, 6, 5)(k))
        }


@each
def test_no_draw_depends_on_the_order_or_on_other_links(name: str) -> None:
    one, other = CONDITIONS[name](TORUS), CONDITIONS[name](TORUS)
    there, back = [one(k) for k in range(30)], [other(k) for k in reversed(range(30))]
    assert all(same(a, b) for a, b in zip(there, reversed(back), strict=True))
    half = np.arange(len(LINKS.receivers)) % 3 > 0
    fewer = Links(LINKS.receivers[half], LINKS.senders[half], LINKS.weights[half])
    part = CONDITIONS[name](static(fewer))
    for k in range(30):
        whole, some = one(k), part(k)
        if name == "lossy":
            assert np.array_equal(whole.arrives[half], some.arrives)
        else:
            assert [p for p in pairs(whole) if p in pairs(fewer)] == pairs(some)


@each
def test_what_is_left_is_as_it_was(name: str) -> None:
    weight = dict(zip(pairs(LINKS), LINKS.weights.tolist(), strict=True))
    condition = CONDITIONS[name](TORUS)
    counts = []
    for k in range(30):
        links = condition(k)
        assert pairs(links) == sorted(pairs(links))
        assert links.weights.tolist() == [weight[pair] for pair in pairs(links)]
        assert (links.arrives is not None) == (name == "lossy")
        assert name == "lossy" or (symmetric(links) and stochastic(links, N)[1])
        counts.append(len(links.weights) if links.arrives is None else int(links.arrives.sum()))
    assert len(set(counts)) > 1


def test_loss_keeps_the_very_same_arrays() -> None:
    topology = lossy(TORUS, 0.5, 1)
    for k in range(5):
        assert all(a is b for a, b in zip(topology(k)[:3], LINKS[:3], strict=True))
    assert not stochastic(topology(0), N)[1]
    assert lossy(TORUS, 0.0) is TORUS
    assert not lossy(TORUS, 1.0)(0).arrives.any()
    twice = lossy(topology, 0.5, 2)(3).arrives
    assert np.array_equal(twice, topology(3).arrives & lossy(TORUS, 0.5, 2)(3).arrives)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_so_many_are_lost_each_independently(p: float) -> None:
    arrived = np.stack([lossy(TORUS, p, 9)(k).arrives for k in range(2000)])
    assert np.abs(arrived.mean(axis=0) - (1 - p)).max() < 6 * 0.5 / np.sqrt(2000)
    assert np.abs(np.corrcoef(arrived.T) - np.eye(arrived.shape[1])).max() < 6 / np.sqrt(2000)
    dropped = np.mean([len(dropping(TORUS, p, 9)(k).weights) for k in range(500)]) / len(LINKS.weights)
    assert dropped == pytest.approx(1 - p, abs=0.05)


def away(links: Links) -> set[int]:
    """The peers of 16 that have no link left."""
    return {*np.flatnonzero(np.bincount(links.receivers, minlength=N) == 0).tolist()}


def test_peers_come_and_go_in_sessions() -> None:
    full = static(WEIGHTS["metropolis"](graph("full:16")))
    topology = churn(full, 16, 0.75, 10, 2)
    there = np.array([np.bincount(topology(k).receivers, minlength=N) > 0 for k in range(2000)])
    assert there.mean() == pytest.approx(0.75, abs=0.05)
    for column in there.T:
        turns = np.flatnonzero(np.diff(column)) + 1
        assert len(turns) > 20
        assert (np.diff(turns) % 10 == 0).all(), "sessions begin at a round of the peer's own"
    assert len({int(np.flatnonzero(np.diff(column))[0] % 10) for column in there.T}) > 3
    for k in range(30):
        assert {p for p in pairs(full(k)) if not away(topology(k)) & {*p}} == {*pairs(topology(k))}
    assert churn(full, 16, 1.0, 10)(5) is full(5)


def test_a_partition_cuts_between_groups_and_heals() -> None:
    groups = [{*range(8)}, {8, 9}, {*range(10, 16)}]
    topology = CONDITIONS["partition"](TORUS)
    inside = [(i, j) for i, j in pairs(LINKS) if any({i, j} <= group for group in groups)]
    assert topology(2) is topology(20) is LINKS
    assert pairs(topology(3)) == pairs(topology(19)) == inside
    assert topology(3) is topology(4), "cut once"


def test_stragglers_take_part_in_each_tenth_round() -> None:
    topology = CONDITIONS["stragglers"](TORUS)
    for k in range(40):
        assert away(topology(k)) <= {2, 7, 11}
    for slow in (2, 7, 11):
        turns = [k for k in range(40) if slow not in away(topology(k))]
        assert len(turns) == 4
        assert {b - a for a, b in pairwise(turns)} == {10}
    assert stragglers(TORUS, [3], 1)(4) is LINKS
    assert stragglers(TORUS, [], 10)(4) is LINKS


@each
def test_conditions_go_on_schedules_and_on_silence(name: str) -> None:
    for spec in ("one-peer-exp:16", "matching:16", "epidemic:16:3"):
        inner = schedule(graph(spec), seed=1)
        for k in range(6):
            assert {*pairs(CONDITIONS[name](inner)(k))} <= {*pairs(inner(k))}
    assert not len(CONDITIONS[name](schedule(graph("ring:1")))(4).weights)


def test_senseless_conditions_are_refused() -> None:
    for make, words in [
        (lambda: lossy(TORUS, 1.5), "losing a message.*from 0 to 1"), (lambda: dropping(TORUS, -1), "failing.*from 0 to 1"),
        (lambda: churn(TORUS, N, 2, 5), "online.*from 0 to 1"), (lambda: churn(TORUS, N, 0.5, 0), "sessions.*1 or more"),
        (lambda: stragglers(TORUS, [1], 0), "1 or more"),
    ]:  # fmt: skip
        with pytest.raises(BadExperiment, match=words):
            make()
