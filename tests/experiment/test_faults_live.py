"""Real peers under real faults: who is left goes on, and ends at the exact optimum of the data that is there.

16 peers, ridge regression, sorted by target, or logistic, sorted by label: nobody has seen but a slice of it. Runs are bounded
by the clock.
"""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.datasets import load_breast_cancer

from gossipfl.config.file import parse
from gossipfl.experiment.evaluation.verdict import verdict
from gossipfl.experiment.launch.launch import run
from gossipfl.runs.events import Finished, Progress, Struck

pytestmark = pytest.mark.timeout(400)


def experiment(*faults, graph="torus:4x4", seconds=40.0, absent=60.0, kind="exact-diffusion"):
    return {
        "reference": True,
        "data": {"source": "diabetes", "partition": {"scheme": "sorted"}, "test": 0.0},
        "topology": {"graph": graph},
        "model": {
            "kind": "linear",
            "l2": 1.0,
        },  # of which 300 rounds are enough, that a busy machine has time for
        "algorithm": {"kind": kind},
        "stop": {"rounds": 2**40, "seconds": seconds, "absent": absent},
        "peers": {"report": 10, "checkpoint": 1.0},
        "faults": list(faults),
    }


def tumours(*faults, l2, features=(), **how):
    """Newton's method on the breast cancer set, of which peers 0 to 4 hold one class, 6 to 15 the other."""
    drop = [name for name in load_breast_cancer().feature_names.tolist() if features and name not in features]
    data = {"source": "breast_cancer", "drop": drop, "partition": {"scheme": "sorted"}, "test": 0.0}
    model = {"kind": "logistic", "l2": l2}
    return experiment(*faults, **{"kind": "newton"} | how) | {"data": data, "model": model}


def carried_out(raw, folder):
    *events, last = run(parse(raw), folder)
    assert isinstance(last, Finished)
    return last.summary, [event for event in events if isinstance(event, Struck)]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4, 8])
def test_survivors_end_at_the_optimum_of_their_own_data(count, tmp_path):
    summary, struck = carried_out(
        experiment({"do": "kill", "at": 3, "count": count}, absent=1.0), tmp_path / "run"
    )
    assert [event.do for event in struck] == ["kill"]
    assert summary["peers"] == 16 - count
    assert summary["distance_to_optimum"] <= 1e-8
    assert verdict(summary, 0.0)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("fresh", [False, True])
def test_with_those_that_come_back_it_is_the_optimum_of_all(fresh, tmp_path):
    kill = {"do": "kill", "at": 3, "count": 4, "lasts": 4, "fresh": fresh}
    summary, struck = carried_out(experiment(kill, seconds=60.0), tmp_path / "run")
    assert [event.do for event in struck] == ["kill", "restart", *["back"] * 4]
    assert summary["peers"] == 16
    assert summary["distance_to_optimum"] <= 1e-8


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [{"do": "stop", "count": 1}, {"do": "cut", "peers": [str(peer) for peer in range(8)]}],
    ids=["stop", "cut"],
)
def test_after_ten_seconds_away_or_apart_it_is_the_optimum_of_all(fault, tmp_path):
    summary, struck = carried_out(experiment(fault | {"at": 3, "lasts": 10}, seconds=60.0), tmp_path / "run")
    assert [event.do for event in struck][:2] in (["stop", "continue"], ["cut", "heal"])
    assert summary["peers"] == 16
    assert summary["distance_to_optimum"] <= 1e-8


@pytest.mark.slow
def test_newtons_method_gives_way_where_half_of_the_peers_die(tmp_path):
    kill = {"do": "kill", "at": 3, "peers": [str(peer) for peer in range(16) if peer % 4 >= 2]}  # two columns
    summary, _ = carried_out(tumours(kill, l2=1.0, absent=1.0, seconds=60.0), tmp_path / "run")
    assert summary["peers"] == 8
    assert summary["distance_to_optimum"] <= 1e-8


@pytest.mark.slow
def test_newtons_method_comes_back_with_those_who_begin_anew(tmp_path):
    kill = {"do": "kill", "at": 3, "count": 4, "lasts": 4, "fresh": True}
    summary, struck = carried_out(experiment(kill, kind="newton"), tmp_path / "run")
    assert [event.do for event in struck] == ["kill", "restart", *["back"] * 4]
    assert summary["peers"] == 16
    assert summary["distance_to_optimum"] <= 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("back", [False, True], ids=["for-good", "back"])
def test_compressed_tracking_gives_way_too(back, tmp_path):
    """BEER's replicas do not outlive a lost message: exact diffusion takes over, until all is quiet."""
    kill = {"do": "kill", "at": 3, "count": 2} | ({"lasts": 4, "fresh": True} if back else {})
    raw = experiment(kill, kind="beer", seconds=60.0, absent=60.0 if back else 1.0)
    summary, _ = carried_out(raw | {"channel": {"compress": "top-k", "keep": 0.5}}, tmp_path / "run")
    assert summary["peers"] == (16 if back else 14)
    assert summary["distance_to_optimum"] <= 1e-8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("l2", "features"),
    [(1e-3, ()), (0.0, ("mean radius", "mean texture", "mean smoothness"))],  # by which no plane parts them
    ids=["tiny-l2", "no-l2"],
)
def test_a_side_that_holds_one_class_goes_on_and_heals(l2, features, tmp_path):
    cut = {"do": "cut", "at": 3, "peers": [str(peer) for peer in range(5)], "lasts": 10}
    summary, struck = carried_out(tumours(cut, l2=l2, features=features), tmp_path / "run")
    assert [event.do for event in struck] == ["cut", "heal"]
    assert summary["peers"] == 16
    assert summary["distance_to_optimum"] <= 1e-8


@pytest.mark.slow
def test_over_poor_links_it_is_the_optimum_of_all(tmp_path):
    poor = [
        {"do": "loss", "at": 1, "amount": 0.05},
        {"do": "duplicate", "at": 1, "amount": 0.05},
        {"do": "delay", "at": 1, "amount": 0.05, "jitter": 0.02},
        *({"do": "reset", "at": 3 * k} for k in range(1, 5)),
    ]
    summary, _ = carried_out(experiment(*poor, seconds=90.0), tmp_path / "run")
    assert summary["peers"] == 16
    assert set(summary["peer_status"].values()) == {"seconds"}
    assert summary["distance_to_optimum"] <= 1e-8


def child(name):
    return next(p for p in multiprocessing.active_children() if p.name == name)


@pytest.mark.slow
def test_a_peer_that_dies_by_itself_is_named_and_the_others_finish(tmp_path):
    raw = experiment(graph="full:4", seconds=24.0, absent=1.0)
    events = run(parse(raw), tmp_path / "run")
    next(event for event in events if isinstance(event, Progress))
    child("2").kill()
    *_, last = events
    assert isinstance(last, Finished)
    assert last.summary["lost"] == ["2"]
    assert last.summary["peer_status"]["2"] == "killed by SIGKILL"
    assert last.summary["peers"] == 3
    assert last.summary["distance_to_optimum"] <= 1e-8
    code, sentence = verdict(last.summary, 0.0)
    assert code == 5
    assert (
        "1 of 4 peers died during the run (2); the others: the 3 peers hold one model, without the rows of 2 "
        in sentence
    )
    assert (last.summary["agreed"], last.summary["sides"]) == (False, [["0", "1", "3"]])
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["lost"] == ["2"]


@pytest.mark.slow
def test_each_side_of_a_cut_says_whose_rows_are_in_its_model(tmp_path):
    cut = {"do": "cut", "at": 1.0, "peers": ["0", "1", "2"], "lasts": 1000.0}
    *_, last = run(parse(experiment(cut, graph="ring:6", seconds=8.0, absent=0.5)), tmp_path / "run")
    assert isinstance(last, Finished)
    for name in "012345":
        told = json.loads((tmp_path / "run" / "peers" / name / "summary.json").read_text())
        here, there = ("012", "345") if name in "012" else ("345", "012")
        assert told["learned_with"] == [other for other in here if other != name]
        assert told["without"] == list(there)
    assert last.summary["sides"] == [["0", "1", "2"], ["3", "4", "5"]]
    assert "0, 1 and 2 learned apart from 3, 4 and 5; the largest difference" in verdict(last.summary, 0.0)[1]


@pytest.mark.slow
def test_a_kill_and_a_return_are_told_as_they_happen(tmp_path):
    kill = {"do": "kill", "at": 1.0, "peers": ["1"], "lasts": 1.0}
    *events, last = run(parse(experiment(kill, graph="full:4", seconds=20.0)), tmp_path / "run")
    assert isinstance(last, Finished)
    assert [e.fault for e in events if isinstance(e, Struck)] == ["kill 1", "restart 1", "1 learns again"]
    assert last.summary["faults"] == {"carried_out": 2, "too_late": 0}
    assert set(last.summary["peer_status"].values()) == {"seconds"}
    assert last.summary["distance_to_optimum"] <= 1e-8
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["fault"] for line in lines if "fault" in line] == ["kill 1", "restart 1", "1 learns again"]


LAUNCHER = """
import json, sys
from pathlib import Path
from gossipfl.config.file import parse
from gossipfl.runs.events import Started
from gossipfl.experiment.launch.launch import run
from gossipfl.runs.events import Progress
import multiprocessing
if __name__ == "__main__":
    for event in run(parse(json.loads(sys.argv[1])), Path(sys.argv[2])):
        if isinstance(event, Progress):
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)
            sys.stdin.read()
"""


@pytest.mark.slow
def test_the_peers_finish_without_their_launcher(tmp_path):
    (tmp_path / "launcher.py").write_text(LAUNCHER)
    words = [tmp_path / "launcher.py", json.dumps(experiment(graph="full:4", seconds=8.0)), tmp_path / "run"]
    with subprocess.Popen(
        [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as launcher:
        assert launcher.stdout is not None
        ends = [os.pidfd_open(int(pid)) for pid in launcher.stdout.readline().split()]
        launcher.send_signal(signal.SIGKILL)
    assert len(ends) == 4
    for end in ends:
        assert multiprocessing.connection.wait([end], 60), "it should have ended"
        os.close(end)
    for name in "0123":
        summary = json.loads((tmp_path / "run" / "peers" / name / "summary.json").read_text())
        assert summary["stopped"] == "seconds"
        assert Path(tmp_path / "run" / "peers" / name / "model.safetensors").exists()
