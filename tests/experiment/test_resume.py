"""An interrupted run goes on where it was; and what its peers saw last can be looked at, while they run and afterwards."""

import json
import os
import shutil
import signal
import threading
from queue import Empty, SimpleQueue

import pytest
from commands import started
from runs import settings
from test_peers import by_hand, child, start, until_learning

from gossipfl.config.file import dump, parse
from gossipfl.errors import BadExperiment
from gossipfl.experiment.evaluation.verdict import verdict
from gossipfl.experiment.launch.launch import resume, run
from gossipfl.experiment.launch.simulate import simulate
from gossipfl.experiment.learning.tables import own_table, tables
from gossipfl.experiment.learning.train import train
from gossipfl.experiment.live.alone import endpoints, lodged, peer
from gossipfl.experiment.live.process import live
from gossipfl.experiment.study.make import study
from gossipfl.peer.neighbourhood import ENDED, WAITS
from gossipfl.peer.rumours import Rumours
from gossipfl.peer.wire import Header, decode, encode, ident
from gossipfl.report.status import status_table
from gossipfl.runs import checkpoint
from gossipfl.runs.events import Finished, Progress
from gossipfl.runs.facts import Checkpoint, Facts, pack
from gossipfl.runs.folder import create, read_json, write_json
from gossipfl.runs.lock import holders
from gossipfl.runs.status import statuses
from gossipfl.runs.summary import read_summary

ENDLESS = {"rounds": 1_000_000, "tolerance": 1e-11}


def interrupted(folder, **changes):
    """A run that has been interrupted after its peers wrote a checkpoint, and what it was."""
    raw = settings(topology__graph="full:4", stop=ENDLESS, peers={"checkpoint": 0.2, "report": 10}, **changes)
    raw["reference"] = True
    events = run(parse(raw), folder)
    for event in events:
        if isinstance(event, Progress) and all(
            (folder / "peers" / name).glob("checkpoint*") for name in "0123"
        ):
            break
    for name in "0123":
        child(name).terminate()
    *_, last = events
    assert isinstance(last, Finished)
    assert last.summary["stopped"] == "interrupted"
    return raw, last.summary


def test_an_interrupted_run_goes_on_where_it_was(tmp_path):
    _, before = interrupted(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "peers" / "2")  # one has lost everything: its neighbours tell it
    *lines, last = resume(tmp_path / "run")
    assert last.summary["stopped"] == "tolerance"
    assert last.summary["distance_to_optimum"] < 1e-8
    rounds = [line.round for line in lines if isinstance(line, Progress)]
    assert rounds[0] >= before["rounds"] - 5
    told = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert told[0]["round"] == 1, "the lines of the first life are kept"
    with pytest.raises(BadExperiment, match=r"is complete \(tolerance\)"):
        list(resume(tmp_path / "run"))


def test_a_run_whose_peers_still_live_cannot_be_resumed(tmp_path):
    """As after the death of its launcher."""
    raw = settings(topology__graph="full:4", stop=ENDLESS, peers={"checkpoint": 0.2, "report": 10})
    events = run(parse(raw), tmp_path / "run")
    for event in events:
        if isinstance(event, Progress) and any((tmp_path / "run" / "peers" / "1").glob("checkpoint*")):
            break
    numbers = " ".join(str(child(name).pid) for name in "0123")
    with pytest.raises(
        BadExperiment, match=rf"4 peers of the run in .* still learn \(0, 1, 2, 3\).*kill {numbers}"
    ):
        list(resume(tmp_path / "run"))
    for name in "012":
        child(name).kill()
    child("3").terminate()
    *_, last = events
    assert last.summary["lost"] == ["0", "1", "2"]
    assert not last.summary["agreed"]
    code, sentence = verdict(last.summary, 1e-11)
    assert code == 5
    assert sentence.startswith("3 of 4 peers died during the run (0, 1, 2); the last one: interrupted after")
    assert holders(tmp_path / "run") == {}


def test_what_cannot_be_gone_on_with_is_said(tmp_path):
    with pytest.raises(BadExperiment, match="cannot read the experiment file"):
        list(resume(tmp_path))
    (tmp_path / "run" / "peers" / "0").mkdir(parents=True)
    from gossipfl.config.file import dump

    (tmp_path / "run" / "config.toml").write_text(dump(parse(settings(topology__graph="full:4"))))
    with pytest.raises(BadExperiment, match=r"no peer in .* has a checkpoint to continue from"):
        list(resume(tmp_path / "run"))


def test_a_run_of_an_older_format_is_refused_and_its_results_are_read(tmp_path):
    folder = tmp_path / "run"
    made = study(parse(settings(stop__rounds=5, algorithm__kind="exact-diffusion")))
    create(made.experiment, made.graph, folder, made.names)
    told = read_json(folder / "environment.json")
    write_json(folder / "environment.json", {key: told[key] for key in told if key != "format"})
    with pytest.raises(BadExperiment, match=r"has format 1, .* format 2 only: start it anew, gossipfl run"):
        list(resume(folder))
    *_, last = simulate(parse(settings(stop__rounds=5)), tmp_path / "old")
    older = {key: last.summary[key] for key in last.summary if key not in ("format", "one_model")}
    write_json(tmp_path / "old" / "summary.json", older)
    assert read_summary(tmp_path / "old") == older | {"one_model": True}


def test_who_has_not_begun_or_has_ended_is_told_from_who_is_silent(tmp_path):
    with pytest.raises(BadExperiment, match="no peer has written metrics"):
        statuses(tmp_path)
    made = study(parse(settings(topology__graph="full:4")))
    own = {name: tmp_path / "peers" / name for name in made.names}
    create(made.experiment, made.graph, tmp_path, made.names)
    assert [(seen.peer, seen.state) for seen in statuses(tmp_path)] == [
        (name, "not begun") for name in "0123"
    ]

    line = {"round": 7, "neighbours": {"0": {"state": "up", "seconds": 1.0}}, "counters": {"sent": 5}}
    for name in "123":
        (own[name] / "metrics.jsonl").write_text(json.dumps(line) + '\n{"torn')
        os.utime(own[name] / "metrics.jsonl", (1000, 1000))
    write_json(own["0"] / "summary.json", {"rounds": 0, "stopped": "interrupted", "error": "nobody came"})
    for name in "23":
        write_json(own[name] / "summary.json", {"rounds": 9, "stopped": "interrupted"})
    os.utime(own["3"] / "summary.json", (900, 900))  # of an earlier life
    seen = {one.peer: one for one in statuses(tmp_path)}
    assert {name: one.state for name, one in seen.items()} == {
        "0": "ended: failed", "1": "begun", "2": "ended: interrupted", "3": "begun"
    }  # fmt: skip
    assert (seen["0"].error, seen["0"].round, seen["2"].round) == ("nobody came", None, 7)
    assert seen["2"].ago < 60 < seen["1"].ago
    (own["1"] / "metrics.jsonl").unlink()
    table, *notes = status_table(statuses(tmp_path))
    assert table.row_count == 4
    assert [str(note) for note in notes] == [
        "0 failed: nobody came",
        "these peers have not begun to learn: 1",
    ]


def test_a_simulated_run_has_no_peers_that_see_anything(tmp_path):
    made = study(parse(settings(topology__graph="full:4")))
    create(made.experiment, made.graph, tmp_path, made.names)
    write_json(tmp_path / "summary.json", {})
    with pytest.raises(BadExperiment, match="a run with live peers"):
        statuses(tmp_path)


def test_a_peer_by_hand_goes_on_only_in_a_folder_of_its_own_study(tmp_path):
    raw, _ = interrupted(tmp_path / "run")
    made = study(parse(raw))
    assert lodged(made, "1", tmp_path / "run")
    other = study(parse(raw | {"seed": 5, "model": {"kind": "logistic", "l2": 0.2}}))
    before = (tmp_path / "run" / "config.toml").read_text()
    with pytest.raises(BadExperiment, match=r"another experiment: model, seed differ from .*config\.toml"):
        lodged(other, "1", tmp_path / "run")
    assert (tmp_path / "run" / "config.toml").read_text() == before
    for name in "023":
        write_json(tmp_path / "run" / "peers" / name / "summary.json", {"rounds": 9, "stopped": "tolerance"})
    with pytest.raises(
        BadExperiment, match=r"all others had ended before 1 came back: their model is .*model\.json"
    ):
        lodged(made, "1", tmp_path / "run")
    for file in (tmp_path / "run" / "peers" / "1").glob("checkpoint*"):
        file.unlink()
    with pytest.raises(BadExperiment, match="has a run already"):
        lodged(made, "1", tmp_path / "run")
    assert not lodged(made, "1", tmp_path / "nowhere")


def test_a_peer_that_failed_before_it_learned_starts_anew_in_its_folder_and_once_done_does_not(tmp_path):
    raw, folder = by_hand(tmp_path, peers__wait=0.3), tmp_path / "a"
    assert not lodged(study(parse(raw)), "a", folder)
    assert start(raw, "a", folder).exit_code == 5, "nobody came"
    mistaken = study(parse(raw | {"seed": 5}))
    assert not lodged(mistaken, "a", folder), "there is nothing that another experiment could spoil"
    again = study(parse(raw | {"peers": {"wait": 20.0}}))
    assert not lodged(again, "a", folder)
    assert "wait = 20.0" in (folder / "config.toml").read_text(), "as it is carried out now"
    reports = {}
    b = threading.Thread(
        target=lambda: reports.update(b=start(raw | {"peers": {"wait": 20.0}}, "b", tmp_path / "b"))
    )
    b.start()
    reports["a"] = start(raw | {"peers": {"wait": 20.0}}, "a", folder)
    b.join()
    assert [(report.error, report.rounds) for report in reports.values()] == [("", 50)] * 2
    with pytest.raises(BadExperiment, match="has a run already"):
        lodged(again, "a", folder)


def test_one_that_goes_on_alone_says_from_where_and_not_that_all_are_here(tmp_path):
    raw, told = (
        by_hand(tmp_path, stop={"rounds": 2**40, "seconds": 1.5, "absent": 0.2}, peers={"checkpoint": 0.1}),
        [],
    )

    def tell(*what):
        told.append(what)

    b = threading.Thread(target=lambda: start(raw, "b", tmp_path / "b"))
    b.start()
    start(raw, "a", tmp_path / "a", tell)
    b.join()
    assert ("learning", "all peers have agreed: learning begins") in told
    made = study(parse(raw))
    point = checkpoint.read(tmp_path / "a" / "peers" / "a", made.fingerprint)[0]
    told.clear()
    report = peer(
        made, "a", own_table(made, "a", None), tmp_path / "a", endpoints(made, "a"), tell, again=True
    )
    assert (report.learned_with, report.without) == ((), ("b",))
    assert ("news", f"{ENDED}; {WAITS}, 0.2 s at most") in told
    summary = read_summary(tmp_path / "a")
    assert (summary["learned_with"], summary["without"]) == ([], ["b"])
    assert verdict(summary, 0.0)[1].startswith("learned alone, without b; ")
    assert ("learning", f"continues from round {point.round} of its checkpoint") in told


@pytest.mark.slow
def test_each_peer_says_what_it_sees(tmp_path):
    raw = settings(topology__graph="ring:4", stop=ENDLESS | {"absent": 1.0}, peers={"report": 1})
    events = run(parse(raw), tmp_path / "run")
    until_learning(events)
    stopped = child("2")
    os.kill(stopped.pid, signal.SIGSTOP)
    for _ in events:
        seen = {one.peer: one for one in statuses(tmp_path / "run")}
        if seen["1"].state == "begun" and seen["1"].neighbours["2"]["state"] == "down":
            break
    assert seen["1"].neighbours["0"]["state"] == "up"
    assert seen["1"].counters["sent"] > 0
    mine, theirs = seen["1"].neighbours["0"]["session"].split("-")
    assert f"{theirs}-{mine}" == seen["0"].neighbours["1"]["session"], (
        "both ends know the session by the same two numbers"
    )
    os.kill(stopped.pid, signal.SIGCONT)
    *_, last = events
    assert last.summary["stopped"] == "tolerance"


@pytest.mark.slow  # three processes that begin
def test_one_that_comes_back_to_nobody_says_so_and_waits(tmp_path):
    stop = {"rounds": 2**40, "seconds": 4.0}
    (tmp_path / "e.toml").write_text(dump(parse(by_hand(tmp_path, stop=stop, peers={"checkpoint": 0.1}))))
    words, own = ["peer", str(tmp_path / "e.toml")], tmp_path / "a"
    rounds = []
    with started(*words, "b", "--out", str(tmp_path / "b")) as b:
        for begins in ("all peers have agreed", "no neighbour answers"):
            with started(*words, "a", "--out", str(own)) as a:
                said = next(line for line in a.stdout if begins in line)
                while not (own / "peers" / "a" / checkpoint.NEW).exists():
                    assert a.poll() is None, said
                a.send_signal(signal.SIGINT)
                told, wrong = a.communicate()
            assert a.returncode == 130, told + wrong
            rounds.append(read_summary(own)["rounds"])
            b.communicate()
    assert f"{ENDED}; {WAITS}" in " ".join((said + told).split())
    assert rounds[0] == rounds[1] > 0, "it has learned nothing alone"
    assert read_summary(own)["without"] == []


class Grave:
    """A transport to peers that have ended, and answer with a goodbye and their model."""

    sender = None  # links have no keys

    def __init__(self, made, state):
        self._made, self._state, self._box = made, state, SimpleQueue()

    def send(self, to, frames):
        header = decode(frames[0])
        cuts = tuple((*sorted((ident("0"), ident(other))), 61) for other in "13")
        if not header.leaving:
            goodbye = Header(
                self._made.fingerprint, to, 99, leaving="settled", mine=5, yours=header.mine, rumours=Rumours(cuts=cuts)
            )  # fmt: skip
            self._box.put([encode(goodbye), self._state])
        return True

    def recv(self, timeout):
        try:
            return self._box.get(timeout=timeout)
        except Empty:
            return None

    def lost(self):
        return set()

    def connect(self, neighbours, queue):
        pass

    def why(self, peer):
        return ""

    forget = close = lambda *_: None


def test_one_that_hears_that_all_have_ended_stops_with_their_model(tmp_path):
    made = study(
        parse(settings(topology__graph="ring:4", stop={"rounds": 50}, algorithm__kind="exact-diffusion"))
    )
    rows = tables(made)
    learned = train(made, rows)
    scale = learned.scales[0]
    facts = Facts(
        learned.schema,
        mean_rows=100.0,
        step=learned.step,
        mean=tuple(scale.mean.tolist()),
        deviation=tuple(scale.deviation.tolist()),
    )
    x = learned.models[:1]
    for state, stopped, round, without in (
        (pack(Checkpoint(x, 90, 0.0, facts)), "ended", 90, ("0",)),
        (b"", "interrupted", 7, ()),
        (b"nonsense", "interrupted", 7, ()),
    ):
        checkpoint.write(tmp_path, made.fingerprint, Checkpoint(0 * x, 7, 0.0, facts))
        near = dict.fromkeys((1, 3), "tcp://127.0.0.1:1")
        report = live(made, 0, rows[0], tmp_path, Grave(made, state), near, lambda *_: None, rejoin=True)
        assert (report.error, report.stopped, report.rounds) == ("", stopped, round)
        assert report.model == (x if stopped == "ended" else 0 * x)[0].tolist()
        assert report.why.startswith("all others had ended before this peer came back, as ")
        assert report.without == without
        assert {*report.learned_with} == {"1", "2", "3"}
