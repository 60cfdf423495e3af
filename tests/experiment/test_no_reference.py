"""A pooled problem without an optimum costs no result: the run ends as ever, and says why there is nothing to compare with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import ENGINES, settings

from gossipfl.config.file import parse
from gossipfl.experiment.evaluation import finish
from gossipfl.experiment.evaluation.verdict import DONE, verdict
from gossipfl.report.result import figures
from gossipfl.report.tables import seconds
from gossipfl.runs.events import Comparing, Event, Finished
from gossipfl.runs.summary import read_summary


def separable(folder: Path, **changes: Any) -> dict[str, Any]:
    """An experiment on rows that a plane separates, without l2."""
    x = np.random.default_rng(0).normal(size=(120, 2))
    lines = [f"{a:.6f},{b:.6f},{'yes' if a + b > 0 else 'no'}" for a, b in x]
    (folder / "rows.csv").write_text("a,b,y\n" + "\n".join(lines) + "\n")
    return settings(
        reference=True, data__source=str(folder / "rows.csv"), data__target="y", data__partition={"scheme": "iid"},
        topology__graph="ring:4", model__l2=0.0, stop__rounds=20, **changes,
    )  # fmt: skip


def events(engine: str, raw: dict[str, Any], folder: Path) -> list[Event]:
    return list(ENGINES[engine](parse(raw), folder / "run"))


@pytest.mark.parametrize("engine", ["simulator", "peers"])
def test_the_result_stays_and_the_reason_is_told(engine: str, tmp_path: Path) -> None:
    *_, before, last = events(engine, separable(tmp_path), tmp_path)
    assert isinstance(before, Comparing)
    assert isinstance(last, Finished)
    summary = read_summary(tmp_path / "run")
    assert (summary["pooled"], summary["distance_to_optimum"]) == (None, None)
    assert summary["no_reference"].startswith("the pooled problem has no finite optimum")
    code, sentence = verdict(summary, 0.0)
    assert code == DONE
    assert (
        "; there is no pooled optimum to compare with: the pooled problem has no finite optimum" in sentence
    )
    assert {"model.json", "model.safetensors"} <= {file.name for file in (tmp_path / "run").iterdir()}


def test_its_time_is_told(tmp_path: Path) -> None:
    raw = separable(tmp_path)
    raw["model"]["l2"] = 0.1
    summary = events("simulator", raw, tmp_path)[-1].summary  # type: ignore[union-attr]
    assert summary["distance_to_optimum"] > 0
    table: Any = figures(summary)
    told = [str(cell) for cell in table.columns[1].cells][-1]
    assert told.endswith(f", {seconds(summary['seconds']['reference'])} for the pooled optimum")


def test_without_a_reference_nothing_is_said_of_it(tmp_path: Path) -> None:
    raw = separable(tmp_path) | {"reference": False}
    *before, last = events("simulator", raw, tmp_path)
    assert not any(isinstance(event, Comparing) for event in before)
    assert "reference" not in last.summary["seconds"]  # type: ignore[union-attr]


def test_an_interruption_of_its_computation_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(problem: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(finish, "pooled_optimum", interrupted)
    summary = events("simulator", separable(tmp_path), tmp_path)[-1].summary  # type: ignore[union-attr]
    assert summary["no_reference"] == "its computation was interrupted"
    assert summary["rounds"] == 20
