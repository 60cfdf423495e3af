"""The last known state of each peer of a run, as a table; must not know files."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from gossipfl.report.tables import number, plain, seconds
from gossipfl.runs.status import PeerStatus

STATES = ("up", "suspected", "down", "left")


def status_table(found: Sequence[PeerStatus]) -> list[RenderableType]:
    """A table with one row for each peer (state, round, neighbours, counters), and a note for each that failed or waits."""
    head = ("peer", "state", "last report", "round", *STATES, "sent", "resent", "unsent", "refused", "late")
    rows = [
        (
            one.peer,
            one.state,
            "-" if one.ago is None else f"{seconds(one.ago)} ago",
            number(one.round),
            *(_those(one, state) for state in STATES),
            *(number(one.counters.get(key)) for key in ("sent", "resent", "unsent", "refused", "late")),
        )
        for one in found
    ]
    refusals = [
        Text(
            f"{one.peer} refused {number(said['refused'])} messages or words of {name}: it {said['refusal']}"
        )
        for one in found
        for name, said in one.neighbours.items()
        if said.get("refused")
    ]
    spent = [
        Text(f"{one.peer} has spent epsilon = {one.budget['spent']:.3g} of {one.budget['epsilon']:g}")
        for one in found
        if one.budget
    ]
    failed = [Text(f"{one.peer} failed: {one.error}") for one in found if one.error]
    waiting = ", ".join(one.peer for one in found if one.state == "not begun")
    notes = [*failed, Text(f"these peers have not begun to learn: {waiting}")] if waiting else failed
    return [plain(head, rows, [3, *range(8, 13)]), *notes, *spent, *refusals]


def _those(one: PeerStatus, state: str) -> str:
    """The neighbours in a state; for those that are not up, since when."""
    those = {name: said for name, said in one.neighbours.items() if said.get("state") == state}
    if state == "up":
        return " ".join(those) or "-"
    return " ".join(f"{name} ({seconds(float(said['seconds']))})" for name, said in those.items()) or "-"
