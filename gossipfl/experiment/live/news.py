"""Who comes and goes, and what changes, told to the user as it is logged; must not know how it comes about."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gossipfl.experiment.live import following
from gossipfl.peer import neighbourhood

SOURCES = (neighbourhood.log, following.log)
MANY, WHILE = 20, 60.0  # so many lines are told in so many seconds
HUSHED = "more comes and goes than is told here: log.jsonl has all of it"


class News(logging.Handler):
    """Tells what is logged in this thread, which is one peer's; where that is too much, it says so instead.

    Args:
        tell: called with a sentence.
        clock: seconds.
    """

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._tell, self._clock, self._thread = tell, clock, threading.get_ident()
        self._times: deque[float] = deque(maxlen=MANY)
        self._hushed = False

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread != self._thread:
            return
        now, hushed = self._clock(), self._hushed
        self._hushed = len(self._times) == MANY and now - self._times[0] < WHILE
        if not self._hushed:
            self._times.append(now)
            self._tell(record.getMessage())
        elif not hushed:
            self._tell(HUSHED)


@contextmanager
def news(tell: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile what happens around this thread's peer is told."""
    handler = News(tell)
    for log in SOURCES:
        log.addHandler(handler)
    try:
        yield
    finally:
        for log in SOURCES:
            log.removeHandler(handler)
