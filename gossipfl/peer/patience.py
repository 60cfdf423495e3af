"""How long silence is borne, and what is normal for a neighbour; must not know messages or sockets.

Time is that of a clock which stands still while the peer itself does not listen. So a peer that was stopped, or computes for
long, does not blame its neighbours.
"""

from typing import NamedTuple


class Patience(NamedTuple):
    """Seconds, chosen by what lies between the peers.

    suspect: how long a neighbour is awaited in an exchange, at least; longer, if it is usually slow.
    down: after so long a silence a neighbour is given up: its part is taken out of what is learned.
    dead: after so long without a connection a neighbour is given up.
    again: after so long a message is sent again; then after longer and longer pauses.
    probe: pause between two messages to a neighbour that does not answer.
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

UNKNOWN = 8.0  # times `suspect`: how long a neighbour is awaited while nothing is known of its delays
AGAIN = 0.75  # round trips: a message should have come after half of one, and seems lost
MOST = 16.0  # times `suspect`: nobody is awaited longer in an exchange, however slow it was before
SUSPECT = 10.0  # round trips that a neighbour is awaited at least: several messages in a row may be lost
SHAKE = 3.0  # round trips in which a broken connection is open again, if it ever will be
FACTOR = 2.5  # times the normal delay, and a silent neighbour is given up


class Delays:
    """The delays of one neighbour, and the time limits that follow from them.

    Lateness is a running mean with deviation, as in TCP's timeouts: Jacobson, "Congestion avoidance and control", SIGCOMM 1988.

    Args:
        patience: the shortest limits.
    """

    __slots__ = ("_deviation", "_mean", "patience", "trip")

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._mean, self._deviation = -1.0, 0.0
        self.trip = 0.0  # seconds there and back: from a message of mine to one whose sender has used it

    def late(self, seconds: float) -> None:
        """Its message came so long after mine."""
        if self._mean < 0:
            self._mean, self._deviation = seconds, seconds / 2
            return
        gap = seconds - self._mean
        self._mean += gap / 8
        self._deviation += (abs(gap) - self._deviation) / 4

    def answered(self, seconds: float) -> None:
        """Its header says, so long after my message, that it has used it.

        Lost messages make this time longer, and nothing makes it too short. So a shorter time counts at once, a longer one
        slowly.
        """
        slowly = self.trip + min((seconds - self.trip) / 8, self.trip)
        self.trip = min(seconds, slowly) if self.trip else seconds

    @property
    def again(self) -> float:
        """After how long a message to it is sent again."""
        return max(self.patience.again, AGAIN * self.trip)

    @property
    def limit(self) -> float:
        """How long it is awaited in an exchange.

        One that is later each time would otherwise be awaited for hours.
        """
        suspect = self.patience.suspect
        if self._mean < 0:
            return UNKNOWN * suspect
        usual = max(self._mean + 4 * self._deviation, SUSPECT * self.trip)
        return min(max(suspect, usual), MOST * suspect)

    @property
    def silent(self) -> float:
        """After how long a silence it is given up."""
        return max(self.patience.down, FACTOR * self.limit)

    @property
    def unconnected(self) -> float:
        """After how long without a connection it is given up."""
        return max(self.patience.dead, SHAKE * self.trip)
