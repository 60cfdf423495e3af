"""The files that one live peer writes while it learns: log, metrics, checkpoints; must not know how it learns.

A disk that is full or read-only does not stop learning: the peer warns, and tries again the next time.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from gossipfl import disk
from gossipfl.data import Table
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.study.study import Study
from gossipfl.peer import Exchange
from gossipfl.runs import checkpoint
from gossipfl.runs import folder as files
from gossipfl.runs.attempt import Attempts, Kept, unwritten
from gossipfl.runs.events import Progress
from gossipfl.runs.facts import Checkpoint

Tell = Callable[[str, Any], None]
log = logging.getLogger(__name__)


class Journal:
    """The files of one peer. It writes checkpoints only if it is `resumable`; not every method is."""

    def __init__(self, folder: Path, study: Study, tell: Tell) -> None:
        self.resumable = False
        self.budget: dict[str, float] | None = None  # what is spent of it, with private sums
        self.folder = self._folder = folder
        self._study, self._tell = study.fingerprint, tell
        self._every, self._last = study.experiment.peers.checkpoint, time.monotonic()
        self._attempt = Attempts(self._warn)

    def read(self) -> Checkpoint | None:
        """The newest valid checkpoint; for newer files that are not valid it warns."""
        point, refused = checkpoint.read(self._folder, self._study)
        for warning in refused:
            self._warn(warning)
        return point

    def line(self, progress: Progress, exchange: Exchange) -> None:
        """Write a line of metrics, with counters and the state of the neighbours."""
        line = progress._asdict() | {"counters": counters(exchange), "neighbours": neighbours(exchange)}
        line |= {"budget": self.budget} if self.budget else {}
        self._attempt(
            "its metrics", disk.append, self._folder / "metrics.jsonl", msgspec.json.encode(line) + b"\n"
        )

    def checkpoint(self, session: Session, exchange: Exchange, now: bool = False) -> None:
        """Write a checkpoint, if the time has come or `now` is set."""
        due = self._every and time.monotonic() - self._last >= self._every
        if not self.resumable or not (due or (now and self._every)):
            return
        self._attempt("its checkpoint", checkpoint.write, self._folder, self._study, session.point)
        self._last = time.monotonic()

    def end(self, x: Tensor | None, table: Table, figures: Mapping[str, Any]) -> str:
        """Write the peer's last files: its model and rows, if it has learned, and its summary.

        Returns:
            A sentence for the files that could not be written, which is also a warning; "" if there are none.
        """
        keep = Kept(self._folder)
        if x is not None:
            keep("model.safetensors", files.write_tensor, x)
            keep("rows.json", files.write_rows, table)
        keep("summary.json", files.write_json, figures)
        if not keep.unwritten:
            return ""
        warning = unwritten(keep.unwritten, keep.why)
        self._warn(warning)
        return warning

    def _warn(self, warning: str) -> None:
        log.warning("%s", warning)
        self._tell("warning", warning)


def counters(exchange: Exchange) -> dict[str, int]:
    """Counters of messages: sent, resent, unsent (refused by the transport); and received ones: refused, late or duplicate.

    What a message says and is not believed counts as refused, too.
    """
    return {
        "sent": exchange.outbox.messages,
        "resent": exchange.outbox.resent,
        "unsent": exchange.outbox.unsent,
        "refused": exchange.refused,
        "late": exchange.inbox.late,
    }


def neighbours(exchange: Exchange) -> dict[str, dict[str, Any]]:
    """The state of each neighbour (up, suspected, down, left), its seconds in it, and the session's two numbers, own first.

    Where something that it said was refused: how often, and why at last.
    """
    return {
        one.name: {
            "state": one.health.value,
            "seconds": round(exchange.now - one.since, 3),
            "session": f"{one.edge.mine:016x}-{one.edge.yours:016x}",
        }
        | ({"refused": one.refused, "refusal": one.refusal} if one.refused else {})
        for one in exchange.neighbours.values()
    }


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": record.created,
            "level": record.levelname,
            "from": record.name,
            "text": record.getMessage(),
        }
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry).decode()


class _Lines(logging.Handler):
    """Appends to a log file. It ignores errors: a warning on standard error would have no reader."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            disk.append(self._path, self.format(record).encode() + b"\n")


def log_to(folder: Path) -> None:
    """Log as JSON lines to log.jsonl in this folder, from level "info" on."""
    handler = _Lines(folder / "log.jsonl")
    handler.setFormatter(_Json())
    logger = logging.getLogger("gossipfl")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
