"""How chaos ended; must not know how it was made."""

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from gossipfl.report.tables import plain

MARKS = {True: "✓", False: "✗", None: "-"}  # None: not judged


def chaos(summary: dict[str, Any], sentence: str) -> list[RenderableType]:
    """The verdict, the faults by kind, and each check."""
    good = not any(check["holds"] is False for check in summary["checks"])
    rows = [(MARKS[check["holds"]], check["what"], check["told"]) for check in summary["checks"]]
    struck = ", ".join(f"{kind} {count}" for kind, count in sorted(summary["struck"].items()))
    return [
        Text(f"{MARKS[good]} {sentence}", "green" if good else "red"),
        Text(f"what happened: {struck or 'nothing'}"),
        plain(("", "in the end", ""), rows),
    ]
