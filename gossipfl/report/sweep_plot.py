"""Two plots of a sweep: the loss over rounds, and the results; must not know how cells are run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gossipfl.report.result import METRICS, RISING
from gossipfl.report.tally import Row, figures

NAMES = {**METRICS, "distance_to_optimum": "relative distance to the pooled optimum, farthest peer"}
LINES = 20  # combinations at most: more colours look alike


def draw(rows: Sequence[Row], axes: Sequence[str], folder: Path) -> list[Path]:
    """Write plot.svg and plot.png, and return their paths; empty if matplotlib is missing or no run has ended.

    Left: the loss (mean over peers, then over repeats), with a band from the smallest to the largest repeat.
    Right: the distance to the optimum if it is known, else the test metric or the loss. Each repeat is a dot,
    their mean a line.
    """
    shown = [row for row in rows if row.mean][:LINES]
    try:
        from matplotlib import colormaps
        from matplotlib.figure import Figure
    except ImportError:
        return []
    if not shown:
        return []
    figure = Figure(figsize=(11, max(4.0, 1.6 + 0.32 * len(shown))), layout="constrained")
    left: Any
    right: Any
    left, right = figure.subplots(1, 2)
    colours = colormaps["tab10" if len(shown) <= 10 else "tab20"](range(len(shown)))
    names = [", ".join(row.values) or "the experiment" for row in shown]
    for row, colour in zip(shown, colours, strict=False):
        _curve(left, row, folder, colour)
    left.set(
        xlabel="rounds",
        ylabel="loss of a peer on its own rows, mean over peers",
        xscale="log",
        title="learning",
    )
    headline = _headline(shown)
    for place, (row, colour) in enumerate(zip(shown, colours, strict=False)):
        each = [v for run in row.runs if (v := figures(run.summary).get(headline)) is not None]
        right.plot(each, [place] * len(each), "o", color=colour, alpha=0.6)
        right.plot([row.mean[headline]], [place], "|", color=colour, markersize=18, markeredgewidth=2)
    values = [v for row in shown if (v := row.mean[headline]) is not None]
    if min(values, default=0) > 0 and max(values) > 30 * min(values):
        right.set_xscale("log")
    right.set(
        yticks=range(len(shown)),
        yticklabels=names,
        xlabel=NAMES.get(headline, headline),
        title=", ".join(axes) or "repeats",
    )
    right.invert_yaxis()
    right.grid(axis="x", alpha=0.3)
    left.grid(alpha=0.3)
    paths = [folder / "plot.svg", folder / "plot.png"]
    for path in paths:
        figure.savefig(path, dpi=150)
    return paths


def _headline(rows: Sequence[Row]) -> str:
    """The most important figure that all rows have."""
    order = ("distance_to_optimum", *RISING, "loss")
    return next((name for name in order if all(row.mean.get(name) is not None for row in rows)), "rounds")


def _curve(axes: Any, row: Row, folder: Path, colour: Any) -> None:
    """Draw the losses of the repeats of a row, up to the last round of the shortest repeat."""
    runs = []
    for run in row.runs:
        if (path := folder / run.cell.folder / "metrics.jsonl").is_file():
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            runs.append([(line["round"], line["loss"]) for line in lines if line.get("loss") is not None])
    if not (runs := [run for run in runs if run]):
        return
    length = min(map(len, runs))
    rounds = [at for at, _ in runs[0][:length]]
    losses = np.array([[loss for _, loss in run[:length]] for run in runs])
    axes.plot(rounds, losses.mean(0), color=colour)
    if len(runs) > 1:
        axes.fill_between(rounds, losses.min(0), losses.max(0), color=colour, alpha=0.2, linewidth=0)
