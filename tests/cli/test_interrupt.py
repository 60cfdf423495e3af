"""Ctrl-C: the current models are saved, and the exit code is 130."""

import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest
from commands import SMALL, small
from ports import free_ports
from sparing import sparing

from gossipfl.report.lasting import Lasting

# A shell starts background jobs with SIGINT ignored, and child processes inherit that.
CODE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from gossipfl.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("kind", "command", "number"),
    sparing(
        [
            ("auto", "simulate", signal.SIGINT),
            ("auto", "run", signal.SIGINT),
            ("auto", "run", signal.SIGTERM),
            ("auto", "run", signal.SIGHUP),
            ("gossip-learning", "simulate", signal.SIGTERM),
            ("gossip-learning", "run", signal.SIGINT),
        ],
        2,
    ),
)
def test_a_signal_stops_the_run_early_and_saves_it(
    kind: str, command: str, number: int, tmp_path: Path
) -> None:
    endless = ["-s", "stop.rounds=100000000", "-s", "stop.tolerance=0", "-s", "peers.report=20"]
    endless += ["-s", f"algorithm.kind={kind}"]
    words = [command, str(small(tmp_path)), *endless, "--out", str(tmp_path / "run")]
    with subprocess.Popen(
        [sys.executable, "-u", "-c", CODE, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("round 1/"))
        os.killpg(process.pid, number)  # like a terminal: to the launcher and to every peer
        out, err = process.communicate(timeout=200)
    assert process.returncode == 130, (out, err)
    assert "interrupted after" in out
    assert "Traceback" not in err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["stopped"] == "interrupted"
    assert summary["certificate"] is None
    assert (tmp_path / "run" / "model.json").is_file()


ENDLESS = ("-s", "stop.rounds=100000000", "-s", "stop.tolerance=0")
TERMINAL = f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{CODE}"


@pytest.mark.parametrize("command", sparing(["simulate", "run"], 1))
def test_a_closed_terminal_loses_no_result(command: str, tmp_path: Path) -> None:
    words = [command, str(small(tmp_path)), *ENDLESS, "-s", "peers.report=20", "--out", str(tmp_path / "run")]
    assert until_closed(words, " of at most ") == 130
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["stopped"] == "interrupted"
    assert (tmp_path / "run" / "model.json").is_file()


@pytest.mark.slow  # two processes that begin
def test_a_closed_terminal_loses_no_result_of_a_peer_by_hand(tmp_path: Path) -> None:
    a, b = free_ports(2)
    (tmp_path / "pair.toml").write_text(
        f"edges = [['a', 'b']]\n[peers]\na.endpoint = 'tcp://127.0.0.1:{a}'\nb.endpoint = 'tcp://127.0.0.1:{b}'\n"
    )
    file = small(tmp_path, text=SMALL.replace("ring:4", "pair.toml"))
    words = ["peer", str(file), *ENDLESS, "-s", "stop.absent=1", "--out"]
    with subprocess.Popen(
        [sys.executable, "-c", CODE, *words, str(tmp_path / "b"), "b"], stdout=subprocess.DEVNULL
    ) as other:
        assert until_closed([*words, str(tmp_path / "a"), "a"], "round ") == 130
        other.send_signal(signal.SIGINT)
        assert other.wait(200) == 130
    for name in "ab":
        assert json.loads((tmp_path / name / "summary.json").read_text())["stopped"] == "interrupted"
        assert (tmp_path / name / "model.json").is_file()


def until_closed(words: list[str], sign: str) -> int:
    """The exit code of a command whose terminal is closed when it shows the sign."""
    mine, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", TERMINAL, *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = ""
        while sign not in shown:
            shown += os.read(mine, 4096).decode(errors="replace")
        os.close(mine)
        return process.wait(200)


def test_a_dead_reader_of_the_output_ends_nothing(tmp_path: Path) -> None:
    words = ["simulate", str(small(tmp_path)), "--out", str(tmp_path / "run")]
    with subprocess.Popen(
        [sys.executable, "-u", "-c", CODE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(200) == 0
    assert (tmp_path / "run" / "model.json").is_file()


def test_what_cannot_be_printed_is_dropped() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as stream:
        lasting = Lasting(stream)
        for _ in range(2):
            print("x" * 100_000, file=lasting)
            lasting.flush()
    with open("/dev/full", "w", encoding="utf-8") as stream, redirect_stderr(StringIO()) as said:
        for _ in range(2):
            print("a line", file=Lasting(stream), flush=True)
    assert said.getvalue() == "warning: No space left on device: no more can be printed\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("words", "codes"),
    [
        (["topology", "show", "ring:8"], {7}),
        (["topology", "show", "ring:8", "--format", "json"], {7}),
        (["--help"], {7}),
        (["topology"], {2, 7}),
        (["topology", "show", "nosuch"], {3}),
        (["topology", "show", "nosuch", "--format", "json"], {3, 7}),
    ],
)
def test_a_full_disk_under_the_output_has_an_exit_code(
    words: list[str], codes: set[int], unbuffered: str
) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-c", CODE, *words],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=200, check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert done.returncode in codes
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert ("No space left on device" in done.stderr) or done.returncode == 3
    assert "nosuch" not in words or "nosuch" in done.stderr


def test_a_closed_output_is_no_error() -> None:
    for words in (["topology", "show", "ring:8"], ["topology", "show", "ring:8", "--format", "json"]):
        command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", CODE, *words]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=200, check=False)
        assert (done.returncode, done.stderr) == (0, "")


TWO = """
import os, signal
from gossipfl.signals import interrupt_once
interrupt_once()
both = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, both)
try:
    for one in both:
        os.kill(os.getpid(), one)  # another thread may take it at once
    signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
except KeyboardInterrupt:
    print("once")
"""


def test_two_signals_at_once_interrupt_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWO], capture_output=True, text=True, timeout=200, check=True
    )
    assert (done.stdout, done.stderr) == ("once\n", "")
