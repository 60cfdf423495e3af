"""What happens when peers cannot talk: real processes, real sockets, no sleeping."""

import json
import multiprocessing
import os
import re
import signal
import socket
import threading
from pathlib import Path

import pytest
from ports import free_ports
from runs import carry_out, settings

from gossipfl.config.file import parse
from gossipfl.errors import GossipError, NetworkError
from gossipfl.experiment.launch.launch import run
from gossipfl.experiment.learning.tables import own_table
from gossipfl.experiment.live.alone import endpoints, peer
from gossipfl.experiment.study.make import study
from gossipfl.runs.events import Finished, Progress

LONG = {"rounds": 1_000_000}
EVERYBODY = {
    "kind": "push-pull"
}  # a method that, on directed links, cannot go on without a neighbour; for those that can, see test_faults_live.py


def until_learning(events):
    for event in events:
        if isinstance(event, Progress):
            return event
    raise AssertionError("it never began to learn")


def child(name):
    return next(p for p in multiprocessing.active_children() if p.name == name)


def test_a_killed_peer_is_named_and_nobody_hangs(tmp_path):
    events = run(
        parse(settings(topology__graph="directed-ring:4", algorithm=EVERYBODY, stop=LONG | {"absent": 5.0})),
        tmp_path / "run",
    )
    until_learning(events)
    child("2").kill()
    with pytest.raises(NetworkError, match="2 killed by SIGKILL"):
        list(events)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["peers"] == 3  # the models of those that were left are kept
    assert "SIGKILL" in summary["error"]
    assert not summary["agreed"] or summary["consensus_distance"] < 1e-6


def test_a_silent_peer_is_given_up_after_a_while(tmp_path):
    # Everybody is its neighbour: one that waits for those who wait would give them up in the same second.
    events = run(
        parse(settings(topology__graph="directed-exp:3", algorithm=EVERYBODY, stop=LONG | {"absent": 5.0})),
        tmp_path / "run",
    )
    until_learning(events)
    process = child("1")
    stopped = process.pid
    os.kill(stopped, signal.SIGSTOP)
    seen = []

    def drain():
        try:
            seen.extend(events)
        except GossipError as error:
            seen.append(error)

    thread = threading.Thread(target=drain)
    thread.start()
    neighbours = [child("0"), child("2")]
    for one in neighbours:
        one.join(200)
    os.kill(stopped, signal.SIGCONT)
    thread.join()
    assert seen[-1].exit_code == 5
    # Stopped between two messages it leaves one of the others an exchange behind, which then is silent, too.
    assert re.search("no answer from (0, )?1(, 2)? for 5 s", str(seen[-1])), str(seen[-1])


def test_one_interrupted_peer_says_goodbye_and_models_are_kept(tmp_path):
    events = run(
        parse(settings(topology__graph="directed-ring:4", algorithm=EVERYBODY, stop=LONG)), tmp_path / "run"
    )
    until_learning(events)
    child("0").terminate()
    *_, last = events
    assert isinstance(last, Finished)
    assert last.summary["stopped"] == "interrupted"
    assert last.summary["peers"] == 4
    assert (tmp_path / "run" / "model.json").exists()


@pytest.mark.parametrize("engine", ["simulator", "peers"])
def test_divergence_is_a_value_and_is_said_at_its_round(engine, tmp_path):
    raw = settings(
        data__source="diabetes",
        model__kind="linear",
        topology__graph="ring:4",
        algorithm__step=50.0,
        stop=LONG,
    )
    summary, _ = carry_out(engine, raw, tmp_path / "run")
    assert summary["stopped"] == "diverged"
    assert not summary["agreed"]
    assert re.search(r"(in|by) round \d+", summary["why"])
    assert summary["rounds"] < 1000


@pytest.mark.parametrize("engine", ["simulator", "peers"])
def test_a_step_that_is_far_too_long_is_divergence_though_nothing_overflows(engine, tmp_path):
    raw = settings(topology__graph="ring:4", algorithm__step=1e9, stop__rounds=200)
    summary, _ = carry_out(engine, raw, tmp_path / "run")
    assert summary["stopped"] == "diverged"
    assert "thousandfold in round" in summary["why"]


def by_hand(tmp_path: Path, **changes):
    """Two peers with fixed endpoints."""
    graph = tmp_path / "pair.toml"
    graph.write_text(
        "edges = [['a', 'b']]\n"
        + "".join(
            f"[peers.{n}]\nendpoint = 'tcp://127.0.0.1:{p}'\n"
            for n, p in zip("ab", free_ports(2), strict=True)
        )
    )
    return settings(topology__graph=str(graph), **changes)


def start(raw, name, folder, tell=lambda *what: None):
    made = study(parse(raw))
    folder.mkdir(parents=True, exist_ok=True)
    return peer(made, name, own_table(made, name, None), folder, endpoints(made, name), tell)


def test_two_peers_by_hand_in_any_order(tmp_path):
    raw, reports = by_hand(tmp_path), {}
    a = threading.Thread(target=lambda: reports.update(a=start(raw, "a", tmp_path / "a")))
    a.start()  # it waits for b, which is started when its own data are read
    reports["b"] = start(raw, "b", tmp_path / "b")
    a.join()
    assert [r.error for r in reports.values()] == ["", ""]
    assert reports["a"].rounds == reports["b"].rounds == 50
    assert reports["a"].stopped == "rounds"
    for name in "ab":
        summary = json.loads((tmp_path / name / "summary.json").read_text())
        assert summary["peers"] == 1
        assert summary["test"]["peers"][name]["accuracy"] > 0.5
        assert json.loads((tmp_path / name / "model.json").read_text())["coefficients"]


def test_a_neighbour_that_never_answers(tmp_path):
    report = start(by_hand(tmp_path, peers__wait=0.3), "a", tmp_path / "a")
    assert report.exit_code == 5
    assert "a: no answer from b for 0.3 s" in report.error


def test_a_neighbour_of_another_experiment_is_named(tmp_path):
    raw = by_hand(tmp_path, peers__wait=5.0)
    other = json.loads(json.dumps(raw))
    other["seed"] = 1
    reports = {}
    b = threading.Thread(target=lambda: reports.update(b=start(other, "b", tmp_path / "b")))
    b.start()
    reports["a"] = start(raw, "a", tmp_path / "a")
    b.join()
    assert any("another experiment" in r.error for r in reports.values())
    assert {r.exit_code for r in reports.values()} == {5}


def test_a_port_in_use(tmp_path):
    raw = by_hand(tmp_path)
    graph = study(parse(raw)).graph
    port = int(graph.nodes["a"]["endpoint"].rpartition(":")[2])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(NetworkError, match=f"cannot listen on tcp://127.0.0.1:{port}"):
            start(raw, "a", tmp_path / "a")
        with pytest.raises(GossipError, match="cannot listen") as caught:
            list(run(parse(raw), tmp_path / "run"))
    assert caught.value.exit_code == 5
