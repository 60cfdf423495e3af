"""A progress bar while a sweep runs, and a table at its end; must not know how cells are run."""

from collections.abc import Iterable, Sequence

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from gossipfl.config.file import MAIN
from gossipfl.config.grid import Cell, Grid
from gossipfl.experiment.launch.sweep import CellEnded, CellProgress
from gossipfl.report.console import visible
from gossipfl.report.result import METRICS, RISING
from gossipfl.report.tables import bytes_, number, plain, seconds
from gossipfl.report.tally import Row

HEADINGS = {
    "rounds": "rounds",
    "distance_to_optimum": "to optimum",
    "consensus_distance": "between peers",
    **{key: METRICS[key] for key in RISING},
    "error": "own error",
    "bytes": "sent by each",
    "seconds": "time",
}
# columns that are left out first if there is no room
SPARE = ("runs ended", "between peers", "sent by each", "time", "rounds")
REASONS = 12  # printed at most
LIMITS = ("rounds", "tolerance", "seconds")  # what can stop a run as planned


class Bar:
    """On a terminal a bar over all cells, with the time left; elsewhere a line for each cell that ends."""

    def __init__(self, screen: Console, grid: Grid, quiet: bool) -> None:
        self._screen, self._quiet = screen, quiet
        self._done, self._all = 0, len(grid.cells)
        self._shares: dict[str, float] = {}
        columns = (
            TextColumn("{task.description}"), BarColumn(28), TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[cells]}"), TimeElapsedColumn(), TextColumn("elapsed,"),
            TimeRemainingColumn(), TextColumn("left at most"),
        )  # fmt: skip
        self._bar = Progress(*columns, console=screen, auto_refresh=False, transient=True)
        self._task = self._bar.add_task("cells", total=self._all, cells=f"0 of {self._all}")
        if screen.is_terminal and not quiet:
            self._bar.start()

    def show(self, event: CellProgress | CellEnded) -> None:
        """Show an event of a cell."""
        self._shares[event.cell.folder] = 1.0 if isinstance(event, CellEnded) else min(1.0, event.share)
        self._done += isinstance(event, CellEnded)
        if self._quiet:
            return
        if isinstance(event, CellEnded) and (not self._screen.is_terminal or not event.summary):
            told = event.told.partition(". ")[0] if event.summary else event.told
            line = f"[{self._done}/{self._all}] {name(event.cell)}: {told}"
            self._screen.print(visible(line), soft_wrap=True)
        if self._screen.is_terminal:
            done = f"{self._done} of {self._all}"
            self._bar.update(self._task, completed=sum(self._shares.values()), cells=done, refresh=True)

    def close(self) -> None:
        self._bar.stop()


def name(cell: Cell) -> str:
    """The name of a cell for people: its values and its seed."""
    return ", ".join([*cell.values, f"seed {cell.seed}"])


def table(grid: Grid, rows: Sequence[Row], width: int) -> list[RenderableType]:
    """A line for each combination, with the best value of each column marked, and the reasons of failures.

    If the table is wider than `width`, columns are left out in the order of `SPARE`.
    """
    named: dict[str, list[Text]] = {}
    for place, axis in enumerate(grid.axes):
        named[_short(axis)] = [Text(visible(row.values[place])) for row in rows]
    if not grid.axes:
        named["experiment"] = [Text(visible(grid.cells[0].experiment.name))]
    fixed, marks = len(named), {figure: _best(rows, figure) for figure in HEADINGS}
    for figure, heading in HEADINGS.items():
        if any(row.mean.get(figure) is not None for row in rows):
            named[heading] = [_cell(row, figure, best) for row, best in zip(rows, marks[figure], strict=True)]
    named["runs ended"] = [_how(row.runs, grid.repeats) for row in rows]
    left_out = []
    for heading in SPARE:
        wide = sum(_width(name, texts) for name, texts in named.items()) > width
        if wide and heading in named:
            del named[heading]
            left_out.append(heading)
    shown = plain([], [])
    for place, heading in enumerate(named):
        right = fixed <= place < len(named) - 1
        shown.add_column(
            heading, justify="right" if right else "left", no_wrap=place >= fixed, overflow="fold"
        )
    for line in zip(*named.values(), strict=True):
        shown.add_row(*line)
    told = ["* best of its column, to the digits shown"] if any(map(any, marks.values())) else []
    told += ["± standard deviation over the repeats"] if grid.repeats > 1 else []
    told += [f"columns left out: {', '.join(left_out)} (in results.csv)"] if left_out else []
    return [shown, *(["; ".join(told)] if told else []), *_reasons(rows)]


def _width(heading: str, texts: Sequence[Text]) -> int:
    """The width of a column on the screen, with the gap."""
    return max(len(line) for text in (heading, *map(str, texts)) for line in text.split("\n")) + 3


def _best(rows: Sequence[Row], figure: str) -> list[bool]:
    """Which rows to mark: the best and all that look the same; none if all rows look the same."""
    shown = [None if row.failed else _plain(figure, row.mean.get(figure)) for row in rows]
    best = {told for told, row in zip(shown, rows, strict=True) if figure in row.best}
    marked = [told in best for told in shown]
    return marked if {*shown} - best - {None, "-"} else [False] * len(rows)


def _cell(row: Row, figure: str, best: bool) -> Text:
    mean, deviation = row.mean.get(figure), row.deviation.get(figure)
    text = _plain(figure, mean)
    if deviation and mean is not None:
        text += f"\n±{_plain(figure, deviation)}"
    return (
        Text(text.replace("\n", "*\n", 1) if deviation else f"{text}*", "bold green") if best else Text(text)
    )


def _short(axis: str) -> str:
    """A short heading: "topology" for topology.graph, else the key without its section."""
    section, _, key = axis.partition(".")
    return section if MAIN.get(section, section) == key else axis.rpartition(".")[2]


def _plain(figure: str, value: float | None) -> str:
    if value is None:
        return "-"
    match figure:
        case "bytes":
            return bytes_(value)
        case "seconds":
            return seconds(value)
        case "rounds":
            return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"
        case _:
            return number(float(value), 3)


def _how(runs: Iterable[CellEnded], repeats: int) -> Text:
    """How many runs ended in each way: "5 by tolerance", "3 by rounds, 2 failed"."""
    counts: dict[str, int] = {}
    for run in runs:
        how = run.summary.get("stopped", "failed")
        how = f"by {how}" if how in LIMITS else how
        counts[how] = counts.get(how, 0) + 1
    if (missing := repeats - sum(counts.values())) > 0:
        counts["not run"] = missing
    bad = counts.keys() & {"failed", "diverged", "not run"}
    return Text(", ".join(f"{count} {how}" for how, count in counts.items()), "red" if bad else "")


def _reasons(rows: Sequence[Row]) -> list[RenderableType]:
    """One line for each combination and reason, at most `REASONS`."""
    wrong = {
        (row.values, run.told): run
        for row in rows
        for run in row.runs
        if not run.summary or run.summary["stopped"] == "diverged"
    }
    lines: list[RenderableType] = [
        Text.assemble(("✗ ", "red"), f"{', '.join(values) or 'the experiment'}: {told}")
        for values, told in list(wrong)[:REASONS]
    ]
    if len(wrong) > REASONS:
        lines.append(f"and {len(wrong) - REASONS} more: see results.json")
    return lines
