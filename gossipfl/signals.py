"""What a process asks of its system: many open files, and Ctrl-C, SIGTERM and a closed terminal to take effect once.

They never do in a critical section. This file must not know what is interrupted.

A process that the forkserver starts begins with SIGINT and SIGHUP blocked: its launcher's terminal is not its own. It accepts
SIGINT from `interrupt_once` on.
"""

import _thread
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SOON = 0.01  # seconds in which the collection of garbage goes on
BOTH = (signal.SIGINT, signal.SIGTERM)
ALL = (*BOTH, signal.SIGHUP)


def many_files() -> None:
    """From now on this process may open as many files and connections as the system lets it; the usual limit is 1,024."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def on_terminal() -> bool:
    """Whether this process has a terminal, whose end should end it, too; not one that nohup or an init system started."""
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def hang_up(heard: bool) -> None:
    """Make SIGHUP interrupt as SIGINT does, if it is to be `heard`; else ignore it."""
    signal.signal(signal.SIGHUP, signal.default_int_handler if heard else signal.SIG_IGN)


def interrupt_once() -> None:
    """Make SIGINT, SIGTERM, and SIGHUP if it is heard, interrupt once.

    Later ones are ignored, so that they do not break what the first one writes.
    """
    heard = ALL if signal.getsignal(signal.SIGHUP) == signal.default_int_handler else BOTH
    struck = False

    def first(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal struck
        if not struck:
            struck = True
            raise KeyboardInterrupt

    def again() -> None:
        nonlocal struck
        struck = False

    insist(again)
    for s in heard:
        signal.signal(s, first)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BOTH)


def insist(again: Callable[[], None] = lambda: None) -> None:
    """Make an interrupt come once more, after a call of `again`, if Python throws it away: it was raised by a finaliser.

    Python calls finalisers wherever it collects garbage, and no error leaves them. This holds until `sys.unraisablehook` is
    another one.
    """
    ordinary, main = sys.unraisablehook, threading.get_ident()

    def strike(hooked: threading.Lock) -> None:
        with hooked:  # what is raised in the hook is thrown away, too
            time.sleep(SOON)
        number = next((s for s in ALL if callable(signal.getsignal(s))), None)
        if number and sys.unraisablehook is hook:
            again()
            signal.pthread_kill(main, number)

    def hook(what: "sys.UnraisableHookArgs") -> None:
        if what.exc_type is KeyboardInterrupt and threading.get_ident() == main:
            with (hooked := threading.Lock()):
                _thread.start_new_thread(strike, (hooked,))
        else:
            ordinary(what)

    sys.unraisablehook = hook


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay signals to the end of the block. Outside the main thread, where no signal is handled, this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    struck: list[int] = []
    before = {s: signal.signal(s, lambda number, _: struck.append(number)) for s in ALL}
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
    before = {s: signal.signal(s, lambda *_: None) for s in ALL}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


@contextmanager
def deaf() -> Iterator[None]:
    """Block SIGINT and SIGHUP for processes that are started in the block, and for their forks, until they unblock them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGHUP])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
