"""Run experiments from tests."""

import copy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from gossipfl.config.file import parse
from gossipfl.experiment.launch.launch import run
from gossipfl.experiment.launch.simulate import simulate
from gossipfl.runs.events import Finished, Progress

ENGINES = {"simulator": simulate, "peers": run}


def settings(**changes: Any) -> dict[str, Any]:
    """A small experiment with changes, given by dotted keys (with double underscores for dots)."""
    base: dict[str, Any] = {
        "seed": 0,
        "data": {"source": "breast_cancer", "partition": {"scheme": "sorted", "imbalance": 3.0}, "test": 0.2},
        "topology": {"graph": "ring:8"},
        "model": {"kind": "logistic", "l2": 0.1},
        "algorithm": {"kind": "exact-diffusion"},
        "stop": {"rounds": 50},
        "peers": {"wait": 30.0},
    }
    base = copy.deepcopy(base)
    for key, value in changes.items():
        *path, last = key.split("__")
        table = base
        for part in path:
            table = table.setdefault(part, {})
        table[last] = value
    return base


def carry_out(engine: str, raw: dict[str, Any], folder: Path) -> tuple[dict[str, Any], list[Progress]]:
    """The summary and the lines of metrics."""
    events = list(ENGINES[engine](parse(raw), folder))
    last = events[-1]
    assert isinstance(last, Finished)
    return last.summary, [event for event in events if isinstance(event, Progress)]


def models(folder: Path, names: list[str]) -> torch.Tensor:
    """The models of the peers, (n, d)."""
    return torch.stack([load_file(folder / "peers" / name / "model.safetensors")["x"] for name in names])
