"""Comparison of two finished runs; must not know the engines."""

import json
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import RenderableType

from gossipfl.errors import BadExperiment
from gossipfl.report.result import METRICS
from gossipfl.report.tables import number, plain
from gossipfl.runs.summary import read_summary

FIGURES = (
    "engine", "algorithm", "topology", "model", "peers", "parameters", "rounds", "stopped", "agreed",
    "consensus_distance", "distance_to_optimum", "loss", "bytes_sent", "messages_sent",
    "cpu_seconds_per_peer_round",
)  # fmt: skip
LISTED = ("engine", "algorithm", "topology", "peers", "rounds", "stopped", "agreed", "distance_to_optimum")


class RunRow(NamedTuple):
    """What a run folder contains."""

    folder: Path
    summary: dict[str, Any]  # empty if the run has not ended
    tolerance: float


def read(folder: Path) -> RunRow:
    """Read the summary of a run folder. Raises BadExperiment if a file in it is damaged."""
    ended = read_summary(folder)
    try:
        config = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
        return RunRow(folder, ended, float(config.get("stop", {}).get("tolerance", 0.0)))
    except (OSError, ValueError, TypeError, AttributeError) as why:
        raise BadExperiment(
            f"{folder} is damaged: gossipfl cannot read its config.toml ({why}). Remove that folder"
        ) from None


def listed(folder: Path) -> dict[str, Any]:
    """The row of a run in a list. For a damaged run only "folder" and "damaged" (the reason) are set."""
    try:
        ended, damaged = read(folder).summary, None
    except BadExperiment as why:
        ended, damaged = {}, str(why)
    return {"folder": str(folder)} | {key: ended.get(key) for key in LISTED} | {"damaged": damaged}


def compare(a: RunRow, b: RunRow) -> dict[str, Any]:
    """The distance of the shared models, |x_a - x_b| / |x_a|, the feature that differs most, and the figures of both.

    Raises:
        BadExperiment: a run has no model, or the models do not have the same parameters.
    """
    x, y = _parameters(a), _parameters(b)
    if x.shape != y.shape:
        raise BadExperiment(
            f"{a.folder} has {x.size} parameters, but {b.folder} has {y.size}: compare models of the same data"
        )
    size, gap = float(np.linalg.norm(x)), float(np.linalg.norm(x - y))
    found: dict[str, Any] = {
        "distance": gap / size if size else gap,
        "largest_difference": None,
        "a": {"folder": str(a.folder)} | _figures(a),
        "b": {"folder": str(b.folder)} | _figures(b),
    }
    one, other = _coefficients(a), _coefficients(b)
    if one.keys() != other.keys():
        raise BadExperiment(
            f"the models of {a.folder} and {b.folder} have different features: compare models of the same data"
        )
    if one:
        by_feature = {name: float(np.abs(np.subtract(one[name], other[name])).max()) for name in one}
        worst = max(by_feature, key=by_feature.__getitem__)
        found["largest_difference"] = {
            "feature": worst, "difference": by_feature[worst], "a": one[worst], "b": other[worst],
        }  # fmt: skip
    return found


def table(a: RunRow, b: RunRow, found: dict[str, Any]) -> list[RenderableType]:
    """The result of `compare` as text."""
    told = f"distance between the models: {number(found['distance'])}, relative to the first"
    if worst := found["largest_difference"]:
        told += f"; largest difference: {number(worst['difference'])}, in {worst['feature']}"
    rows = [
        (key.replace("_", " "), number(found["a"].get(key)), number(found["b"].get(key)))
        for key in found["a"] | found["b"]
        if key != "folder"
    ]
    return [told, plain(("", a.folder.name, b.folder.name), rows, (1, 2))]


def _figures(run: RunRow) -> dict[str, Any]:
    """The figures of a run, with its test metrics and seconds."""
    flat = {key: run.summary.get(key) for key in FIGURES}
    flat |= {f"seconds_{key}": value for key, value in (run.summary.get("seconds") or {}).items()}
    everything = (run.summary.get("test") or {}).get("all", {})
    return flat | {f"test_{key}": everything[key] for key in METRICS if key in everything}


def _parameters(run: RunRow) -> Any:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load((run.folder / "model.safetensors").read_bytes())["x"]
    except (OSError, KeyError, SafetensorError) as why:
        raise BadExperiment(f"{run.folder} has no shared model to compare: {why}") from None


def _coefficients(run: RunRow) -> dict[str, Any]:
    """Coefficients by feature, with the intercept; empty for models that are not linear."""
    path = run.folder / "model.json"
    if not path.is_file():
        return {}
    try:
        model = json.loads(path.read_text())
        return {**model["coefficients"], "(intercept)": model["intercept"]}
    except (OSError, ValueError, KeyError) as why:
        raise BadExperiment(f"{path} cannot be read: {why}") from None
