"""Simulated gossip as an engine: it does the same cycles as the library, and reports them correctly."""

from itertools import islice

import pytest
import torch
from gossip_worlds import SVM, world
from test_gossip_laws import BAD_WEATHER, copy, same

from gossipfl.gossip import RECEIVED, SENT, Cycles, Generalised, GossipLearning
from gossipfl.gossip.letters import ASKS, CARRIES


def engine(**more):
    return Cycles(world(12, GossipLearning(SVM, control=Generalised(4, 2), cache=3), **BAD_WEATHER | more))


def zeros():
    return torch.zeros(12, 5, dtype=torch.float64)


def test_a_round_is_a_cycle_bit_for_bit():
    cycles, plain = engine(), engine().gossip
    runs = islice(cycles.rounds(cycles.init(zeros())), 15)
    for run, own in zip(runs, plain.cycles(plain.init()), strict=False):
        assert same(run.state, own)
        assert torch.equal(run.state.x, own.x)
    assert run.round == 15


def test_a_run_that_was_kept_goes_on_as_if_it_had_never_stopped():
    cycles = engine()
    runs = list(islice(cycles.rounds(cycles.init(zeros())), 12))
    again = runs[6]._replace(state=copy(runs[6].state))
    *_, end = islice(engine().rounds(again), 5)
    assert end.round == runs[11].round == 12
    assert same(end.state, runs[11].state)


def test_disagreement_is_the_distance_from_what_was_heard_last():
    cycles = engine()
    first = cycles.init(zeros())
    assert first.replicas is None
    run = next(run for run in cycles.rounds(first) if run.state.tally[:, RECEIVED].any())
    heard = run.state.tally[:, RECEIVED] > 0
    assert not heard.all(), "some peers have heard nothing yet"
    for i, apart in enumerate(cycles.disagreement(run).tolist()):
        x, r = run.state.x[i], run.state.last[i]
        assert apart == pytest.approx(float((r - x).norm() / x.norm()) if heard[i] else 0.0, rel=1e-14)
    assert not cycles.settled(torch.ones(12, dtype=torch.bool))


@pytest.mark.parametrize("exchange", ["push", "pull", "push-pull"])
def test_bytes_are_those_of_the_models(exchange):
    learning = GossipLearning(SVM, exchange=exchange, jitter=0.0)
    cycles = Cycles(world(10, learning, loss=0.2))
    *_, run = islice(cycles.rounds(cycles.init(torch.zeros(10, 5, dtype=torch.float64))), 20)
    sent = int(run.state.tally[:, SENT].sum())
    woken = 10 * 20
    models = {"push": woken, "pull": sent - woken, "push-pull": sent}[exchange]
    assert cycles.messages_sent == sent
    assert cycles.bytes_sent == 8 * 5 * models > 0
    assert (learning.kind & CARRIES > 0, learning.kind & ASKS > 0) == (exchange != "pull", exchange != "push")
