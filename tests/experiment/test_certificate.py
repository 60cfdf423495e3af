"""The certificate of every method against the truth, and what follows from it: when peers stop, codes and sentences."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs import carry_out, settings

from gossipfl.config.file import parse
from gossipfl.data import Table
from gossipfl.experiment.evaluation.finish import judge
from gossipfl.experiment.evaluation.verdict import verdict
from gossipfl.experiment.launch.simulate import simulate
from gossipfl.experiment.learning.simulated import Simulated
from gossipfl.experiment.learning.train import train
from gossipfl.experiment.study.make import study
from gossipfl.runs.events import Progress


def told(raw: dict[str, Any], engine: str, folder: Path) -> tuple[dict[str, Any], int, str]:
    summary, _ = carry_out(engine, raw, folder)
    return summary, *verdict(summary, raw["stop"].get("tolerance", 0.0))


def test_an_exact_method_stops_when_its_certificate_meets_the_tolerance(tmp_path: Path) -> None:
    """The peers agree long before, 1e-4 away: they try after 16 more rounds, then 32, ..."""
    raw = settings(reference=True, stop__tolerance=1e-6, stop__rounds=4000, data__test=0.0)
    summary, code, sentence = told(raw, "simulator", tmp_path / "run")
    early = dict(raw, stop=dict(raw["stop"], certificate=False))
    agreed = told(early, "simulator", tmp_path / "early")[0]
    assert agreed["certificate"] is None
    assert agreed["distance_to_optimum"] > 1e-5
    assert code == 0
    assert summary["rounds"] > agreed["rounds"]
    assert summary["distance_to_optimum"] <= 1e-5
    assert summary["certificate"] <= 1e-6
    assert 1 < summary["certified"]["attempts"] <= math.log2(summary["rounds"])
    assert "by its certificate" in sentence


def test_far_from_the_optimum_the_distance_is_told_and_what_newton_would_cost(tmp_path: Path) -> None:
    raw = settings(reference=True, model__l2=1e-6, stop__tolerance=1e-4, stop__rounds=600, data__test=0.0)
    summary, code, sentence = told(raw, "simulator", tmp_path / "run")
    assert code == 6
    assert summary["agreed"]
    assert 0.67 <= summary["certificate"] / summary["distance_to_optimum"] <= 1.5
    assert "Newton's method would get there in" in sentence
    assert summary["certified"]["newton"] % 7 == 0  # exchanges of a sum on this ring


def test_the_bias_of_a_biased_method_is_told(tmp_path: Path) -> None:
    raw = settings(reference=True, algorithm__kind="d-psgd", stop__rounds=300, data__test=0.0)
    summary, code, sentence = told(raw, "simulator", tmp_path / "run")
    assert code == 0
    apart, away = summary["consensus_distance"], summary["certificate"]
    assert f"within {apart:.2g} of their mean, which is {away:.2g} from the optimum of all data" in sentence
    assert summary["distance_to_optimum"] <= 1.2 * (apart + away)


def split(x: Any, y: Any) -> list[Table]:
    parts = np.array_split(np.arange(len(y)), 4)
    frames = [pd.DataFrame(x[part], columns=[f"x{i}" for i in range(x.shape[1])]) for part in parts]
    return [
        Table.of(f, pd.Series(y[part] * 1.0, name="y"), "rows") for f, part in zip(frames, parts, strict=True)
    ]


@pytest.mark.parametrize("kind", ["newton", "exact-diffusion"])
@pytest.mark.parametrize("case", ["separable", "ties", "no counts", "level"])
def test_where_there_is_no_optimum_the_run_says_why(kind: str, case: str) -> None:
    x = np.random.default_rng(5).normal(size=(120, 2))
    x[:, 0] += 0.3 * np.sign(x[:, 0])
    y = x[:, 0] > 0
    model, l2, words = "logistic", 0.0, "the model separates the classes"
    if case == "ties":
        x[::6], y[::12], y[6::12] = 0.0, True, False
        words = "or none within reach"
    if case == "level":
        x[:, 1] = np.arange(120) % 7 == 0
        y = (x[:, 0] + np.random.default_rng(6).normal(size=120) > 0) | (x[:, 1] > 0)
        words = "a level or a combination of features has rows of one class only"
    if case == "no counts":
        model, l2, y, words = "poisson", 0.01, 0 * y, "all counts are 0"
    raw = settings(
        model__kind=model, model__l2=l2, algorithm__kind=kind, topology__graph="ring:4", stop__tolerance=1e-4,
        stop__rounds=400,
    )  # fmt: skip
    if model == "poisson" and kind != "newton":
        raw["algorithm"]["step"] = 0.1
    made = study(parse(raw))
    summary = judge(made, train(made, split(x, y))).summary
    code, sentence = verdict(summary, 1e-4)
    assert code == 6
    assert summary["certificate"] is None
    assert summary["certified"]["endless"]
    assert words in summary["certified"]["why"]
    assert words in sentence


def test_without_all_peers_there_is_no_certificate_and_attempts_become_rarer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer in the middle of a line is away whenever sums are due."""
    monkeypatch.setattr(Simulated, "companies", lambda _, study, run: [study.graph.subgraph("0134")])
    raw = settings(topology__graph="line:5", model__l2=1.0, stop__rounds=800, stop__tolerance=1e-4)
    summary, code, sentence = told(raw, "simulator", tmp_path / "run")
    assert summary["certificate"] is None
    assert summary["agreed"]
    assert code == 6
    assert sentence.endswith(
        "no certificate of its distance to the optimum: not all peers took part in its sums"
    )
    assert 4 < summary["certified"]["attempts"] <= 7, "after 16, 32, ... rounds, and at the end"


def test_interrupted_peers_take_no_certificate(tmp_path: Path) -> None:
    events = simulate(parse(settings(stop__tolerance=1e-6, stop__rounds=4000)), tmp_path / "run")
    next(event for event in events if isinstance(event, Progress))
    rest = [events.throw(KeyboardInterrupt), *events]
    summary = rest[-1].summary
    assert summary["stopped"] == "interrupted"
    assert summary["certificate"] is None
    assert summary["certified"]["attempts"] == 0
    assert verdict(summary, 1e-6) == (
        130,
        f"interrupted after {summary['rounds']} rounds; the models at that point are saved",
    )


def test_a_tolerance_below_rounding_is_not_met(tmp_path: Path) -> None:
    raw = settings(
        algorithm__kind="newton",
        algorithm__averaging="tree",
        stop__tolerance=1e-17,
        stop__rounds=200,
        data__test=0.0,
    )
    summary, code, sentence = told(raw, "simulator", tmp_path / "run")
    assert code == 6
    assert (
        f"by its certificate the model is at rounding, {summary['certificate']:.1e} from the optimum"
        in sentence
    )
    assert "Set stop.tolerance higher, above rounding errors" in sentence


@pytest.mark.parametrize("kind", ["newton", "exact-diffusion"])
def test_an_optimum_at_0_is_met(kind: str) -> None:
    x = np.random.default_rng(5).normal(size=(120, 2))
    raw = settings(
        model__kind="linear", algorithm__kind=kind, topology__graph="ring:4", stop__tolerance=1e-8, stop__rounds=600
    )  # fmt: skip
    made = study(parse(raw))
    summary = judge(made, train(made, split(x, np.full(120, 7.0)))).summary
    assert verdict(summary, 1e-8)[0] == 0
    assert summary["certificate"] <= 1e-8


def test_labels_far_from_0_are_scored_as_pooled() -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=(240, 3))
    rows = split(x, 1e12 + 1e3 * (x @ [1.0, 2.0, -1.0] + 0.3 * random.normal(size=240)))
    for part in rows:
        part.test[-20:] = True
    raw = settings(
        reference=True, model={"kind": "linear", "l2": 1e-3}, topology__graph="ring:4", stop__tolerance=1e-10,
        algorithm={"kind": "newton", "averaging": "tree"}, stop__rounds=200,
    )  # fmt: skip
    made = study(parse(raw))
    summary = judge(made, train(made, rows)).summary
    assert verdict(summary, 1e-10)[0] == 0
    assert summary["certificate"] <= 1e-10
    assert 0.9 < summary["test"]["all"]["r2"] < 1
    assert summary["test"]["all"]["r2"] == pytest.approx(summary["pooled"]["test"]["all"]["r2"], abs=1e-5)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"kind": "svm", "l2": 0.1}, "the hinge has kinks"),
        ({"kind": "module", "module": "net.py:model"}, "no convex objective is known of a module"),
    ],
)
def test_models_without_a_certificate_say_why_whatever_the_code(
    model: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    net = "import torch\n\ndef model():\n    return torch.nn.Linear(30, 1), torch.nn.MSELoss()\n"
    Path("net.py").write_text(net)
    raw = settings(model=model, algorithm__step=0.1, stop__rounds=3)
    summary, code, sentence = told(raw, "simulator", tmp_path / "run")
    assert code == 0
    assert summary["certificate"] is None
    assert words in summary["certified"]["why"]
    assert f"there is no certificate of its distance to the optimum: {words}" in sentence


@pytest.mark.slow
def test_live_peers_take_the_same_certificate(tmp_path: Path) -> None:
    """With an attempt that fails, and after a peer was killed: then it is of the data that is there."""
    raw = settings(
        reference=True, topology__graph="full:4", stop__tolerance=1e-6, stop__rounds=4000, data__test=0.0,
        data__partition="iid", stop__absent=0.5,
    )  # fmt: skip
    simulated = told(raw, "simulator", tmp_path / "simulated")[0]
    summary, code, _ = told(raw, "peers", tmp_path / "live")
    assert code == 0
    assert summary["rounds"] == simulated["rounds"]
    assert summary["certified"]["attempts"] == simulated["certified"]["attempts"] > 1
    assert abs(summary["certificate"] / simulated["certificate"] - 1) < 0.1
    raw["faults"] = [{"do": "kill", "round": 10, "peers": ["0"]}]
    summary, code, _ = told(raw, "peers", tmp_path / "killed")
    assert code == 0
    assert summary["peers"] == 3
    assert summary["distance_to_optimum"] <= 1e-5
    assert summary["certificate"] <= 1e-6
