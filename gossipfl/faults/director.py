"""Which events of a plan are due; must not know how they are carried out, nor by which engine."""

from collections.abc import Sequence

from gossipfl.config.fault import MEASURED
from gossipfl.faults.course import Due, Plan


class Director:
    """The events of a plan that are due. Its caller passes times and rounds; it has no clock."""

    def __init__(self, plan: Plan) -> None:
        self._coming = list(plan.events)
        self._unit = plan.unit

    @property
    def coming(self) -> int:
        """How many events have not been due yet."""
        return len(self._coming)

    def patience(self, seconds: float | None) -> float | None:
        """Seconds until the next event; None if no event waits for a time.

        Args:
            seconds: since learning began; None before that.
        """
        if not self._coming or self._unit == "rounds" or seconds is None:
            return None
        return max(0.0, self._coming[0].when - seconds)

    def due(self, seconds: float | None, round: int) -> list[Due]:
        """The events to carry out now, in this order.

        Args:
            seconds: since learning began; None before that.
            round: the latest round that any peer has reported.
        """
        now = -1.0 if seconds is None else seconds if self._unit == "seconds" else float(round)
        found = []
        while self._coming and self._coming[0].when <= now:
            found.append(self._coming.pop(0))
        return found

    def end(self) -> None:
        """Drop all coming events."""
        self._coming.clear()


def told(due: Due, names: Sequence[str]) -> str:
    """A phrase for an event."""
    who = ", ".join(names[peer] for peer in due.peers)
    who = "all" if len(due.peers) == len(names) else who
    if due.do in MEASURED and not due.begins:
        return f"end the {due.do} at {who}"
    send = "sends" if len(due.peers) == 1 else "send"
    jitter = f" and up to {due.jitter * 1000:g} ms more" if due.jitter else ""
    words: dict[str, str] = {
        "cut": f"cut {who} from the others",
        "heal": f"heal the cut of {who} from the others",
        "delay": f"delay the messages of {who} by {due.amount * 1000:g} ms{jitter}",
        "loss": f"lose {due.amount:.0%} of what {who} {send}",
        "duplicate": f"duplicate {due.amount:.0%} of what {who} {send}",
        "reset": f"reset the connections of {who}",
    }
    return words.get(due.do, f"{due.do} {who}") + (" without a checkpoint" if due.fresh else "")
