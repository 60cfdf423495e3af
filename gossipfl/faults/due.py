"""What a plan of faults is: a list of things that are due; must not know how it is made or carried out."""

from typing import Literal, NamedTuple

from gossipfl.config.fault import MEASURED, Do

PROXIED = ("cut", "heal", "delay", "reset")


class Due(NamedTuple):
    """One thing that happens."""

    when: float  # seconds since learning began, or a round
    do: Do
    peers: tuple[int, ...]  # a cut is between these and all others
    amount: float = (
        0.0  # of delay (seconds), loss, duplicate (probabilities): from now on; 0 is the end of it
    )
    jitter: float = 0.0
    fresh: bool = False  # restart without a checkpoint

    @property
    def begins(self) -> bool:
        """Whether something goes wrong, or ends to."""
        return self.do not in ("restart", "continue", "heal") and (self.amount > 0 or self.do not in MEASURED)


class Plan(NamedTuple):
    """All that happens, in order."""

    unit: Literal["seconds", "rounds"] = "seconds"
    events: tuple[Due, ...] = ()

    @property
    def proxied(self) -> bool:
        """Whether something happens to the connections themselves."""
        return any(event.do in PROXIED for event in self.events)

    @property
    def unreliable(self) -> bool:
        """Whether messages get lost or doubled."""
        return any(event.do in ("loss", "duplicate") for event in self.events)
