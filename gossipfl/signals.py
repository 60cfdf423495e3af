"""When Ctrl-C and SIGTERM may strike, so that each is one interruption and tears nothing; must not know what is interrupted.

A process that the forkserver makes begins with SIGINT blocked, and takes it from `interrupt_once` on.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

BOTH = (signal.SIGINT, signal.SIGTERM)


def interrupt_once() -> None:
    """SIGINT and SIGTERM interrupt once; a second one must not tear what the first one makes us write."""

    def first(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        for s in BOTH:
            signal.signal(s, lambda *_: None)  # not SIG_IGN: Python prints a trace if one is pending already
        raise KeyboardInterrupt

    for s in BOTH:
        signal.signal(s, first)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BOTH)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What strikes meanwhile strikes at the end. Nothing to do outside the main thread, where no signal is handled."""
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
    """What strikes meanwhile is too late: a few seconds are left, and the result is written in them."""
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
    """A process that is started meanwhile has SIGINT blocked until it unblocks it, as have all that it forks."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
