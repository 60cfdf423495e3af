"""The experiment's faults in the simulator: the optimum of the data that is there at the end, and what it does not know."""

import json

import pytest
import torch
from safetensors.torch import load_file
from sparing import sparing

from gossipfl.config.file import parse
from gossipfl.errors import BadExperiment, Incompatible
from gossipfl.experiment.evaluation.verdict import verdict
from gossipfl.experiment.launch.simulate import simulate
from gossipfl.report.result import result
from gossipfl.runs.events import Finished, Progress, Struck


def experiment(*faults, **algorithm):
    return {
        "reference": True,
        "data": {"source": "diabetes", "partition": {"scheme": "sorted", "imbalance": 3.0}},
        "topology": {"graph": "torus:3x4"},
        "model": {"kind": "linear", "l2": 0.1},
        "algorithm": {"kind": "exact-diffusion"} | algorithm,
        "stop": {"rounds": 6000},
        "faults": list(faults),
    }


def ended(raw, folder):
    *_, last = simulate(parse(raw), folder)
    assert isinstance(last, Finished)
    return last.summary


@pytest.mark.parametrize("method", sparing(["exact-diffusion", "gradient-tracking", "extra"]))
def test_survivors_end_at_the_optimum_of_their_own_data(method, tmp_path):
    summary = ended(experiment({"do": "kill", "round": 300, "count": 4}, kind=method), tmp_path)
    assert summary["peers"] == 8
    assert summary["distance_to_optimum"] <= 1e-8
    assert (
        sorted(summary["peer_status"].values())
        == ["absent at the end, because of the faults"] * 4 + ["rounds"] * 8
    )


BEER = {"algorithm": {"kind": "beer"}, "channel": {"compress": "top-k", "keep": 0.3}}
DIRECTED = {"topology": {"graph": "directed-exp:12"}, "algorithm": {"kind": "push-pull"}}
UNDIRECTED = {"topology": {"graph": "ring:12"}, "algorithm": {"kind": "push-diging"}}


@pytest.mark.parametrize("fault", sparing(["kill", "fresh", "loss"]))
@pytest.mark.parametrize("how", [BEER, DIRECTED, UNDIRECTED], ids=["beer", "push-pull", "push-diging"])
def test_what_remembers_more_than_its_accounts_do_ends_there_too(how, fault, tmp_path):
    """By exact diffusion while something is wrong or, with running totals, by itself."""
    faults = {
        "kill": [{"do": "kill", "round": 150, "count": 3}],
        "fresh": [{"do": "kill", "round": 150, "count": 3, "lasts": 200, "fresh": True}],
        "loss": [{"do": "loss", "round": 150, "amount": 0.2, "lasts": 350}],
    }
    easy = {"model": {"kind": "linear", "l2": 1.0}, "stop": {"rounds": 4000}}
    summary = ended(experiment(*faults[fault]) | easy | how, tmp_path)
    assert summary["peers"] == (9 if fault == "kill" else 12)
    assert summary["distance_to_optimum"] <= 1e-8


def test_what_nothing_can_take_over_from_is_refused(tmp_path):
    how = {"topology": {"graph": "directed-exp:12"}, "algorithm": {"kind": "push-diging"}}
    kill = {"do": "kill", "round": 150, "count": 3}
    with pytest.raises(Incompatible, match="push-pull"):
        ended(experiment(kill) | how, tmp_path)


def test_survivors_that_hold_one_class_have_no_optimum_to_end_at(tmp_path):
    kill = {"do": "kill", "round": 50, "peers": [str(peer) for peer in range(5)]}
    data = {"source": "breast_cancer", "partition": {"scheme": "sorted"}}
    raw = experiment(kill) | {"data": data, "model": {"kind": "logistic", "l2": 0.1}, "stop": {"rounds": 200}}
    summary = ended(raw, tmp_path)
    assert summary["peers"] == 7
    assert summary["distance_to_optimum"] is None
    assert summary["pooled"] is None
    assert summary["agreed"] is False
    assert (tmp_path / "model.json").exists()
    raw = raw | {"model": {"kind": "logistic", "l2": 0.0}, "faults": []}
    assert "no finite optimum" in ended(raw, tmp_path / "all")["no_reference"]


@pytest.mark.parametrize("fresh", sparing([True, False]))
def test_with_those_that_come_back_it_is_the_optimum_of_all(fresh, tmp_path):
    summary = ended(
        experiment({"do": "kill", "round": 300, "count": 4, "lasts": 500, "fresh": fresh}), tmp_path
    )
    assert summary["peers"] == 12
    assert summary["distance_to_optimum"] <= 1e-8


@pytest.mark.slow
def test_random_faults_and_then_quiet(tmp_path):
    random = {
        "do": "random", "round": 50, "every": 40, "until": 2000, "lasts": 200, "fresh": True, "amount": 0.1,
        "kinds": ["kill", "stop", "cut", "loss"],
    }  # fmt: skip
    summary = ended(experiment(random), tmp_path)
    assert summary["peers"] == 12
    assert summary["distance_to_optimum"] <= 1e-8


def test_rounds_are_those_with_an_exchange(tmp_path):
    kill = {"do": "kill", "round": 40, "peers": ["3"]}
    converged = ended(experiment(local_steps=3) | {"stop": {"rounds": 40}}, tmp_path / "converged")
    ill = ended(experiment(kill, local_steps=3) | {"stop": {"rounds": 40}}, tmp_path / "ill")
    assert ill["peers"] == converged["peers"] == 12, "it goes after the last round"
    assert ended(experiment(kill, local_steps=3) | {"stop": {"rounds": 41}}, tmp_path / "gone")["peers"] == 11
    models = [load_file(tmp_path / run / "model.safetensors")["x"] for run in ("converged", "ill")]
    assert torch.equal(*models)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"do": "kill", "at": 1, "count": 1}, "no seconds"),
        (
            {"do": "delay", "round": 1, "amount": 0.1},
            r"cannot simulate delay faults: remove them \(-s 'faults=\[\]' removes all\)",
        ),
        ({"do": "reset", "round": 1}, "cannot simulate reset"),
        ({"do": "duplicate", "round": 1, "amount": 0.1}, "cannot simulate duplicate"),
    ],
)
def test_what_the_simulator_does_not_know_is_refused_before_the_data_are_read(fault, words, tmp_path):
    with pytest.raises(BadExperiment, match=words):
        ended(experiment(fault) | {"data": {"source": "none.csv", "target": "y"}}, tmp_path)


def test_survivors_stop_together_and_are_judged_by_their_own_data(tmp_path):
    """Nobody waits for who is gone for good: models, verdict, reference and files are of those that are left."""
    raw = experiment({"do": "kill", "round": 300, "count": 4}, kind="exact-diffusion")
    raw["stop"]["tolerance"] = 1e-10
    summary = ended(raw, tmp_path / "kill")
    here = {name for name, status in summary["peer_status"].items() if status == "tolerance"}
    assert summary["stopped"] == "tolerance"
    assert summary["rounds"] < 3000
    assert summary["distance_to_optimum"] <= 1e-8
    assert summary["consensus_distance"] <= 1e-10
    assert verdict(summary, 1e-10)[0] == 0
    assert len(here) == summary["peers"] == 8
    assert {path.parent.name for path in (tmp_path / "kill" / "peers").glob("*/model.safetensors")} == here
    assert set(summary["rows"]) == set(summary["test"]["peers"]) == here
    ended(experiment() | {"stop": raw["stop"]}, tmp_path / "whole")
    optima = [load_file(tmp_path / run / "optimum.safetensors")["x"] for run in ("kill", "whole")]
    assert torch.linalg.vector_norm(optima[0] - optima[1]) > 1e-2 * torch.linalg.vector_norm(optima[1])


def test_who_will_be_back_is_waited_for(tmp_path):
    raw = experiment({"do": "kill", "round": 100, "count": 4, "lasts": 3000})
    raw["stop"]["tolerance"] = 1e-10
    summary = ended(raw, tmp_path)
    assert summary["stopped"] == "tolerance"
    assert summary["rounds"] > 3100
    assert summary["distance_to_optimum"] <= 1e-8


def test_the_sides_of_a_cut_that_never_heals_stop_and_hold_no_one_model(tmp_path):
    raw = experiment({"do": "cut", "round": 100, "count": 4})
    raw["stop"]["tolerance"] = 1e-10
    summary = ended(raw, tmp_path)
    assert (summary["stopped"], summary["peers"], summary["agreed"]) == ("tolerance", 12, False)
    assert verdict(summary, 1e-10)[0] == 6


def test_what_happens_is_told_in_its_round_and_who_is_left_and_what_came_too_late_in_the_end(tmp_path):
    faults = [
        {"do": "kill", "round": 4, "peers": ["3", "5"]},
        {"do": "restart", "round": 30, "peers": ["5"]},
        {"do": "loss", "round": 60, "amount": 0.5, "lasts": 10},
    ]
    raw = experiment(*faults) | {"stop": {"rounds": 60}, "peers": {"report": 20}}
    *events, last = simulate(parse(raw), tmp_path / "run")
    told = [event for event in events if isinstance(event, Progress | Struck)]
    assert [event.fault if isinstance(event, Struck) else event.round for event in told] == [
        1, "kill 3, 5", 20, "restart 5", 40, 60,
    ]  # fmt: skip
    struck = [event for event in told if isinstance(event, Struck)]
    assert [(event.after, event.do, event.begins, event.peers) for event in struck] == [
        (4, "kill", True, ("3", "5")), (30, "restart", False, ("5",)),
    ]  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line.get("fault") for line in lines] == [None, "kill 3, 5", None, "restart 5", None, None]
    assert last.summary["faults"] == {"carried_out": 2, "too_late": 2}
    code, sentence = verdict(last.summary, 0.0)
    assert code == 0
    assert sentence.startswith("11 of 12 peers are left and do NOT hold one model after 60 rounds: ")
    assert "; 2 planned faults did not happen: learning ended before them" in sentence
    assert str(result(last.summary, sentence, good=True)[0]) == f"! {sentence}"


def test_a_run_in_which_all_came_back_is_as_good_as_any(tmp_path):
    raw = experiment({"do": "kill", "round": 4, "count": 2, "lasts": 3}) | {"stop": {"rounds": 3000}}
    summary = ended(raw, tmp_path)
    code, sentence = verdict(summary, 0.0)
    assert code == 0
    assert sentence.startswith("the 12 peers hold one model")
    assert str(result(summary, sentence, good=True)[0]) == f"✓ {sentence}"


def test_one_that_is_left_says_so(tmp_path):
    raw = experiment({"do": "kill", "round": 4, "peers": ["0"]}) | {"topology": {"graph": "full:2"}}
    summary = ended(raw | {"stop": {"rounds": 9}}, tmp_path)
    code, sentence = verdict(summary, 0.0)
    assert code == 0
    assert sentence.startswith("1 of 2 peers is left and learned alone; 9 rounds; by its certificate")
    assert verdict(summary | {"stopped": "diverged", "faults": {"too_late": 1}}, 0.0)[0] == 6


FAULTS = {
    "killed": {"do": "kill", "round": 3, "count": 4},
    "killed for a while": {"do": "kill", "round": 3, "count": 4, "lasts": 50},
    "killed, then from nothing": {"do": "kill", "round": 3, "count": 4, "lasts": 50, "fresh": True},
    "killed before the last exchange of a step": {"do": "kill", "round": 4, "count": 1, "lasts": 1, "fresh": True},
    "stopped": {"do": "stop", "round": 6, "count": 2, "lasts": 7},
    "cut": {"do": "cut", "round": 3, "count": 4, "lasts": 100},
    "loss": {"do": "loss", "round": 1, "amount": 0.1, "lasts": 100},
    "loss for ever": {"do": "loss", "round": 1, "amount": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_newton_falls_back_and_ends_at_the_optimum_all_the_same(fault, tmp_path):
    raw = experiment(FAULTS[fault], kind="auto")
    raw["stop"]["tolerance"] = 1e-10
    summary = ended(raw, tmp_path)
    for_good = fault in ("killed", "loss for ever")
    assert (summary["algorithm"], summary["stopped"]) == ("newton", "tolerance")
    assert summary["peers"] == (8 if fault == "killed" else 12)
    assert summary["distance_to_optimum"] <= (1e-8 if for_good else 1e-13)
    assert for_good or summary["rounds"] < 200, "Newton's method is back"


def test_newton_without_anything_to_fall_back_to_is_refused_with_the_way_out(tmp_path):
    kill = {"do": "kill", "round": 3, "count": 1}
    with pytest.raises(BadExperiment, match="another topology"):
        ended(experiment(kill, kind="auto") | {"topology": {"graph": "one-peer-exp:16"}}, tmp_path / "links")
    with pytest.raises(BadExperiment, match=r'"exact-diffusion" and algorithm\.step'):
        ended(experiment(kill, kind="auto") | {"model": {"kind": "poisson", "l2": 0.1}}, tmp_path / "step")
