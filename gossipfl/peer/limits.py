"""What a study allows its messages to say, and a log of what it does not allow; must not know messages or sockets."""

import logging
from typing import NamedTuple

from gossipfl.peer.rumours import MAX_EXCHANGE

PAUSE = 1.0  # seconds between two log lines about messages that were refused


class Limits(NamedTuple):
    """What no message of a study goes beyond.

    room: bytes that are kept of each neighbour in messages of later exchanges with another length than this exchange has.
    timed: the study ends by time; in another one nobody's time is up.
    last: the last exchange.
    step: the shortest learning rate.
    """

    room: int = 2**24
    timed: bool = True
    last: int = MAX_EXCHANGE - 1
    step: float = 0.0


ROOMY = Limits()


class RefusalLog:
    """Logs messages that were refused: the first at once, then at most one line a second, with the number of the others.

    Args:
        log: where to.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log, self._next, self._unsaid = log, float("-inf"), 0

    def __call__(self, why: str, now: float) -> None:
        """A message was refused, at this time."""
        if now < self._next:
            self._unsaid += 1
            return
        others = f" ({self._unsaid:,} others since the last line)" if self._unsaid else ""
        self._log.warning("refused a message: %s%s", why, others)
        self._next, self._unsaid = now + PAUSE, 0
