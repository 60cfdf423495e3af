"""What the peers of a run saw last, as a table; must not know files."""

from collections.abc import Sequence

from rich.console import RenderableType

from gossipfl.experiment.outcome.sight import Sight
from gossipfl.report.tables import number, plain, seconds

STATES = ("up", "suspected", "down", "left")


def sight(found: Sequence[Sight]) -> RenderableType:
    """A row a peer: how far it is, who is up or not since when, and its counters."""
    head = ("peer", "heard of", "round", *STATES, "sent", "resent", "unsent", "refused", "late")
    rows = [
        (
            one.peer,
            f"{seconds(one.ago)} ago",
            number(one.round),
            *(_those(one, state) for state in STATES),
            *(number(one.counters.get(key)) for key in ("sent", "resent", "unsent", "refused", "late")),
        )
        for one in found
    ]
    return plain(head, rows, [2, *range(7, 12)])


def _those(one: Sight, state: str) -> str:
    """The neighbours in a state; of those that are not up, since when."""
    those = {name: said for name, said in one.neighbours.items() if said.get("state") == state}
    if state == "up":
        return " ".join(those) or "-"
    return " ".join(f"{name} ({seconds(float(said['seconds']))})" for name, said in those.items()) or "-"
