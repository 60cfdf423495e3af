"""Ctrl-C: the current models are saved, and the exit code is 130."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import small
from sparing import sparing

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
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    assert "interrupted after" in out
    assert "Traceback" not in err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["stopped"] == "interrupted"
    assert (tmp_path / "run" / "model.json").is_file()


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
    done = subprocess.run([sys.executable, "-c", TWO], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("once\n", "")
