"""Ctrl-C takes effect between steps, never in the middle of a start."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

import pytest

from gossipfl.experiment.launch.processes import forkserver
from gossipfl.signals import hang_up, interrupt_once, on_terminal, unheard, uninterrupted

# Ctrl-C reaches the whole process group while the forkserver still imports the modules that peers share.
EARLY = """
import multiprocessing.forkserver as m, os, signal
from gossipfl.experiment.launch.processes import forkserver
context = forkserver()
os.kill(m._forkserver._forkserver_pid, signal.SIGINT)
process = context.Process(target=print, args=("alive",))
process.start()
process.join()
"""

# Python throws away what a finaliser raises. The second one is still at work when the interrupt comes again.
FINALISERS = """
import signal, time
from gossipfl.signals import insist, interrupt_once
signal.signal(signal.SIGTERM, signal.default_int_handler)
{0}
class First:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)
class Second:
    def __del__(self):
        for _ in range(100):
            time.sleep(0.01)
try:
    First()
    Second()
    while True:
        time.sleep(0.1)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before, hook = (
        {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)},
        sys.unraisablehook,
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    sys.unraisablehook = hook


def test_what_strikes_meanwhile_strikes_at_the_end() -> None:
    done: list[str] = []

    def strike() -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append("whole")

    with pytest.raises(KeyboardInterrupt):
        strike()
    assert done == ["whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with uninterrupted():
        done.append("nothing struck")
    assert len(done) == 2


def test_what_strikes_too_late_is_nothing() -> None:
    with unheard():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_closed_terminal_interrupts_once_where_it_is_heard() -> None:
    before = signal.getsignal(signal.SIGHUP)
    try:
        hang_up(heard=False)
        interrupt_once()
        signal.raise_signal(signal.SIGHUP)
        assert not on_terminal(), "as under nohup"
        hang_up(heard=True)
        interrupt_once()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_who_has_a_terminal_hears_of_its_end() -> None:
    heard = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"  # also if these tests run under nohup
    )
    words = f"{heard}; from gossipfl.signals import on_terminal; print(on_terminal())"
    parent, child = os.openpty()
    on = subprocess.run(
        [sys.executable, "-c", f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {words}"],
        stdin=child, capture_output=True, text=True, start_new_session=True, check=False,
    )  # fmt: skip
    off = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, start_new_session=True, check=False
    )
    os.close(parent)
    os.close(child)
    assert (on.stdout, off.stdout) == ("True\n", "False\n"), on.stderr + off.stderr


def test_another_thread_has_nothing_to_hold_back() -> None:
    def work() -> object:
        with uninterrupted():
            return signal.getsignal(signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() is signal.default_int_handler


def test_a_new_process_is_interrupted_when_it_is_ready_for_it() -> None:
    context = forkserver()
    mine, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs,))
    with uninterrupted():
        process.start()
    theirs.close()
    assert mine.recv() == "begun"
    assert process.pid
    os.kill(process.pid, signal.SIGINT)
    mine.send("go on")
    assert [mine.recv(), mine.recv()] == ["undisturbed", "interrupted"]
    process.join()
    assert process.exitcode == 0


def _child(pipe: Connection) -> None:
    pipe.send("begun")
    pipe.recv()
    pipe.send("undisturbed")
    try:
        interrupt_once()
        signal.pause()
    except KeyboardInterrupt:
        pipe.send("interrupted")


def test_an_early_ctrl_c_does_not_end_the_server() -> None:
    words = [sys.executable, "-c", EARLY]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("alive\n", "", 0)


STRUCK_AGAIN = """
import _thread
begin = _thread.start_new_thread
def struck(*what):
    signal.raise_signal(signal.SIGINT)
    return begin(*what)
_thread.start_new_thread = struck
"""


@pytest.mark.parametrize(
    "how",
    [
        "insist()",
        "signal.signal(signal.SIGINT, signal.SIG_IGN); insist()",  # a job that a shell starts behind the scenes
        "interrupt_once()",
        f"interrupt_once(){STRUCK_AGAIN}",
    ],
    ids=["insist", "SIGINT ignored", "once", "another meanwhile"],
)
def test_an_interrupt_that_a_finaliser_raises_comes_again(how: str) -> None:
    words = [sys.executable, "-c", FINALISERS.format(how)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("interrupted\n", "", 0)
