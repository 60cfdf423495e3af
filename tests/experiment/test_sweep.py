"""The grid of a sweep is what was asked for, its means are those of its runs, and nothing is run twice."""

import csv
import json
import multiprocessing
import os
import signal
import statistics
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table
from runs import settings

from gossipfl.config.file import dump, load, parse
from gossipfl.config.grid import Grid, grid, split
from gossipfl.errors import BadExperiment
from gossipfl.experiment.launch.sweep import CellEnded, CellProgress, exit_code, sweep
from gossipfl.report.sweep import table
from gossipfl.report.sweep_plot import draw
from gossipfl.report.tally import figures, save, tally
from gossipfl.runs import folder as files


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "base.toml"
    path.write_text(dump(parse(settings(stop__rounds=20, topology__graph="ring:4", reference=True))))
    return path


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a", ("a",)),
        ("ring:16, torus:4x4", ("ring:16", "torus:4x4")),
        ("[1,2],[3]", ("[1,2]", "[3]")),
        ('{scheme="dirichlet", alpha=1},iid', ('{scheme="dirichlet", alpha=1}', "iid")),
        ("\"a,b\",'c,]'", ('"a,b"', "'c,]'")),
    ],
)
def test_commas_part_values_outside_brackets(text: str, values: tuple[str, ...]) -> None:
    assert split(text) == values


def test_the_grid_is_every_combination_times_every_seed(file: Path) -> None:
    found = grid(file, ["topology=ring:4,full:4", "step=0.1,0.2", "rounds=7", "partition=iid,sorted"], 3)
    assert found.axes == {
        "topology.graph": ("ring:4", "full:4"),
        "algorithm.step": ("0.1", "0.2"),
        "data.partition": ("iid", "sorted"),
    }
    assert len(found.cells) == 2 * 2 * 2 * 3
    assert [cell.seed for cell in found.cells[:4]] == [0, 1, 2, 0]
    assert len({cell.folder for cell in found.cells}) == len(found.cells)
    last = found.cells[-1].experiment
    assert (last.seed, last.topology.graph, last.algorithm.step, last.stop.rounds) == (2, "full:4", 0.2, 7)
    assert last.data.partition == {"scheme": "sorted"}
    alone = grid(file, [])
    assert alone.axes == {}
    assert [cell.experiment for cell in alone.cells] == [load(file)]


def test_an_axis_is_given_once(file: Path) -> None:
    with pytest.raises(BadExperiment, match="is given twice"):
        grid(file, ["algorithm=extra", "algorithm.kind=d2"])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("topology", "write section.key=value"),
        ("step=", "write section.key=value"),
        ("step=0.1,,0.2", "write section.key=value"),
        ("step=1,1", "listed twice"),
        ("kind=a,b", "write model.kind or algorithm.kind"),
        ("stpe=1", "no section has this key"),
        ("algorithm=extra,extrra", "did you mean"),
        ("seed=" + ",".join(map(str, range(5001))), "10,002 cells"),
    ],
)
def test_what_is_no_grid_is_refused(file: Path, setting: str, words: str) -> None:
    with pytest.raises(BadExperiment, match=words):
        grid(file, [setting], 2)


def carry_out(found: Grid, out: Path, jobs: int = 2) -> list[CellEnded]:
    events = list(sweep(found.cells, out, "simulate", jobs))
    assert all(0 < event.share <= 1 for event in events if isinstance(event, CellProgress))
    return [event for event in events if isinstance(event, CellEnded)]


def test_cells_are_run_once_and_failures_end_no_other(file: Path, tmp_path: Path) -> None:
    found = grid(file, ["algorithm=d-psgd,d2,exact-diffusion"], 2)
    out = tmp_path / "sweep"
    ended = carry_out(found, out)
    assert sorted(one.cell.folder for one in ended) == sorted(cell.folder for cell in found.cells)
    failed = [one for one in ended if not one.summary]
    assert {one.cell.values for one in failed} == {("d2",)}
    assert all(one.code == 3 and "eigenvalue" in one.told for one in failed)
    assert exit_code(ended, False) == 3
    assert exit_code([one for one in ended if one.summary], False) == 0
    assert exit_code(ended, True) == 130

    rows = tally(found, ended)
    save(out, found, rows, "simulate")
    told = json.loads((out / "results.json").read_text())
    assert (told["cells"], told["ended"], told["repeats"]) == (6, 6, 2)
    for row in told["rows"]:
        for name, mean in row["mean"].items():
            each = [run[name] for run in row["runs"]]
            if None not in each:
                assert mean == pytest.approx(statistics.fmean(each))
                assert row["deviation"][name] == pytest.approx(statistics.stdev(each))
    with (out / "results.csv").open() as lines:
        saved = list(csv.DictReader(lines))
    assert [line["algorithm.kind"] for line in saved] == ["d-psgd"] * 2 + ["d2"] * 2 + ["exact-diffusion"] * 2
    for line in saved:
        if line["stopped"] != "failed":
            summary = files.read_json(out / line["folder"] / "summary.json")
            assert float(line["distance_to_optimum"]) == summary["distance_to_optimum"]
    assert [path.name for path in draw(rows, list(found.axes), out)] == ["plot.svg", "plot.png"]

    sound = grid(file, ["algorithm=d-psgd,exact-diffusion"], 3)
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/summary.json")}
    torn, damaged = (out / cell.folder for cell in sound.cells[:2])
    (torn / "summary.json").unlink()
    (damaged / "summary.json").write_text("{")
    again = carry_out(sound, out, jobs=1)
    assert len(again) == 6
    assert {one.code for one in again} == {0}
    for path, then in before.items():
        assert (path.stat().st_mtime_ns == then) == (path.parent not in (torn, damaged))


def test_a_killed_cell_ends_no_other(file: Path, tmp_path: Path) -> None:
    found = grid(file, ["rounds=100000000,20"])
    ended = []
    for event in sweep(found.cells, tmp_path / "sweep", "simulate", 1):
        if isinstance(event, CellEnded):
            ended.append(event)
        elif event.cell is found.cells[0]:
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, signal.SIGKILL)
    assert [one.code for one in ended] == [1, 0]
    assert "signal 9" in ended[0].told


def test_leaving_early_ends_the_cells(file: Path, tmp_path: Path) -> None:
    found = grid(file, ["rounds=100000000,100000001"])
    events = sweep(found.cells, tmp_path / "sweep", "simulate", 2)
    next(events)
    children = multiprocessing.active_children()
    events.close()
    assert len(children) == 2
    assert not any(child.is_alive() for child in children)
    assert not [
        path for path in tmp_path.glob("sweep/*/summary.json") if files.read_json(path)["stopped"] == "rounds"
    ]


def test_a_single_runs_folder_is_no_sweep(file: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    with pytest.raises(BadExperiment, match="single run"):
        list(sweep(grid(file, []).cells, tmp_path, "simulate", 1))


def summary(rounds: int, accuracy: float, stopped: str = "rounds") -> dict[str, Any]:
    return {
        "rounds": rounds,
        "stopped": stopped,
        "bytes_sent": 80,
        "peers": 4,
        "test": {"all": {"accuracy": accuracy}},
    }


def test_the_best_is_marked_among_the_sound(file: Path) -> None:
    found = grid(file, ["step=1,2,3"])
    told = [summary(9, 0.8), summary(7, 0.7), summary(5, 0.9, "diverged")]
    ended = [CellEnded(cell, 0, "", one) for cell, one in zip(found.cells, told, strict=True)]
    rows = tally(found, ended)
    assert [row.best for row in rows] == [{"accuracy"}, {"rounds"}, set()], "bytes are equal"
    assert figures(told[0])["bytes"] == 20
    assert tally(found, ended[:1])[1].runs == [], "what has not ended has no figures"


def test_what_looks_like_the_best_is_marked_like_it(file: Path) -> None:
    """Of means that differ in the twelfth digit one had a star, beside the same figure without."""
    found = grid(file, ["step=1,2,3,4"])
    told = [summary(9, 0.8), summary(9, 0.8 + 1e-12), summary(9, 0.7), summary(9, 0.8, "diverged")]

    def shown(count: int) -> dict[str, list[str]]:
        cells = zip(found.cells, told[:count], strict=False)
        whole, *_ = table(found, tally(found, [CellEnded(cell, 0, "", one) for cell, one in cells]), 120)
        assert isinstance(whole, Table)
        return {str(column.header): [*map(str, column.cells)] for column in whole.columns}

    assert shown(4)["accuracy"] == ["0.8*", "0.8*", "0.7", "0.8"]
    assert shown(4)["rounds"] == ["9"] * 4, "where all are alike nobody is the best"
    assert shown(2)["accuracy"] == ["0.8", "0.8", "-", "-"]
