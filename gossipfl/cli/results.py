"""results ls, show and compare: print earlier runs from their folders; must not know how they ran."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gossipfl.cli.options import As
from gossipfl.cli.say import say
from gossipfl.errors import BadExperiment

if TYPE_CHECKING:
    from gossipfl.report.compare import RunRow

app = typer.Typer(help="List, show and compare earlier runs.", no_args_is_help=True)

RUNS = Path("runs")
Which = Annotated[
    str, typer.Argument(metavar="RUN", help="A run folder, a part of its name under runs/, or latest.")
]


@app.command(epilog="\b\nExample:\n  gossipfl results ls")
def ls(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The folder that contains the run folders.")
    ] = RUNS,
    format: As = "text",
) -> None:
    """List runs and how they ended, oldest first.

    For a damaged run, print why it cannot be read.
    """
    from gossipfl.report.compare import LISTED, listed
    from gossipfl.report.tables import plain

    found = [listed(run) for run in _runs(folder)]
    shown = [run | {"stopped": "damaged"} if run["damaged"] else run for run in found]
    rows = [(Path(run["folder"]).name, *(_short(run[key]) for key in LISTED)) for run in shown]
    headings = (
        "run",
        "engine",
        "algorithm",
        "topology",
        "peers",
        "rounds",
        "stopped by",
        "one model",
        "to optimum",
    )
    empty = f"there is no run in {folder} yet; start with: gossipfl demo"
    reasons = [f"✗ {run['damaged']}" for run in found if run["damaged"]]
    say(format, {"runs": found}, plain(headings, rows, (4, 5, 8)) if rows else empty, *reasons)


@app.command(
    epilog="""\b
Examples:
  gossipfl results show latest
  gossipfl results show 20250131-120000_demo --format json"""
)
def show(run: Which, format: As = "text") -> None:
    """Show the result of a run again."""
    found = _read(run)
    if not found.summary:
        raise BadExperiment(f"{found.folder} has no summary.json: the run has not ended, or it was killed")
    from gossipfl.experiment.evaluation.verdict import verdict
    from gossipfl.report.result import figures, metrics, result

    told: dict[str, Any] = {"folder": str(found.folder)} | found.summary
    if "peers" not in found.summary:  # one peer, started by hand
        say(
            format,
            told,
            f"{found.folder}: one peer, {found.summary['rounds']} rounds, {found.summary['stopped']}",
        )
        return
    code, sentence = verdict(found.summary, found.tolerance)
    parts = [metrics(found.summary)] if found.summary.get("test") else []
    say(
        format,
        told,
        f"{found.folder}",
        *result(found.summary, sentence, code == 0),
        *parts,
        figures(found.summary),
    )


@app.command(epilog="\b\nExample:\n  gossipfl results compare runs/20250131-120000_demo latest")
def compare(a: Which, b: Which, format: As = "text") -> None:
    """Compare the models and the figures of two runs.

    The distance between the models is relative to the first one. The feature with the largest difference is
    named.
    """
    from gossipfl.report.compare import compare, table

    one, other = _read(a), _read(b)
    found = compare(one, other)
    say(format, found, *table(one, other, found))


def _short(value: object) -> str:
    """A figure as text; for a file only its name."""
    from gossipfl.report.tables import number

    return number(value).rpartition("/")[2]


def _read(run: str) -> "RunRow":
    from gossipfl.report.compare import read

    return read(find(run))


def _runs(folder: Path) -> list[Path]:
    """The run folders in a folder, oldest first."""
    if not folder.is_dir():
        return []
    return sorted((p.parent for p in folder.glob("*/config.toml")), key=lambda p: (p.stat().st_mtime, p.name))


def find(run: str) -> Path:
    """The run folder for a name. Raises BadExperiment if there is none, or more than one."""
    folder = Path(run)
    if (folder / "config.toml").is_file():
        return folder
    if folder.is_dir() and run != "latest":
        raise BadExperiment(f"{run} is not a run folder: it has no config.toml")
    known = _runs(RUNS)
    if not known:
        raise BadExperiment(
            f"there is no run {run}, and no other run in {RUNS.absolute()}; start with: gossipfl demo"
        )
    if run == "latest":
        return known[-1]
    matching = [path for path in known if run in path.name]
    exact = [path for path in matching if path.name == run]
    if len(exact or matching) == 1:
        return (exact or matching)[0]
    what = f"{len(matching)} runs match {run}" if matching else f"there is no run {run}"
    raise BadExperiment(f"{what}; choose one of {', '.join(p.name for p in (matching or known)[-8:])}")
