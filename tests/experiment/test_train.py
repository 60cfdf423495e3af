"""`train` stands on nothing but a study and its tables: it opens no file and prints nothing."""

import sys

import pytest
import torch
from runs import models, settings

from gossipfl.config.file import parse
from gossipfl.errors import BadExperiment
from gossipfl.experiment.evaluation.finish import judge
from gossipfl.experiment.launch.simulate import simulate
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.learning.train import train
from gossipfl.experiment.study.make import study

WATCHERS: list[list[str]] = []


def _watch(event, arguments):
    told = str(arguments[0]) if event == "open" else event
    if event in ("open", "os.mkdir", "os.rename", "os.remove", "shutil.rmtree", "os.rmdir"):
        for watcher in WATCHERS:
            watcher.append(told)


sys.addaudithook(_watch)  # there is no way to take one back: it stays, and does nothing

CASES = {
    "newton": {"algorithm__kind": "auto"},
    "faults": {"faults": [{"do": "kill", "round": 5, "count": 2, "lasts": 5}]},
    "beer": {"algorithm__kind": "beer", "channel__compress": "top-k"},
    "gossip": {"algorithm": {"kind": "gossip-learning"}, "stop": {"rounds": 5}},
}


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_train_opens_no_file_and_writes_nothing(changes, tmp_path, monkeypatch, capfd):
    made = study(parse(settings(**{"stop__rounds": 20, **changes})))
    rows = tables(made)
    train(made, rows)  # whatever is imported late is imported by now
    capfd.readouterr()
    monkeypatch.chdir(tmp_path)
    opened: list[str] = []
    WATCHERS.append(opened)
    try:
        learned = train(made, rows)
    finally:
        WATCHERS.clear()
    assert opened == []
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert learned.names == made.names
    assert torch.isfinite(learned.models).all()


def test_it_learns_what_a_simulation_writes(tmp_path):
    experiment = parse(settings(stop__rounds=30))
    made = study(experiment)
    learned = train(made, tables(made))
    *_, finished = simulate(experiment, tmp_path / "run")
    assert torch.equal(models(tmp_path / "run", learned.names), learned.models)
    judged = judge(made, learned).summary
    same = judged.keys() - {"seconds", "cpu_seconds_per_peer_round"}
    assert {key: judged[key] for key in same} == {key: finished.summary[key] for key in same}


def test_what_the_simulator_does_not_know_is_refused():
    made = study(parse(settings(faults=[{"do": "kill", "at": 1.0, "count": 1}])))
    with pytest.raises(BadExperiment, match="has no seconds"):
        train(made, tables(made))
