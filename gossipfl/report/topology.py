"""A topology's figures as tables; must not know graphs."""

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from gossipfl.report.tables import number, plain


def table(found: Mapping[str, Any]) -> list[RenderableType]:
    """What `topology.describe` found (as a dictionary)."""
    degree = f"{found['degree_min']} to {found['degree_max']}, on average {number(found['degree_mean'])}"
    if found["degree_min"] == found["degree_max"]:
        degree = str(found["degree_min"])
    head = f"{found['name']}: {found['peers']} peers, {found['edges']} links, diameter {found['diameter']}"
    rows = [
        (
            rule,
            number(speed["gap"]),
            f"{speed['rounds']:.1f}" if speed["rounds"] is not None else "-",
            speed["reason"] or "",
        )
        for rule, speed in found["weights"].items()
    ]
    headings = ("weights", "spectral gap", "rounds for a tenfold fall of disagreement", "")
    return [head, f"neighbours of a peer: {degree}", plain(headings, rows, (1, 2))]
