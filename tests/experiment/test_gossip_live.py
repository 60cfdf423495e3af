"""Gossip learning by real processes: they learn, and nobody waits for those who are killed, stopped or gone."""

import json
import os
import select
import signal
import threading
from itertools import islice

import numpy as np
import pytest
import torch
from runs import carry_out, models
from sparing import sparing
from test_gossip import gossip
from test_peers import by_hand, child, start, until_learning

from gossipfl import rng
from gossipfl.config.file import parse
from gossipfl.experiment.evaluation.verdict import verdict
from gossipfl.experiment.launch.launch import run
from gossipfl.experiment.launch.simulate import simulate
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.study.make import study
from gossipfl.gossip import Pegasos, Shards
from gossipfl.gossip.measure import wrong
from gossipfl.models import LOSSES
from gossipfl.runs.events import Finished, Progress, Struck

NAMES = [*"01234567"]
ENDLESS = {"rounds": 1_000_000}
FAST = {
    "algorithm__kind": "gossip-learning", "model__kind": "svm", "model__l2": 0.01, "algorithm__local_steps": 10,
    "gossip": {"period": 0.02}, "data__partition": {"scheme": "iid"},
}  # fmt: skip


def quick(**changes):
    """Eight peers that wake fifty times a second, and learn from ten rows each time they hear."""
    return gossip(
        algorithm__local_steps=10, topology__graph="regular:8:4", peers__wait=60.0,
        **{"gossip": {"period": 0.02}, "stop__rounds": 150} | changes,
    )  # fmt: skip


def sequential(raw, steps=20_000):
    """The error of one model that learns from all training rows, on the peers' split."""
    parts = tables(study(parse(raw)))
    x, y = (
        np.concatenate([getattr(p, name).to_numpy(float) for p in parts]) for name in ("features", "target")
    )
    test = np.concatenate([p.test for p in parts])
    x = (x - x[~test].mean(0)) / x[~test].std(0)
    pooled, rule, w = Shards.of([(x[~test], y[~test])], torch.float64), Pegasos(LOSSES["svm"](), 0.01), None
    w = torch.zeros(1, pooled.x.shape[1], dtype=torch.float64)
    for t, row in enumerate(rng.generator(0, "sequential").integers(0, len(pooled.x), steps), 1):
        w = rule(w, torch.tensor([t]), pooled.x[row : row + 1], pooled.y[row : row + 1])
    return float(wrong(w, torch.from_numpy(x[test]), torch.from_numpy(y[test])))


def test_eight_processes_learn_what_one_would_though_messages_are_lost(tmp_path):
    raw = quick(topology__loss=0.2, gossip={"period": 0.02, "cache": 5})
    summary, lines = carry_out("peers", raw, tmp_path / "run")
    assert summary["stopped"] == "rounds"
    assert summary["rounds"] == 150
    assert lines[-1].round == 150
    own = summary["test"]["own"]
    alone = sequential(raw)
    assert own["error"] < alone + 0.03
    assert summary["test"]["voted"]["error"] < alone + 0.03
    assert lines[-1].loss < lines[0].loss
    assert summary["peer_status"] == dict.fromkeys(NAMES, "rounds")
    own_models = models(tmp_path / "run", NAMES).unique(dim=0).shape[0]
    assert own_models >= 6, "but for two that heard the same, and had nothing to mend"
    for name in NAMES:
        folder = tmp_path / "run" / "peers" / name
        assert not (folder / "log.jsonl").exists(), "nothing to warn of: nobody is a stranger"
        assert json.loads((folder / "summary.json").read_text())["refused"] == 0
    assert summary["bytes_sent"] > summary["messages_sent"] * 8


def test_the_others_go_on_without_one_that_is_killed(tmp_path):
    events = run(parse(quick(stop__rounds=300)), tmp_path / "run")
    until_learning(events)
    child("2").kill()
    for _ in events:
        pass
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["lost"] == ["2"]
    code, sentence = verdict(summary, 0.0)
    assert code == 5
    assert sentence.startswith("1 of 8 peers died during the run (2); the others: ")
    assert summary["peer_status"] == dict.fromkeys(NAMES, "rounds") | {"2": "killed by SIGKILL"}
    assert summary["rounds"] == 300
    assert summary["peers"] == 7
    assert summary["test"]["own"]["error"] < 0.1
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["round"] == 300, "lines are told without the dead one's"


@pytest.mark.parametrize("fresh", sparing([True, False]))
def test_who_is_killed_comes_back_and_goes_on(fresh, tmp_path):
    """With nothing, a neighbour tells it what was agreed, and a model with its age; it is where the others are in the end."""
    kill = {"do": "kill", "at": 1.5, "peers": ["2", "5"], "lasts": 1.0, "fresh": fresh}
    raw = quick(stop__rounds=400, faults=[kill], peers__checkpoint=0.2)
    *events, last = run(parse(raw), tmp_path / "run")
    assert [e.fault for e in events if isinstance(e, Struck)][:2] == [
        "kill 2, 5", "restart 2, 5 without a checkpoint" if fresh else "restart 2, 5",
    ]  # fmt: skip
    assert sorted(e.peers for e in events if isinstance(e, Struck) and e.do == "back") == [("2",), ("5",)]
    assert last.summary["peer_status"] == dict.fromkeys(NAMES, "rounds")
    assert last.summary["peers"] == 8
    assert last.summary["test"]["own"]["error"] < 0.1
    told = (tmp_path / "run" / "peers" / "2" / "log.jsonl").read_text() if fresh else "a neighbour sent"
    assert "a neighbour sent" in told


def test_nobody_waits_for_one_that_is_stopped(tmp_path):
    events = run(parse(quick(stop__rounds=200)), tmp_path / "run")
    until_learning(events)
    process = child("1")
    others = [os.pidfd_open(child(name).pid) for name in NAMES if name != "1"]
    os.kill(process.pid, signal.SIGSTOP)
    seen = []
    thread = threading.Thread(target=lambda: seen.extend(events))
    thread.start()
    ended = [bool(select.select([one], [], [], 40)[0]) for one in others]
    os.kill(process.pid, signal.SIGCONT)
    thread.join()
    for one in others:
        os.close(one)
    assert all(ended), "all ended while it was stopped"
    last = seen[-1]
    assert isinstance(last, Finished)
    assert last.summary["peer_status"] == dict.fromkeys(NAMES, "rounds")
    assert last.summary["rounds"] == 200, "its own cycles have passed meanwhile"


def test_one_that_is_interrupted_keeps_its_model_and_the_others_go_on(tmp_path):
    events = run(parse(quick()), tmp_path / "run")
    until_learning(events)
    child("0").terminate()
    *_, last = events
    assert last.summary["peer_status"] == dict.fromkeys(NAMES, "rounds") | {"0": "interrupted"}
    assert last.summary["stopped"] == "interrupted"
    assert last.summary["peers"] == 8


@pytest.mark.parametrize("engine", [simulate, run])
def test_an_interrupted_run_writes_the_models_of_that_moment(engine, tmp_path):
    events = engine(parse(quick(stop=ENDLESS, peers__report=10)), tmp_path / "run")
    list(islice((event for event in events if isinstance(event, Progress)), 3))
    event = events.throw(KeyboardInterrupt())
    *_, last = [event, *events]
    assert last.summary["stopped"] == "interrupted"
    assert last.summary["rounds"] >= 10
    assert last.summary["test"]["own"]["error"] < 0.5
    assert models(tmp_path / "run", NAMES).any()
    assert (tmp_path / "run" / "model.json").is_file()


def test_a_step_that_is_too_long_is_divergence_here_too(tmp_path):
    raw = quick(model__kind="linear", data__source="diabetes", algorithm__step=9.0, peers__report=1)
    summary, _ = carry_out("peers", raw, tmp_path / "run")
    assert summary["stopped"] == "diverged"
    assert "diverged" in summary["peer_status"].values()
    assert summary["test"] is None


def test_two_peers_by_hand_each_at_its_own_pace(tmp_path):
    raw, reports = by_hand(tmp_path, **FAST), {}
    slow = raw | {"gossip": {"period": 0.05}}
    a = threading.Thread(target=lambda: reports.update(a=start(raw, "a", tmp_path / "a")))
    a.start()
    reports["b"] = start(slow, "b", tmp_path / "b")
    a.join()
    assert [(r.error, r.stopped, r.rounds, r.refused) for r in reports.values()] == [
        ("", "rounds", 50, 0)
    ] * 2
    for name in "ab":
        summary = json.loads((tmp_path / name / "summary.json").read_text())
        assert summary["test"]["own"]["error"] < 0.2
