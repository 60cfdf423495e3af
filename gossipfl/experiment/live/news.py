"""Log lines about neighbours and changes, shown to the user; must not know how they come about."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gossipfl.experiment.live import following
from gossipfl.peer import exchange, gate, neighbourhood, waiting

SOURCES = (exchange.log, neighbourhood.log, following.log, gate.log, waiting.log)
MANY, WHILE = 20, 60.0  # maximum number of lines in so many seconds
HUSHED = "there are too many changes to show here: log.jsonl has all of them"


class News(logging.Handler):
    """Passes on the log lines of this thread, which is that of one peer; too many lines become one notice.

    Of messages that are refused again and again only the first is news.

    Args:
        tell: called with a sentence.
        clock: the time in seconds.
    """

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._tell, self._clock, self._thread = tell, clock, threading.get_ident()
        self._times: deque[float] = deque(maxlen=MANY)
        self._hushed = False

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread != self._thread or getattr(record, "again", False):
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
    """A context in which `tell` gets the news of this thread's peer."""
    handler = News(tell)
    for log in SOURCES:
        log.addHandler(handler)
    try:
        yield
    finally:
        for log in SOURCES:
            log.removeHandler(handler)
