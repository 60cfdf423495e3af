"""What a study allows its messages to say, and a log of what it does not allow; must not know messages or sockets."""

import logging
import math
from typing import NamedTuple

from gossipfl.peer.rumours import EARLY, MAX_EXCHANGE, SKIPPED

MORE = 64  # times as many exchanges as a study has now: it never has more
WIDE = 8  # times the largest message that is kept of a neighbour, at most
PAUSE, LONGEST = (
    1.0,
    60.0,
)  # seconds between two log lines about messages that were refused, at first and at most


def room(largest: int, horizon: int) -> int:
    """Bytes that are kept of each neighbour in messages of later exchanges, beside one of the next exchange.

    Over links with two directions that never change a neighbour is two exchanges ahead at most, and the largest message of a
    study has room for that. Else it may be as far ahead as the graph is wide in time; the largest message has room for four
    models, and `WIDE` of them for 32.

    Args:
        largest: bytes of the largest message.
        horizon: rounds in which word of each peer reaches all; 0 where links have two directions and never change.
    """
    return largest * min(1 + horizon, WIDE)


class Limits(NamedTuple):
    """What no message of a study goes beyond.

    room: bytes of messages of later exchanges, see `room`.
    seconds: the study ends after so many; in one without, nobody's time is up.
    over: when the time is nearly up, and when it may be, by the clock of the exchange.
    last: no exchange comes later, however links change.
    end: the exchange at which learning ends, if links do not change.
    alone: one neighbour alone leads nobody further than to this exchange.
    step: the agreed learning rate.
    aside: the exchanges that all certificates together can take.
    """

    room: int = 2**24
    seconds: float = math.inf
    over: tuple[float, float] = (math.inf, math.inf)
    last: int = MAX_EXCHANGE - 1
    end: int = MAX_EXCHANGE
    alone: int = MAX_EXCHANGE
    step: float = 0.0
    aside: int = 0

    def begun(
        self, origin: int, now: float, exchanges: int | None, step: float, elapsed: float | None, aside: int
    ) -> "Limits":
        """Learning begins with exchange `origin`, at this time, for so many exchanges and those of certificates.

        `elapsed`: seconds of learning before; None: the others began earlier, and this peer cannot know when.
        """
        most = now + EARLY * self.seconds - (elapsed or 0.0)
        least = most - (1 - EARLY) * self.seconds if math.isfinite(most) else most
        if elapsed is None and math.isfinite(most):
            least = -math.inf
        end = self.end if exchanges is None else origin + exchanges
        last = self.last if exchanges is None else origin + MORE * exchanges + aside
        alone = origin + int(SKIPPED * (end - origin))
        return self._replace(over=(least, most), last=last, end=end, alone=alone, step=step, aside=aside)


ROOMY = Limits()


class RefusalLog:
    """Logs messages that were refused: the first at once, then lines that become rare, with the number of the others.

    Args:
        log: where to.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log, self._next, self._pause, self._unsaid = log, -math.inf, PAUSE, 0

    def __call__(self, why: str, now: float) -> None:
        """A message was refused, at this time."""
        if now < self._next:
            self._unsaid += 1
            return
        others = f" ({self._unsaid:,} others since the last line)" if self._unsaid else ""
        again = {"again": bool(others)}  # of no use on a terminal
        self._log.warning("refused a message: %s%s", why, others, extra=again)
        self._pause = PAUSE if now > self._next + self._pause else min(2 * self._pause, LONGEST)
        self._next, self._unsaid = now + self._pause, 0
