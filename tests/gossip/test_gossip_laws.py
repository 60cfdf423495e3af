"""Laws that hold for every run of gossip learning."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from gossip_worlds import SVM, Still, after, rows, world
from sparing import sparing

from gossipfl import topology
from gossipfl.gossip import (
    EXTREME,
    LOST,
    MISSED,
    RECEIVED,
    SENT,
    Fresh,
    Generalised,
    Gossip,
    GossipLearning,
    MergeUpdate,
    Network,
    Pegasos,
    Randomised,
    Shards,
    Simple,
    UpdateMerge,
    Walk,
    by_age,
    error,
    similarity,
    voted_error,
)
from gossipfl.models import LOSSES

BAD_WEATHER = {"loss": 0.3, "delay": (0.5, 3.0), "online": 0.8, "session": 5.0}
ACCOUNTS = [Simple(3), Generalised(6, 2), Randomised(6, 2), Randomised(1, 1)]


def copy(run):
    return type(run)._make(
        copy(v) if isinstance(v, tuple) else v if isinstance(v, int) else deepcopy(v) for v in run
    )


def same(a, b):
    return all(
        same(p, q) if isinstance(p, tuple) else np.array_equal(p, q) for p, q in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_run_that_goes_on_is_one_that_never_stopped_and_leaves_its_past_alone(dtype):
    learning = GossipLearning(SVM, control=Generalised(4, 2), cache=3)
    engine = world(12, learning, dtype=dtype, **BAD_WEATHER)
    runs = [engine.init()]
    kept = [copy(runs[0])]
    for _ in range(12):
        runs.append(engine.cycle(runs[-1]))
        kept.append(copy(runs[-1]))
    assert all(map(same, runs, kept)), "later cycles must not write into an earlier run"
    end = after(world(12, learning, dtype=dtype, **BAD_WEATHER), 5, kept[7])
    assert same(end, runs[12])
    assert end.models.dtype == dtype
    assert not same(end.models, after(world(12, learning, 1, dtype=dtype, **BAD_WEATHER), 12).models)


@pytest.mark.parametrize("exchange", ["push", "pull", "push-pull"])
def test_every_message_is_somewhere(exchange):
    run = after(world(30, GossipLearning(SVM, exchange=exchange), **BAD_WEATHER), 20)
    sent, lost, received, missed = run.tally.sum(0).tolist()
    assert sent == lost + received + missed + int((run.letters.due >= run.tick).sum())
    assert min(sent, lost, received, missed) > 0


def test_a_clock_without_jitter_wakes_once_a_cycle_and_one_with_it_on_average():
    steady = after(world(20, GossipLearning(SVM, jitter=0.0)), 9)
    assert (steady.tally[:, SENT] == 9).all()
    shaky = after(world(50, GossipLearning(SVM), ticks=20), 40)
    assert abs(int(shaky.tally[:, SENT].sum()) - 2000) < 4.5 * 0.1 * 40**0.5 * 50**0.5 + 25


@pytest.mark.parametrize("control", ACCOUNTS)
def test_a_token_account_keeps_within_its_bounds_and_loses_nothing(control):
    engine = world(20, GossipLearning(SVM, control=control, jitter=0.0), delay=(0.0, 1.0))
    run, sent = engine.init(), []
    for cycle in range(1, 41):
        run = engine.cycle(run)
        sent.append(run.tally[:, SENT])
        assert (run.tokens >= 0).all()
        assert (run.tokens <= control.capacity).all()
        assert (run.tokens + run.tally[:, SENT] == cycle).all(), "each wake-up is a message or a token"
    history = np.stack(sent)
    for stretch in (1, 5, 20):
        burst = history[stretch:] - history[:-stretch]
        assert int(burst.max()) <= stretch + control.capacity
    assert int(history[-1].sum()) > 20 * (40 - control.capacity - 1)
    assert int((history[1:] - history[:-1]).max()) > 1 or control.capacity == 1, "messages are passed on"


def test_what_is_sent_goes_along_links_and_everybody_gets_a_share():
    links = topology.WEIGHTS["metropolis"](topology.load("ring:6"))
    letters = after(world(6, links=links, delay=(5.0, 5.0)), 4).letters
    assert {(s - r) % 6 for s, r in zip(letters.sender.tolist(), letters.receiver.tolist(), strict=True) if s >= 0} == {
        1,
        5,
    }  # fmt: skip
    heard = after(world(5, ticks=2), 300).tally[:, RECEIVED]
    assert float(((heard - 300.0) ** 2 / 240).sum()) < 24, "multinomial: 1 in 10,000 seeds"


def test_losses_and_delays_are_as_frequent_and_as_long_as_told():
    run = after(world(200, loss=0.5, delay=(1.0, 10.0), ticks=4), 50)
    sent, lost = run.tally[:, :2].sum(0).tolist()
    assert abs(lost - sent / 2) < 4.5 * sent**0.5 / 2
    letters = after(world(2000, delay=(1.0, 10.0)), 1).letters
    way = (letters.due - letters.sent)[letters.due >= 0]
    assert way.min() == 5
    assert way.max() == 50
    assert abs(float(way.mean()) - 27.5) < 4.5 * 13 / 2000**0.5


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_sessions_keep_the_share_online_from_the_very_beginning(spread):
    engine = world(1000, GossipLearning(Still()), ticks=2, online=0.9, session=9.0, spread=spread)
    run = engine.init()
    for _ in range(12):
        assert abs(int(run.online.sum()) - 900) < 4.5 * 90**0.5
        run = engine.cycle(run)
    began = engine.network.length(np.ones(4001, bool), np.linspace(0.0001, 0.9999, 4001), 1000)
    assert float(began.mean()) == pytest.approx(9000, rel=0.02)
    assert run.tally[:, MISSED].sum() > 0


def test_who_is_offline_keeps_its_model_and_says_nothing():
    engine = world(40, online=0.5, session=4.0)
    run = engine.init()
    for _ in range(10):
        later = engine.cycle(run)
        away = ~run.online & (run.until >= later.tick)
        assert away.any()
        assert torch.equal(later.x[away], run.x[away])
        assert (later.tally[away] == run.tally[away])[:, [SENT, RECEIVED]].all()
        run = later


def start(peers, width=5):
    return torch.arange(peers * width, dtype=torch.float64).view(peers, width).sin()


def test_walks_that_learn_nothing_only_carry_models_about():
    x = start(8)
    run = after(world(8, GossipLearning(Still(), Walk())), 10, world(8).init(x))
    assert (run.x[:, None] == x).all(2).any(1).all()


@pytest.mark.parametrize(
    "create", [MergeUpdate(own=True), UpdateMerge(own=True), MergeUpdate(by_age), MergeUpdate(Fresh(3))]
)
@pytest.mark.parametrize("exchange", ["push", "push-pull"])
def test_merging_stays_within_what_there_was_and_comes_to_agree(create, exchange):
    x = start(8)
    engine = world(8, GossipLearning(Still(), create, exchange=exchange), loss=0.2)
    run = after(engine, 150, engine.init(x))
    assert (run.x <= x.amax(0)).all()
    assert (run.x >= x.amin(0)).all()
    assert float((run.x - run.x.mean(0)).abs().max()) < 1e-3
    alike = engine.init(x[:1].expand(8, 5))
    assert torch.allclose(after(engine, 5, alike).x, x[:1].expand(8, 5), rtol=1e-15, atol=0), (
        "equal ones stay"
    )


def test_ages_count_steps():
    for steps in (1, 3):
        for create in (Walk(), MergeUpdate(own=True), UpdateMerge()):
            engine = world(10, GossipLearning(SVM, create, steps=steps))
            run = engine.init()
            for _ in range(10):
                later = engine.cycle(run)
                assert (later.ages % steps == 0).all()
                assert later.ages.max() <= steps * later.tally[:, RECEIVED].sum()
                if create.own:
                    heard = later.tally[:, RECEIVED] - run.tally[:, RECEIVED]
                    assert (later.ages >= run.ages + steps * heard).all()
                run = later


@pytest.mark.parametrize("loss", ["svm", "logistic"])
@pytest.mark.parametrize("network", sparing([Network(), EXTREME]))
def test_peers_with_one_row_each_learn_what_all_rows_say(loss, network):
    data = rows(60, most=1, seed=4)
    x, y = (np.concatenate([part[k] for part in data]) for k in (0, 1))
    test = torch.tensor(x), torch.tensor(y)
    learning = GossipLearning(Pegasos(LOSSES[loss](), l2=0.01), cache=5)
    engine = Gossip(learning, Shards.of(data, torch.float64), network, seed=2)
    run = after(engine, 150 if network.churn else 50)
    assert float(error(run, *test).mean()) < 0.1
    assert float(voted_error(run, *test).mean()) < 0.1
    assert similarity(run) > 0.8
    first = after(engine, 1)
    assert float(error(first, *test).mean()) > 0.2, "there is something to learn"


def test_nothing_is_lost_on_a_perfect_network():
    assert not after(world(10), 10).tally[:, [LOST, MISSED]].any()
