"""Tables and numbers as text; must not know where the figures come from."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table

from gossipfl.report.console import visible


def plain(headings: Sequence[str], rows: Iterable[Sequence[object]], numbers: Sequence[int] = ()) -> Table:
    """A table without a frame; the columns at the indices `numbers` are aligned to the right."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for i, heading in enumerate(headings):
        table.add_column(visible(heading), justify="right" if i in numbers else "left", no_wrap=i == 0)
    for row in rows:
        table.add_row(*(visible(str(cell)) for cell in row))
    return table


def number(value: object, digits: int = 4) -> str:
    """A figure as text; "-" for None."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return (
            f"{value:.1e}"
            if value and (abs(value) < 10**-digits or abs(value) >= 1e6)
            else f"{value:.{digits}g}"
        )
    return f"{value:,}" if isinstance(value, int) else str(value)


def bytes_(count: float) -> str:
    """A number of bytes as text: 512 B, 1.4 kB, 23 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def seconds(value: float) -> str:
    """A duration as text: 0.42 s, 12 s, 3 min 05 s, 2 h 10 min."""
    if value < 60:
        return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
