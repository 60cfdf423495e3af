"""The figures of a topology as tables; must not know graphs."""

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from gossipfl.report.tables import number, plain


def table(found: Mapping[str, Any]) -> list[RenderableType]:
    """The result of `topology.describe`, given as a dictionary, as text and a table."""
    degree = f"{found['degree_min']} to {found['degree_max']}, {number(found['degree_mean'])} on average"
    if found["degree_min"] == found["degree_max"]:
        degree = str(found["degree_min"])
    directed, changes = found["directed"], found["changes"]
    head = f"{found['name']}: {found['peers']} peers, {found['edges']} {'one-way ' * directed}links"
    said = [
        f"{head}{' in all' if changes else ''}, diameter {found['diameter']}",
        f"{'receivers' if directed else 'neighbours'} of each peer: {degree}",
    ]
    if changes:
        return [*said, plain(("changing links", ""), _changes(changes))]
    rows = [
        (
            rule,
            number(speed["gap"]),
            f"{speed['rounds']:.1f}" if speed["rounds"] is not None else "-",
            speed["reason"] or "",
        )
        for rule, speed in found["weights"].items()
    ]
    headings = ("weights", "spectral gap", "rounds until disagreement falls to 1/10", "")
    return [*said, plain(headings, rows, (1, 2))]


def _changes(changes: Mapping[str, Any]) -> list[tuple[str, str]]:
    again = {None: "random in each round", 1: "the same in each round"}
    direction = "both ways, with symmetric weights" if changes["both_ways"] else "one way"
    rows = [
        ("schedule", changes["schedule"]),
        ("links", again.get(changes["period"], f"change, and repeat after {changes['period']} rounds")),
        ("senders to a peer in one round", f"at most {changes['heard_max']}, {direction}"),
        (
            "the mean over peers",
            "stays the same in each round"
            if changes["keeps_mean"]
            else "changes: W is not doubly stochastic",
        ),
        ("a message reaches all peers", f"within {changes['horizon']} rounds"),
    ]
    if changes["exact"] is not None:
        return [*rows, ("all peers hold the exact mean", f"after {changes['exact']} rounds")]
    return [
        *rows,
        ("disagreement per round", f"times {number(changes['rho'])} (measured)"),
        ("rounds until disagreement falls to 1/10", f"{changes['rounds']:.1f}"),
    ]
