"""The result of a chaos run; must not know how the faults were made."""

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from gossipfl.report.tables import plain

MARKS = {True: "✓", False: "✗", None: "-"}  # None: not checked


def chaos(summary: dict[str, Any], sentence: str) -> list[RenderableType]:
    """The verdict, the number of faults of each kind, and a row per check."""
    good = not any(check["holds"] is False for check in summary["checks"])
    rows = [(MARKS[check["holds"]], check["what"], check["told"]) for check in summary["checks"]]
    struck = ", ".join(f"{kind} {count}" for kind, count in sorted(summary["struck"].items()))
    return [
        Text(f"{MARKS[good]} {sentence}", "green" if good else "red"),
        Text(f"faults: {struck or 'none'}"),
        plain(("", "check at the end", "measured"), rows),
    ]
