"""Learning with live peers for a caller in Python, by a launcher process; must not know what becomes of the result."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from gossipfl.errors import BadData, BadExperiment, GossipError, NetworkError, Unwritten
from gossipfl.experiment.learning.tables import Given
from gossipfl.interface.launcher import hand_over
from gossipfl.runs.events import Progress, Struck, Warned

ERRORS: dict[int, type[GossipError]] = {
    kind.exit_code: kind for kind in (BadExperiment, BadData, NetworkError, Unwritten)
}
SHOWN: dict[str, type[Progress | Struck | Warned]] = {
    "Progress": Progress,
    "Struck": Struck,
    "Warned": Warned,
}

Show = Callable[[Progress | Struck | Warned], None]


def learn_live(given: Given, out: Path, show: Show = lambda _: None) -> None:
    """Let live peers learn, a process each on this machine; the result is in the run folder `out`.

    Ctrl-C ends it early, with the models of that moment; if it comes before there are any, it is raised.

    Raises:
        GossipError: as of `gossipfl run`.
    """
    with tempfile.TemporaryDirectory(prefix="gossipfl-", ignore_cleanup_errors=True) as folder:
        hand_over(given.study, given.rows, Path(folder))
        log = Path(folder) / "launcher.log"
        with log.open("wb") as errors, _launcher(Path(folder), out, errors) as process:
            failed, finished = _follow(process, show)
        if failed is not None:
            if failed["code"] == 130:
                raise KeyboardInterrupt
            raise ERRORS.get(failed["code"], GossipError)(failed["sentence"])
        if not finished:
            last = log.read_text(errors="replace").strip().splitlines()[-3:]
            raise NetworkError(
                f"the launcher of the peers died, exit code {process.returncode}: {' / '.join(last)}"
            )


def _follow(process: "subprocess.Popen[bytes]", show: Show) -> tuple[dict[str, Any] | None, bool]:
    """Show the events of a launcher until it ends; its error, and whether it finished."""
    assert process.stdout is not None
    failed, finished, interrupted = None, False, False
    while True:
        try:
            line = process.stdout.readline()
            if not line:
                return failed, finished
            kind, what = msgspec.json.decode(line, type=tuple[str, dict[str, Any]])
            failed, finished = (what if kind == "error" else failed), finished or kind == "Finished"
            if kind in SHOWN:
                show(SHOWN[kind](**what))
        except KeyboardInterrupt:
            if interrupted:
                raise
            interrupted = True
            process.send_signal(signal.SIGINT)


@contextmanager
def _launcher(folder: Path, out: Path, errors: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A launcher process, which does not outlive the block.

    It has a session of its own, so that Ctrl-C reaches it through its caller only.
    """
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "gossipfl.interface.launcher", str(folder), str(out)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
        env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.stdin.close()  # it ends early, if it still runs
        process.stdout.close()
        process.wait()
