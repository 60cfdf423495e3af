"""What a call returns: model, metrics, verdict; must not know how the peers learned."""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from gossipfl.config.code import brief
from gossipfl.config.experiment import Experiment
from gossipfl.config.file import load
from gossipfl.errors import BadExperiment
from gossipfl.experiment.evaluation.verdict import verdict
from gossipfl.runs.events import Progress
from gossipfl.runs.learned import Summary
from gossipfl.runs.summary import read_summary
from gossipfl.trained import LinearModel
from gossipfl.trained import load as load_model

__all__ = ["Result", "load_model", "load_run", "metrics_frame"]

COLUMNS = ["round", "loss", "disagreement", "seconds", "messages"]


@dataclass(frozen=True, eq=False)
class Result:
    """The result of a run.

    experiment: what was run.
    summary: what `summary.json` of a run folder has.
    metrics: a row for each line of metrics: round, mean loss of the peers, disagreement, seconds, messages of all peers.
    model: the mean of the peers' models, which is that of each peer if they agreed; None if `no_model` says why.
    folder: the run folder; None if nothing was written.
    notes: what was chosen for data without an experiment, and what a person should know of the rows and the run, in sentences.
    personal: with `model.personal`, each peer's own model by the peer's name; `summary["personal"]` has their scores.
    """

    experiment: Experiment
    summary: Summary
    metrics: pd.DataFrame
    model: LinearModel | None
    folder: Path | None = None
    notes: tuple[str, ...] = ()
    personal: dict[str, LinearModel] = field(default_factory=dict)

    @property
    def certificate(self) -> float | None:
        """The predicted distance of the model to the optimum of all data, relative; None if the method has none."""
        found: float | None = self.summary.get("certificate")
        return found

    @property
    def verdict(self) -> str:
        """How the run ended, in a sentence."""
        return verdict(self.summary, self.experiment.stop.tolerance)[1]

    @property
    def converged(self) -> bool:
        """Whether the run ended as it should: the verdict is good."""
        return verdict(self.summary, self.experiment.stop.tolerance)[0] == 0

    @property
    def test(self) -> dict[str, float | None]:
        """The metrics on the test rows of all peers; empty if there are none."""
        found: dict[str, float | None] = (self.summary.get("test") or {}).get("all", {})
        return found

    @property
    def no_model(self) -> str:
        """Why a run of this kind has no linear model, in a sentence; "" if it has one."""
        return no_model(self.experiment, self.summary)

    def summary_frame(self) -> pd.DataFrame:
        """The coefficients in the units of the data, with "(intercept)" last, a column for each output.

        Raises:
            BadExperiment: there is no linear model; the message says why.
        """
        if self.model is None:
            raise BadExperiment(self.no_model or "the run left no model.json: run it again")
        slopes, intercept = self.model.original
        names = pd.Index([*self.model.schema.features, "(intercept)"], name="feature")
        outputs = ["coefficient"] if len(intercept) == 1 else list(self.model.classes)
        return pd.DataFrame([*slopes, intercept], index=names, columns=outputs)

    def __repr__(self) -> str:
        return f"Result: {self.verdict}"

    def _repr_html_(self) -> str:
        s = self.summary
        mark, colour = ("✓", "green") if self.converged else ("✗", "firebrick")
        parts = [f'<p><b style="color: {colour}">{mark}</b> {escape(self.verdict)}</p>']
        rows = {part: sum(own[part] for own in s["rows"].values()) for part in ("train", "test")}
        parts.append(
            f"<p>{s['peers']} peers, {escape(brief(s['algorithm']))}, {s['rounds']:,} rounds, {s['messages_sent']:,} messages; "
            f"{rows['train']:,} training rows, {rows['test']:,} test rows</p>"
        )
        parts += ["<ul>", *(f"<li>{escape(note)}</li>" for note in self.notes), "</ul>"] if self.notes else []
        scores = {"test rows": self.test}
        if own := (s.get("personal") or {}).get("test"):
            scores["test rows, own models"] = own["all"]
        figures = pd.DataFrame(scores).T.drop(columns="rows", errors="ignore").dropna(axis=1, how="all")
        if figures.size:
            parts.append(figures.to_html(float_format="%.4g"))
        if self.model is not None:
            parts.append(f"<p><code>{escape(self.model.original_formula)}</code></p>")
            frame = self.summary_frame().rename_axis(None)
            parts.append(frame.to_html(max_rows=12, float_format="%.4g"))
        return "\n".join(parts)


def load_run(run: str | Path) -> Result:
    """The result of a run, from its folder.

    Raises:
        BadExperiment: there is no run, or it has not ended.
    """
    folder = Path(run)
    if not (folder / "config.toml").is_file():
        raise BadExperiment(
            f"there is no run in {folder}: give the folder of a run, such as runs/20260101-120000_demo"
        )
    summary = read_summary(folder)
    if "peers" not in summary:
        raise BadExperiment(f"the run in {folder} has not ended: it has no summary.json of all peers yet")
    experiment = load(folder / "config.toml")
    why = no_model(experiment, summary)
    return Result(
        experiment,
        summary,
        metrics_frame(_lines(folder / "metrics.jsonl")),
        load_model(folder) if not why and (folder / "model.json").is_file() else None,
        folder,
        (*summary.get("notes", ()), *filter(None, [why])),
        {} if why else _own(folder, summary),
    )


def no_model(experiment: Experiment, summary: Summary) -> str:
    """Why a run has no linear model, in a sentence; "" if it has one."""
    if experiment.model.kind == "module":
        return "a torch module has no coefficients: its parameters are in model.safetensors"
    if summary["stopped"] == "diverged":
        return "the run diverged, so that it has no model: its verdict says what to change"
    if experiment.data.standardise == "local":
        return (
            'with standardise = "local" each peer scaled features by its own rows, so that no model has the units of the '
            'data: use standardise = "gossip", or "none"'
        )
    return ""


def _own(folder: Path, summary: Summary) -> dict[str, LinearModel]:
    """Each peer's own model, if the run was to make them."""
    places = {name: folder / "peers" / name for name in summary["rows"] if "personal" in summary}
    return {name: load_model(place) for name, place in places.items() if (place / "model.json").is_file()}


def metrics_frame(lines: list[Progress]) -> pd.DataFrame:
    """The lines of metrics as a data frame."""
    return pd.DataFrame(lines, columns=COLUMNS)


def _lines(file: Path) -> list[Progress]:
    """The lines of metrics in a file, without those of faults."""
    content = file.read_bytes() if file.is_file() else b""
    found = [msgspec.json.decode(line, type=dict[str, Any]) for line in content.splitlines() if line.strip()]
    return [Progress(**line) for line in found if "loss" in line]
