"""Gossip learning from an experiment: the library's very models, what is refused, and what is said of the end."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from runs import carry_out, models, settings

from gossipfl import topology
from gossipfl.config.file import dump, parse
from gossipfl.config.gossip import GossipSettings as Settings
from gossipfl.data import partition, read, split
from gossipfl.errors import BadExperiment
from gossipfl.experiment.evaluation.verdict import verdict
from gossipfl.experiment.launch.launch import run
from gossipfl.experiment.study.gossip import learning, network
from gossipfl.experiment.study.make import study
from gossipfl.gossip import (
    EXTREME,
    Descent,
    Fresh,
    Generalised,
    Gossip,
    GossipLearning,
    MergeUpdate,
    Network,
    Pegasos,
    Proactive,
    Randomised,
    Shards,
    Simple,
    UpdateMerge,
    Walk,
    by_age,
    equal,
)  # fmt: skip
from gossipfl.models import LOSSES


def gossip(**changes: Any) -> dict[str, Any]:
    base = {
        "algorithm__kind": "gossip-learning", "model__kind": "svm", "model__l2": 0.01, "data__partition": {"scheme": "iid"},
    }  # fmt: skip
    return settings(**(base | changes))


def blocks() -> tuple[list[tuple[Any, Any]], tuple[Any, Any]]:
    """Each peer's training rows and all test rows, unstandardised."""
    found = read("breast_cancer", None)
    assert not isinstance(found, dict)
    parts = [split(part, 0.2, 0) for part in partition(found, {"scheme": "iid"}, [*"01234567"], 0)]
    rows = [(part.features.to_numpy(float), part.target.to_numpy(float)) for part in parts]
    train = [(x[~part.test], y[~part.test]) for (x, y), part in zip(rows, parts, strict=True)]
    test = [(x[part.test], y[part.test]) for (x, y), part in zip(rows, parts, strict=True)]
    return train, (np.concatenate([x for x, _ in test]), np.concatenate([y for _, y in test]))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("step", ["auto", 1e-7])
def test_the_simulated_experiment_is_the_library_bit_for_bit(dtype, step, tmp_path):
    raw = gossip(
        data__standardise="none", algorithm__step=step, algorithm__local_steps=3, model__dtype=dtype, stop__rounds=30,
        topology__loss=0.3, seed=0, peers__report=1,
        gossip={"create": "update-merge", "mean": "age", "own": True, "cache": 4, "delay": [0.5, 2.0], "online": 0.8,
                "session": 7.0, "control": "generalised", "capacity": 4, "spend": 2, "jitter": 0.2},
    )  # fmt: skip
    summary, lines = carry_out("simulator", raw, tmp_path / "run")
    train, (x, y) = blocks()
    loss = LOSSES["svm"]()
    rule = Pegasos(loss, 0.01) if step == "auto" else Descent(loss, step, 0.01)
    plain = Gossip(
        GossipLearning(rule, UpdateMerge(by_age, True), Generalised(4, 2), steps=3, cache=4, jitter=0.2),
        Shards.of(train, getattr(torch, dtype)),
        Network(0.3, (0.5, 2.0), 0.8, 7.0),
        topology.WEIGHTS["metropolis"](topology.load("ring:8")),
    )
    *_, end = islice(plain.cycles(plain.init()), 30)
    assert end.x.any()
    assert torch.equal(models(tmp_path / "run", [*"01234567"]), end.x)
    assert [line.round for line in lines] == list(range(1, 31))
    assert summary["rounds"] == 30
    rows = torch.tensor(x, dtype=end.x.dtype), y
    wrong = [float(np.mean((rows[0] @ w[:-1] + w[-1] > 0).numpy() != (y > 0))) for w in end.x]
    assert summary["test"]["own"]["error"] == pytest.approx(np.mean(wrong), abs=1e-12)
    assert summary["test"]["own"]["deviation"] == pytest.approx(np.std(wrong), abs=1e-12)
    votes = [sum(torch.sign(rows[0] @ w[:-1] + w[-1]) for w in kept).numpy() for kept in end.models]
    voted = np.mean([np.mean((vote > 0) != (y > 0)) for vote in votes])
    assert summary["test"]["voted"]["error"] == pytest.approx(voted, abs=1e-12)


WAYS = [
    ({}, Pegasos(LOSSES["svm"](), 0.01), MergeUpdate(equal), Proactive(), "push"),
    ({"algorithm__step": 0.1, "model__kind": "linear"}, Descent(LOSSES["linear"](), 0.1, 0.01), MergeUpdate(), Proactive(),
     "push"),
    ({"gossip": {"create": "walk", "exchange": "push-pull"}}, Pegasos(LOSSES["svm"](), 0.01), Walk(), Proactive(),
     "push-pull"),
    ({"gossip": {"mean": "fresh", "patience": 7, "control": "simple", "capacity": 3}}, Pegasos(LOSSES["svm"](), 0.01),
     MergeUpdate(Fresh(7)), Simple(3), "push"),
    ({"gossip": {"create": "update-merge", "control": "randomised", "capacity": 6, "spend": 2}},
     Pegasos(LOSSES["svm"](), 0.01), UpdateMerge(), Randomised(6, 2), "push"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "rule", "create", "control", "exchange"), WAYS, ids=range(len(WAYS)))
def test_keys_become_parts(changes, rule, create, control, exchange):
    made = study(parse(gossip(**changes)))
    assert learning(made) == GossipLearning(rule, create, control, exchange)


def test_the_extreme_network_is_written_in_four_keys():
    e = parse(gossip(topology__loss=0.5, gossip={"delay": [1, 10], "online": 0.9}))
    assert network(e) == EXTREME
    assert parse(gossip(gossip=e.gossip.model_dump())).gossip == e.gossip
    assert "delay = [\n    1.0,\n    10.0,\n]" in dump(e)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model__l2": 0.0}, "set model.l2 above 0, for example 1e-4, or set algorithm.step to a number"),
        ({"model__kind": "squared-svm"}, "set algorithm.step to a number"),
        ({"model__kind": "poisson"}, "set algorithm.step to a number"),
        ({"model__kind": "softmax"}, 'set model.kind = "svm" or "logistic"'),
        ({"model__l1": 0.1}, "set model.l1 = 0"),
        ({"model__intercept": False}, "leave out model.intercept"),
        ({"algorithm__batch": 8}, "algorithm.batch = .*is not used"),
        ({"algorithm__decay": {"rounds": 5}}, "algorithm.decay = .*is not used"),
        ({"algorithm__momentum": 0.5}, "algorithm.momentum = .*is not used"),
        ({"algorithm__gamma": 0.5}, "algorithm.gamma = .*is not used"),
        ({"algorithm__exchanges": 2}, "algorithm.exchanges = .*is not used"),
        ({"algorithm__mu": 0.5}, "algorithm.mu = .*is not used"),
        ({"algorithm__precondition": 2}, "algorithm.precondition = .*is not used"),
        ({"channel__compress": "int8"}, 'set channel.compress = "none"'),
        ({"stop__tolerance": 1e-6}, "set stop.tolerance = 0"),
        ({"topology__drop": 0.1}, "use topology.loss, and leave out topology.drop"),
        ({"topology__weights": "lazy"}, "leave out topology.weights"),
        ({"topology__graph": "one-peer-exp:8"}, "use a topology that does not change"),
        ({"topology__graph": "ring:1"}, "at least two peers"),
        ({"reference": True}, "set reference = false"),
        (
            {"gossip": {"exchange": "pull", "control": "simple"}},
            'set gossip.exchange = "push", or gossip.control = "proactive"',
        ),
        ({"gossip": {"control": "generalised", "capacity": 2}}, "spend is above capacity"),
        ({"gossip": {"delay": [3, 1]}}, "set a to at most b"),
        ({"gossip": {"jitter": 0.5}}, r"gossip.jitter = 0.5: input should be less than or equal to 0.3"),
        ({"gossip": {"creat": "walk"}}, "unknown key gossip.creat: did you mean create?"),
        ({"gossip": {"create": "merge-updat"}}, 'did you mean "merge-update"?'),
        ({"algorithm__kind": "auto", "gossip": {"own": True}}, 'algorithm.kind = "gossip-learning"'),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_the_way_out(changes, sentence):
    with pytest.raises(BadExperiment, match=sentence):
        study(parse(gossip(**changes)))


@pytest.mark.parametrize("told", [{"delay": [0, 1]}, {"online": 0.9}])
def test_live_peers_refuse_what_only_simulated_time_has(told, tmp_path):
    with pytest.raises(BadExperiment, match="use gossipfl simulate, or set gossip"):
        next(run(parse(gossip(gossip=told)), tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_other_methods_leave_gossips_keys_alone():
    """So that one file can compare them, in a sweep."""
    assert study(parse(settings(gossip={"own": True}))).names == [*"01234567"]


def test_peers_agree_on_everything_but_their_periods():
    def mark(**told):
        return study(parse(gossip(gossip=told))).fingerprint

    assert mark() == mark(period=0.5) == mark(cache=1)
    assert len({mark(), mark(cache=2), mark(own=True), mark(mean="age")}) == 4


def test_pegasos_long_first_steps_are_no_divergence_and_a_step_that_is_too_long_is(tmp_path):
    raw = gossip(model__l2=1e-5, stop__rounds=100, algorithm__local_steps=5)
    summary, lines = carry_out("simulator", raw, tmp_path / "pegasos")
    assert max(line.loss for line in lines) > 2000
    assert summary["stopped"] == "rounds"
    assert summary["test"]["own"]["error"] < 0.1
    raw = gossip(model__kind="linear", data__source="diabetes", algorithm__step=9.0, stop__rounds=1000)
    summary, _ = carry_out("simulator", raw, tmp_path / "descent")
    assert summary["stopped"] == "diverged"
    assert "Try a smaller algorithm.step (it was 9)" in verdict(summary, 0.0)[1]


def test_numbers_are_learned_too_and_judged_by_rmse(tmp_path):
    raw = gossip(
        model__kind="linear",
        data__source="diabetes",
        algorithm__step=0.003,
        algorithm__local_steps=5,
        stop__rounds=200,
        reference=True,
    )
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    assert summary["test"]["own"]["rmse"] < 1.1 * summary["pooled"]["test"]["all"]["rmse"]
    assert summary["distance_to_optimum"] < 0.5
    assert f"test RMSE {summary['test']['own']['rmse']:.3f} (mean over the peers)" in verdict(summary, 0.0)[1]


def test_sparse_features_are_refused(tmp_path):
    rows = [f"{i % 2} {1 + i % 5}:{i / 60} 9:1" for i in range(80)]
    (tmp_path / "rows.svm").write_text("\n".join(rows) + "\n")
    raw = gossip(data__source=str(tmp_path / "rows.svm"), data__standardise="none")
    with pytest.raises(BadExperiment, match="needs dense features"):
        carry_out("simulator", raw, tmp_path / "run")


def test_directed_links_say_who_may_speak_to_whom(tmp_path):
    raw = gossip(topology__graph="directed-ring:8", algorithm__local_steps=10, stop__rounds=60)
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    assert summary["test"]["own"]["error"] < 0.1
    assert summary["messages_sent"] > 0


def test_the_verdict_says_how_far_apart_peers_are_and_is_content(tmp_path):
    summary, _ = carry_out("simulator", gossip(stop__rounds=20), tmp_path / "run")
    assert not summary["agreed"]
    code, told = verdict(summary, 0.0)
    assert code == 0
    assert told == (
        "8 peers gossiped for 20 cycles, and each has its own model: the largest difference from their mean is "
        f"{100 * summary['consensus_distance']:.0f} %; test error {summary['test']['own']['error']:.3f} (mean over the peers)"
    )
    assert verdict(summary | {"consensus_distance": None, "test": None}, 0.0)[1].endswith(
        "the largest difference from their mean is infinite"
    )


def test_the_section_is_one_of_its_own():
    assert parse(settings()).gossip == Settings()
