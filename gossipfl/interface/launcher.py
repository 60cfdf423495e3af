"""A launcher of live peers, in a process of its own: experiment, graph and rows from a folder, events to its caller's pipe.

So a caller needs no `if __name__ == "__main__"`, no terminal, and may itself be a worker of a pool. It must not know who calls.
"""

import os
import signal
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from gossipfl import topology
from gossipfl.config.file import dump, parse
from gossipfl.data import Table
from gossipfl.data.store import restore, save
from gossipfl.errors import GossipError
from gossipfl.experiment.launch.launch import run
from gossipfl.experiment.learning.tables import Given
from gossipfl.experiment.study.make import study
from gossipfl.experiment.study.study import Study
from gossipfl.runs.events import Event
from gossipfl.signals import BOTH, insist

EXPERIMENT, GRAPH, ROWS = "experiment.toml", "graph.json", "rows.npz"


def hand_over(made: Study, rows: list[Table], folder: Path) -> None:
    """Write what a launcher needs."""
    (folder / EXPERIMENT).write_text(dump(made.experiment), encoding="utf-8")
    topology.write(made.graph, folder / GRAPH)
    save(rows, folder / ROWS)


def taken_over(folder: Path) -> Given:
    """What `hand_over` wrote."""
    experiment = parse(tomllib.loads((folder / EXPERIMENT).read_text(encoding="utf-8")))
    return Given(study(experiment, graph=topology.read(folder / GRAPH)), restore(folder / ROWS))


def events(folder: Path, out: Path) -> Iterator[Event]:
    """Let peers learn what is in `folder`, with `out` as the run folder."""
    given = taken_over(folder)
    return run(given.study.experiment, out, given=given)


def main(folder: Path, out: Path) -> None:
    """Run, and write a line for each event: its kind and its fields, or "error", sentence and exit code.

    Standard output is for these lines alone; what else is printed goes to standard error. It ends early, as by Ctrl-C, if its
    standard input, which the caller holds, is closed.
    """
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    for number in BOTH:  # a worker of a pool may ignore them, and so would its children
        signal.signal(number, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BOTH)
    insist()
    threading.Thread(target=_watch, daemon=True).start()

    def say(kind: str, what: Any) -> None:
        channel.write(msgspec.json.encode([kind, what], enc_hook=str) + b"\n")

    try:
        for event in events(folder, out):
            say(type(event).__name__, event._asdict())
    except GossipError as error:
        say("error", {"sentence": str(error), "code": error.exit_code})
    except KeyboardInterrupt:
        say("error", {"sentence": "interrupted before the peers learned", "code": 130})


def _watch() -> None:
    """Interrupt this process when its caller is gone."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
