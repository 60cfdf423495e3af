"""How long silence is borne, and what is normal for a neighbour; must not know messages or sockets.

Time is that of a clock which stands still while the peer itself does not listen, so that one which was stopped, or computes for
long, blames nobody for it.
"""

from typing import NamedTuple


class Patience(NamedTuple):
    """Seconds, named after what lies between the peers.

    suspect: so long at least a neighbour is awaited in an exchange; and longer, if it is usually slow.
    down: silent for so long, it is given up: its part is taken out of what is learned.
    dead: given up when there has been no connection for so long.
    again: after so long a message is sent again; then after twice as long, and so on.
    probe: between two messages to a neighbour that does not answer.
    """

    suspect: float
    down: float
    dead: float
    again: float
    probe: float


LOOPBACK = Patience(suspect=0.6, down=1.5, dead=0.15, again=0.1, probe=0.1)
LAN = Patience(suspect=1.0, down=5.0, dead=1.0, again=0.2, probe=0.25)
WAN = Patience(suspect=5.0, down=20.0, dead=5.0, again=0.5, probe=1.0)
PRESETS = {"loopback": LOOPBACK, "lan": LAN, "wan": WAN}

UNKNOWN = 8.0  # times `suspect`: how long a neighbour is awaited of which nothing is known yet
AGAIN = 0.75  # round trips, and what should have come after half of one seems to be lost
SUSPECT = 10.0  # round trips that a neighbour is awaited at least: a message and what repairs it may be lost some times
SHAKE = 3.0  # round trips in which a connection that broke off is there again, if it ever will be
FACTOR = 2.5  # times what is normal, and a silent neighbour is given up


class Watch:
    """What is known of one neighbour's health.

    `up`: it is awaited. `absent`: it was given up, without goodbye, `since` when. `left`: it said goodbye, and why.

    Lateness is a running mean with deviation, as TCP has it for its timeouts: Jacobson, "Congestion avoidance and control",
    SIGCOMM 1988.
    """

    __slots__ = (
        "_deviation",
        "_mean",
        "_patience",
        "absent",
        "called",
        "heard",
        "left",
        "lost",
        "since",
        "trip",
        "up",
    )

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self._mean, self._deviation = -1.0, 0.0
        self.trip = 0.0  # seconds there and back: from a message of mine to one that makes use of it
        self.up, self.absent, self.left = True, False, ""
        self.heard = self.since = now
        self.lost = -1.0  # since when there is no connection; -1: there is one
        self.called = now  # when it was last sent something

    def late(self, seconds: float) -> None:
        """Its message came so long after mine."""
        if self._mean < 0:
            self._mean, self._deviation = seconds, seconds / 2
            return
        gap = seconds - self._mean
        self._mean += gap / 8
        self._deviation += (abs(gap) - self._deviation) / 4

    def answered(self, seconds: float) -> None:
        """It made use of a message of mine, and said so after so long.

        What is lost makes this longer, and nothing shorter than it is: less is believed at once, more only slowly.
        """
        slowly = self.trip + min((seconds - self.trip) / 8, self.trip)
        self.trip = min(seconds, slowly) if self.trip else seconds

    @property
    def again(self) -> float:
        """After how long a message to it is sent again."""
        return max(self._patience.again, AGAIN * self.trip)

    @property
    def limit(self) -> float:
        """How long it is awaited in an exchange."""
        if self._mean < 0:
            return UNKNOWN * self._patience.suspect
        return max(self._patience.suspect, self._mean + 4 * self._deviation, SUSPECT * self.trip)

    def hear(self, now: float) -> bool:
        """It spoke. Whether it is up again, having not been: not while there is no connection the other way."""
        self.heard = now
        back = not self.up and self.lost < 0
        if back:
            self.up, self.absent, self.left, self.since = True, False, "", now
        if self.up:
            self.lost = -1.0
        return back

    def suspect(self, now: float) -> None:
        """It is not awaited until it speaks again."""
        self.up, self.since = False, now

    def leave(self, why: str, now: float) -> None:
        """It said goodbye."""
        self.up, self.absent, self.left, self.since = False, False, why, now

    def overdue(self, now: float) -> bool:
        """Whether it is to be given up now: silent, or without a connection, for too long."""
        if self.absent or self.left:
            return False
        silent = now - self.heard >= max(self._patience.down, FACTOR * self.limit)
        return (not self.up and silent) or (
            self.lost >= 0 and now - self.lost >= max(self._patience.dead, SHAKE * self.trip)
        )

    def give_up(self, now: float) -> None:
        """It is absent, without goodbye."""
        self.up, self.absent, self.since = False, True, now

    def due(self, now: float) -> bool:
        """Whether to send it a message now: always, if it is up; a call now and then, if it does not answer; not if it left."""
        return self.up or (not self.left and now - self.called >= self._patience.probe)

    @property
    def state(self) -> str:
        """up | suspected | down | left."""
        return "up" if self.up else "left" if self.left else "down" if self.absent else "suspected"
