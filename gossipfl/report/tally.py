"""Means and deviations over the repeats of a sweep, and its result files; must not know how cells ran."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from gossipfl.config.grid import Grid
from gossipfl.disk import write
from gossipfl.experiment.launch.sweep import CellEnded
from gossipfl.report.result import METRICS, RISING
from gossipfl.runs.folder import write_json

Figures = dict[str, float | None]


class Row(NamedTuple):
    """One combination of values, and the results of its runs."""

    values: tuple[str, ...]
    runs: list[CellEnded]
    mean: Figures
    deviation: Figures  # standard deviation of the sample; None for a single run
    best: frozenset[str]  # figures whose mean no other combination beats

    @property
    def failed(self) -> bool:
        """Whether a run diverged or did not end: then the means contain only the other runs."""
        return not self.runs or any(run.summary.get("stopped", "diverged") == "diverged" for run in self.runs)


def figures(summary: Mapping[str, Any]) -> Figures:
    """The figures of one run that a sweep compares; None for a figure that the run lacks."""
    if not summary:
        return {}
    took = summary.get("seconds") or {}
    found: Figures = {
        "rounds": summary.get("rounds"),
        "distance_to_optimum": summary.get("distance_to_optimum"),
        "consensus_distance": summary.get("consensus_distance"),
        "loss": summary.get("loss"),
    }
    test = (summary.get("test") or {}).get("all", {})
    found |= {key: test.get(key) for key in METRICS if key in RISING and key in test}
    own = (summary.get("test") or {}).get("own", {})  # gossip learning only
    found |= {"error": own["error"]} if "error" in own else {}
    found["bytes"] = summary["bytes_sent"] / max(1, summary["peers"])
    return found | {"seconds": took.get("learning")}


def tally(grid: Grid, ended: Sequence[CellEnded]) -> list[Row]:
    """One row for each combination, in the order of the grid; runs that have not ended are left out."""
    by_cell = {one.cell.folder: one for one in ended}
    groups: dict[tuple[str, ...], list[CellEnded]] = {}
    for cell in grid.cells:
        group = groups.setdefault(cell.values, [])
        if cell.folder in by_cell:
            group.append(by_cell[cell.folder])
    rows = [_row(values, runs) for values, runs in groups.items()]
    names = {name: None for row in rows for name in row.mean}
    best: dict[str, float] = {}
    for name in names:
        sign = 1 if name in RISING else -1
        sound = [sign * v for row in rows if (v := row.mean.get(name)) is not None and not row.failed]
        if len(sound) > 1 and min(sound) < max(sound):
            best[name] = sign * max(sound)
    return [
        row._replace(best=frozenset(n for n, v in best.items() if row.mean.get(n) == v and not row.failed))
        for row in rows
    ]


def document(grid: Grid, rows: Sequence[Row], engine: str) -> dict[str, Any]:
    """All results of a sweep, as the content of results.json."""
    return {
        "engine": engine,
        "axes": grid.axes,
        "repeats": grid.repeats,
        "cells": len(grid.cells),
        "ended": sum(len(row.runs) for row in rows),
        "rows": [
            {
                "settings": dict(zip(grid.axes, row.values, strict=True)),
                "mean": row.mean,
                "deviation": row.deviation,
                "best": sorted(row.best),
                "runs": [
                    {
                        "folder": run.cell.folder,
                        "seed": run.cell.seed,
                        "exit_code": run.code,
                        "verdict": run.told,
                    }
                    | figures(run.summary)
                    for run in row.runs
                ],
            }
            for row in rows
        ],
    }


def save(folder: Path, grid: Grid, rows: Sequence[Row], engine: str) -> None:
    """Write results.json, and results.csv with a line for each run."""
    write_json(folder / "results.json", document(grid, rows, engine))
    names = list({name: None for row in rows for run in row.runs for name in figures(run.summary)})
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([*grid.axes, "seed", "exit_code", "stopped", *names, "folder"])
    for row in rows:
        for run in row.runs:
            found = figures(run.summary)
            stopped = run.summary.get("stopped", "failed")
            lines.writerow(
                [
                    *row.values,
                    run.cell.seed,
                    run.code,
                    stopped,
                    *(found.get(name) for name in names),
                    run.cell.folder,
                ]
            )
    write(folder / "results.csv", text.getvalue().encode())


def _row(values: tuple[str, ...], runs: list[CellEnded]) -> Row:
    each = [figures(run.summary) for run in runs if run.summary]
    mean: Figures = {}
    deviation: Figures = {}
    for name in {name: None for one in each for name in one}:
        found = [float(value) for one in each if (value := one.get(name)) is not None]
        mean[name] = fmean(found) if found else None
        deviation[name] = stdev(found) if len(found) > 1 else None
    return Row(values, runs, mean, deviation, frozenset())
