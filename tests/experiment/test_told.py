"""What a run says where the model is far off, and where the user's own words or code are odd."""

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from runs import carry_out, settings

from gossipfl.errors import BadExperiment, GossipError
from gossipfl.experiment.evaluation.finish import apart
from gossipfl.experiment.evaluation.verdict import difference, verdict
from gossipfl.experiment.learning.learn import Lines
from gossipfl.report.result import result
from gossipfl.runs.learned import Sources, sides

MODULES = """
import torch

def narrow():
    return torch.nn.Linear(7, 1), torch.nn.MSELoss()

def raises():
    raise KeyError("forgotten")

def empty():
    return torch.nn.Sequential(), torch.nn.MSELoss()

def no_scalar():
    return torch.nn.Linear(30, 1), torch.nn.MSELoss(reduction="none")

def breaks_later():
    losses = []
    def loss(output, target):
        losses.append(0)
        if len(losses) > 4:
            raise SystemError("worn out")
        return (output - target).square().mean()
    return torch.nn.Linear(30, 1), loss
"""


def test_models_that_cancel_are_infinitely_far_apart_and_can_be_told():
    models = torch.tensor([[1.0, 2.0], [-1.0, -2.0]])
    assert apart(models, models.mean(0)) == float("inf")
    assert apart(torch.zeros(2, 2), torch.zeros(2)) == 0.0
    summary = {"stopped": "rounds", "peers": 2, "rounds": 9, "agreed": False, "why": "", "step": 1.0}
    for distance in (float("inf"), None):  # as computed, and as JSON gives it back
        code, sentence = verdict(summary | {"consensus_distance": distance}, 0.0)
        assert code == 0
        assert "NOT hold one model" in sentence


@pytest.mark.parametrize(
    ("apart", "words"),
    [
        (3.1e-16, "3.1e-16 (relative)"),
        (0.0123, "1.2 %"),
        (0.11, "11 %"),
        (25.0, "2,500 %"),
        (None, "infinite"),
    ],
)
def test_a_difference_is_a_percentage_unless_it_is_tiny(apart, words):
    assert difference(apart) == f"the largest difference from their mean is {words}"


def test_a_peer_says_whose_rows_are_in_its_model_and_meets_no_tolerance_on_a_part():
    summary = {
        "peers": 1,
        "rounds": 70,
        "stopped": "tolerance",
        "agreed": False,
        "peer_status": {"a": "tolerance"},
    }
    whole = summary | {"learned_with": ["b", "c"], "without": [], "without_wanted": False}
    together = "learned with b and c; all stopped together after 70 rounds, below tolerance 1e-08"
    assert verdict(whole, 1e-8) == (0, together)
    part = whole | {"learned_with": ["b"], "without": ["c", "d"]}
    assert verdict(part, 1e-8) == (
        6, "learned with b, without c and d; 70 rounds: the tolerance is met on a part of the rows only"
    )  # fmt: skip
    assert verdict(part | {"without_wanted": True}, 1e-8)[0] == 0
    late = part | {"learned_with": ["b", "c"], "without": ["a"], "stopped": "ended", "why": "all had ended"}
    assert verdict(late, 0.0) == (0, "all had ended: learned with b and c, without a; 70 rounds")
    assert verdict(late, 1e-8)[0] == 6
    assert verdict(late | {"without": []}, 1e-8)[0] == 0
    alone = part | {"learned_with": [], "without": [f"p{k}" for k in range(20)]}
    assert verdict(alone, 0.0) == (
        0, "learned alone, without p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11 and 8 more; 70 rounds"
    )  # fmt: skip


def test_the_sides_of_a_cut_are_told_by_name_and_so_is_who_is_missing():
    assert sides([Sources("a", "b", "c"), Sources("b", "a", "c"), Sources("c", "", "ab")], "abc") == [
        ["a", "b"],
        ["c"],
    ]
    assert sides([Sources("a", "bc", ""), Sources("b", "ac", "")], "abc") == []
    assert sides([Sources("a", "bc", "a"), Sources("b", "c", "a")], "abc") == [["b", "c"]]
    summary = {
        "stopped": "tolerance",
        "peers": 3,
        "rounds": 70,
        "agreed": False,
        "consensus_distance": 0.12,
        "why": "",
    }
    summary |= {"peer_status": dict.fromkeys("abc", "tolerance"), "sides": [["a", "b"], ["c"]]}
    assert verdict(summary, 1e-8) == (
        6, "the 3 peers do NOT hold one model after 70 rounds: a and b learned apart from c; the largest difference from "
        "their mean is 12 %"
    )  # fmt: skip
    left = {"peers": 2, "lost": ["c"], "sides": [["a", "b"]], "consensus_distance": 1e-9}
    assert verdict(summary | left, 1e-8) == (
        5, "1 of 3 peers died during the run (c); the others: the 2 peers hold one model, without the rows of c: the largest "
        "difference from their mean is 1.0e-09 (relative); they stopped together after 70 rounds"
    )  # fmt: skip


def test_one_peer_of_several_names_its_neighbours():
    summary = {"stopped": "rounds", "peers": 1, "rounds": 1101}
    assert verdict(summary, 0.0) == (0, "one peer learned; 1,101 rounds")
    assert verdict(summary | {"neighbours": ["oslo"]}, 0.0)[1] == "learned with oslo; 1,101 rounds"
    assert verdict(summary | {"neighbours": ["bern", "lyon", "oslo"]}, 0.0)[1].startswith(
        "learned with bern, lyon and oslo;"
    )


@pytest.mark.parametrize(
    ("summary", "repeat", "words"),
    [
        ({"engine": "simulator"}, "gossipfl run c.toml", "with real peers"),
        (
            {"engine": "peers", "budget": {"epsilon": 1.0}},
            "gossipfl simulate c.toml",
            "in one process, with other noise",
        ),
        ({"engine": "peers"}, "gossipfl simulate c.toml", "the same numbers in one process"),
        ({"engine": "peers", "lost": ["2"]}, "gossipfl simulate c.toml", "in one process"),
        (
            {"engine": "peers"},
            "gossipfl simulate c.toml -s 'faults=[]'",
            "in one process, without the faults",
        ),
        (
            {"engine": "peers", "one_model": False},
            "gossipfl simulate c.toml",
            "in simulated time",
        ),
        ({"engine": "peers"}, "gossipfl run --resume r", "continue from the last checkpoints"),
    ],
)
def test_the_next_command_promises_what_it_keeps(summary, repeat, words):
    summary |= {"peers": 3, "stopped": "rounds"}
    assert str(result(summary, "done", True, repeat)[-1]) == f"\nNext: {repeat}   ({words})"
    assert not any(
        "Next" in str(part) for part in result(summary | {"stopped": "diverged"}, "", False, repeat)
    )


def test_lines_follow_the_pace_of_the_rounds():
    """0.1 to 1 s apart, whether rounds are fast or slow, and in rounds that other peers tell of, too."""
    lines, told, now = Lines(None, 6000, timed=True), [], 0.0
    for rounds in range(1, 6000):
        now += 0.001 if rounds < 4000 else 0.2
        if lines.due(SimpleNamespace(rounds=rounds, elapsed=now)):
            told.append((rounds, now))
    fast, slow = [now for r, now in told if 2000 < r < 4000], [now for r, now in told if r > 4500]
    assert 0.1 <= max(b - a for a, b in pairwise(fast)) <= 0.3
    assert 0.1 <= max(b - a for a, b in pairwise(slow)) <= 1.0
    assert len({rounds % 4 for rounds, _ in told[-20:]}) == 1


def told(lines, rounds, each=0.001):
    return [k for k in range(1, rounds + 1) if lines.due(SimpleNamespace(rounds=k, elapsed=each * k))]


def test_lines_become_rarer_in_the_same_rounds_of_each_run_however_fast_it_is():
    lines = told(Lines(None, 2000), 2000)
    assert lines == told(Lines(None, 2000), 2000, each=0.02)
    assert lines[:12] == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]
    assert lines[-3:] == [1664, 1792, 1920], "2000 / 10, and a power of two"
    assert len(lines) < 32
    assert 18 < len(told(Lines(None, 200), 200)) < 24
    assert len(told(Lines(None, 10**5), 10**5, each=1e-5)) < 45


def test_lines_are_as_many_as_are_asked_for_and_long_rounds_have_one_each():
    assert told(Lines(3, 2000), 12) == [1, 3, 6, 9, 12]
    assert told(Lines(1, 2000), 40) == [*range(1, 41)]
    assert told(Lines(None, 2000), 40, each=6.0) == [*range(1, 41)]


def test_one_peer_that_misses_its_tolerance_says_so(tmp_path):
    raw = settings(topology__graph="ring:1", stop={"rounds": 3, "tolerance": 1e-9})
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    code, sentence = verdict(summary, 1e-9)
    assert code == 6
    assert "tolerance 1e-09 was not met" in sentence


def test_classes_and_levels_may_hold_tabs(tmp_path):
    frame = pd.DataFrame(
        {"x": range(40), "c\tc": ["a\tb", "a\tc"] * 20, "y": ["a\tb", "a\tc", "a\tc", "a\tb"] * 10}
    )
    frame.to_csv(tmp_path / "rows.csv", index=False)
    raw = settings(
        data={"source": str(tmp_path / "rows.csv"), "target": "y", "categorical": ["c\tc"]},
        topology__graph="ring:2",
    )
    carry_out("simulator", raw, tmp_path / "run")
    model = json.loads((tmp_path / "run" / "model.json").read_text())
    assert model["classes"] == ["a\tb", "a\tc"]
    assert model["levels"] == {"c\tc": ["a\tb", "a\tc"]}


def test_every_peer_has_a_folder_of_its_own(tmp_path):
    names = ["a b", "a_b", "Zürich"]
    (tmp_path / "graph.toml").write_text(
        'edges = [["a b", "a_b"], ["a_b", "Zürich"]]\n' + "".join(f'[peers."{name}"]\n' for name in names)
    )
    raw = settings(topology__graph=str(tmp_path / "graph.toml"))
    carry_out("simulator", raw, tmp_path / "run")
    assert sorted(folder.name for folder in (tmp_path / "run" / "peers").iterdir()) == sorted(names)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("narrow", "30 features: RuntimeError"),
        ("raises", "KeyError: 'forgotten'"),
        ("empty", "no parameters"),
        ("no_scalar", "cannot take these rows"),
    ],
)
def test_a_module_that_does_not_work_is_told(function, words, tmp_path):
    (tmp_path / "mine.py").write_text(MODULES)
    raw = settings(
        model={"kind": "module", "module": f"{tmp_path / 'mine.py'}:{function}"}, algorithm__step=0.1
    )
    with pytest.raises(BadExperiment, match=words):
        carry_out("simulator", raw, tmp_path / "run")


def test_what_breaks_in_a_live_peer_is_told_and_logged(tmp_path):
    (tmp_path / "mine.py").write_text(MODULES)
    raw = settings(
        topology__graph="ring:2", model={"kind": "module", "module": f"{tmp_path / 'mine.py'}:breaks_later"},
        algorithm__step=0.1,
    )  # fmt: skip
    with pytest.raises(GossipError, match=r"SystemError: worn out; the trace is in .*log\.jsonl") as caught:
        carry_out("peers", raw, tmp_path / "run")
    assert "worn out" in Path(str(caught.value).rpartition(" ")[2]).read_text()
