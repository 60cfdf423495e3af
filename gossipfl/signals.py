"""When Ctrl-C and SIGTERM take effect: once, and never in a critical section; must not know what is interrupted.

A process that the forkserver starts begins with SIGINT blocked, and accepts it from `interrupt_once` on.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

BOTH = (signal.SIGINT, signal.SIGTERM)


def interrupt_once() -> None:
    """Make SIGINT and SIGTERM interrupt once; later ones are ignored, so that they do not break what the first one writes."""

    def first(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        for s in BOTH:
            signal.signal(s, lambda *_: None)  # not SIG_IGN: Python prints a trace if a signal is pending
        raise KeyboardInterrupt

    for s in BOTH:
        signal.signal(s, first)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BOTH)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay signals to the end of the block. Outside the main thread, where no signal is handled, this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    struck: list[int] = []
    before = {s: signal.signal(s, lambda number, _: struck.append(number)) for s in BOTH}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
        for number in struck:
            signal.raise_signal(number)


@contextmanager
def unheard() -> Iterator[None]:
    """Ignore signals in the block: the run ends within a few seconds, and writes its result in them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.signal(s, lambda *_: None) for s in BOTH}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


@contextmanager
def deaf() -> Iterator[None]:
    """Block SIGINT for processes that are started in the block, and for their forks, until they unblock it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
