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
    directed, changes = found["directed"], found["changes"]
    head = f"{found['name']}: {found['peers']} peers, {found['edges']} {'one-way ' * directed}links"
    said = [
        f"{head}{' in all' if changes else ''}, diameter {found['diameter']}",
        f"neighbours of a peer{', to which it sends' * directed}: {degree}",
    ]
    if changes:
        return [*said, plain(("of its rounds", ""), _changes(changes))]
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
    return [*said, plain(headings, rows, (1, 2))]


def _changes(changes: Mapping[str, Any]) -> list[tuple[str, str]]:
    again = {None: "drawn afresh each round", 1: "the same each round"}
    direction = "both ways, with symmetric weights" if changes["both_ways"] else "one way"
    rows = [
        ("schedule", changes["schedule"]),
        ("links", again.get(changes["period"], f"change; the same again after {changes['period']} rounds")),
        ("heard by a peer in one round", f"at most {changes['heard_max']}, {direction}"),
        (
            "the mean over peers",
            "stays, each round" if changes["keeps_mean"] else "moves: W is not doubly stochastic",
        ),
        ("a word reaches everybody", f"within {changes['horizon']} rounds"),
    ]
    if changes["exact"] is not None:
        return [*rows, ("the exact mean", f"after {changes['exact']} rounds")]
    return [
        *rows,
        ("disagreement falls each round", f"by a factor of {number(changes['rho'])}, measured"),
        ("rounds for a tenfold fall", f"{changes['rounds']:.1f}"),
    ]
