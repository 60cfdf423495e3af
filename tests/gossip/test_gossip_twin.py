"""The engine (all peers at once) equals an event heap (one peer at a time): the same seed gives the same numbers."""

import pytest
import torch
from gossip_worlds import SVM, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from twin import Twin

from gossipfl import topology
from gossipfl.gossip import (
    Generalised,
    Gossip,
    GossipLearning,
    MergeUpdate,
    Network,
    Proactive,
    Randomised,
    Shards,
    Simple,
    UpdateMerge,
    Walk,
    by_age,
    equal,
)

CREATE = {"walk": Walk, "merge-update": MergeUpdate, "update-merge": UpdateMerge}
MEAN = {"equal": equal, "age": by_age}
CONTROL = {
    "proactive": lambda C, A: Proactive(),
    "simple": lambda C, A: Simple(C),
    "generalised": Generalised,
    "randomised": Randomised,
}


def pair(
    seed, create, control, exchange, network, links, *, peers=6, one_hot=True, steps=1, cache=2, ticks=4
):
    order, weigh, own = create
    made = CREATE[order](own=own) if order == "walk" else CREATE[order](MEAN[weigh], own)
    data = rows(peers, one_hot=one_hot, seed=seed)
    learning = GossipLearning(
        SVM, made, CONTROL[control[0]](*control[1:]), exchange, steps=steps, cache=cache
    )
    engine = Gossip(learning, Shards.of(data, torch.float64), network, links, seed, ticks)
    plain = [[([*map(float, x), 1.0], float(y)) for x, y in zip(*own_rows, strict=True)] for own_rows in data]
    twin = Twin(
        plain, create, control, exchange, network, links, seed, ticks, steps=steps, cache=cache, l2=SVM.l2
    )
    return engine, twin


def compare(engine, twin, cycles, tolerance=0.0):
    run = engine.init()
    for _ in range(cycles):
        run = engine.cycle(run)
        twin.until(run.tick)
        for i, one in enumerate(twin.peers):
            assert run.ages[i] == one.age
            assert run.last_ages[i] == one.last_age
            assert run.tokens[i] == one.tokens
            assert bool(run.online[i]) == one.online
            assert run.tally[i].tolist() == one.tally
        for mine, theirs in (
            (run.models, [one.cache for one in twin.peers]),
            (run.last, [one.last for one in twin.peers]),
        ):
            torch.testing.assert_close(
                mine, torch.tensor(theirs, dtype=torch.float64), rtol=tolerance, atol=tolerance
            )
    return run


creates = st.tuples(st.sampled_from([*CREATE]), st.sampled_from([*MEAN]), st.booleans())
networks = st.builds(
    Network,
    loss=st.sampled_from([0.0, 0.5]),
    delay=st.sampled_from([(0.0, 0.0), (0.2, 3.0)]),
    online=st.sampled_from([1.0, 0.6]),
    session=st.just(3.0),
    spread=st.sampled_from([0.0, 1.0]),
)
overlays = st.sampled_from(["anyone", "ring:6", "star:6"])
exchanges = st.sampled_from(["push", "pull", "push-pull"])
seeds = st.integers(0, 2**40)


def graph(name):
    return None if name == "anyone" else topology.WEIGHTS["metropolis"](topology.load(name))


@settings(max_examples=15)
@given(seeds, creates, exchanges, networks, overlays, st.integers(1, 3))
def test_the_engine_is_its_dumb_twin_bit_for_bit(seed, create, exchange, network, where, steps):
    engine, twin = pair(seed, create, ("proactive", 0, 0), exchange, network, graph(where), steps=steps)
    compare(engine, twin, 5)


@settings(max_examples=12)
@given(
    seeds, creates, st.sampled_from(["simple", "generalised", "randomised"]), st.integers(1, 3), st.integers(0, 4),
    networks, overlays,
)  # fmt: skip
def test_with_a_token_account_too(seed, create, control, spend, more, network, where):
    engine, twin = pair(seed, create, (control, spend + more, spend), "push", network, graph(where))
    compare(engine, twin, 8)


def test_where_sums_are_rounded_the_two_differ_by_rounding_only():
    network = Network(loss=0.3, delay=(0.5, 2.0), online=0.8, session=5.0)
    engine, twin = pair(
        3, ("merge-update", "equal", False), ("randomised", 6, 2), "push", network, None, peers=12, one_hot=False,
    )  # fmt: skip
    run = compare(engine, twin, 30, 1e-10)
    assert run.ages.min() > 5


@pytest.mark.parametrize("ticks", [1, 2, 25])
def test_however_many_things_happen_in_one_tick(ticks):
    engine, twin = pair(
        1, ("merge-update", "age", True), ("generalised", 5, 1), "push", Network(), None, peers=9, ticks=ticks
    )
    compare(engine, twin, 8)
