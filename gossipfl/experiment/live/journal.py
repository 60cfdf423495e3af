"""What one live peer writes while it learns: its log, its metrics, its checkpoints; must not know how it learns.

A disk that is full or read-only is no reason to stop learning: it is said loudly, and tried again next time.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

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
    """The files of one peer.

    There are checkpoints where it is `resumable`, which not every method is.
    """

    def __init__(self, folder: Path, made: Study, tell: Tell) -> None:
        self.resumable = False
        self._folder, self._study, self._tell = folder, made.fingerprint, tell
        self._every, self._last = made.experiment.peers.checkpoint, time.monotonic()
        self._attempt = Attempts(self._warn)

    def read(self) -> Checkpoint | None:
        """The newest checkpoint that can be used; why others cannot is said."""
        point, refused = checkpoint.read(self._folder, self._study)
        for words in refused:
            self._warn(words)
        return point

    def line(self, progress: Progress, exchange: Exchange) -> None:
        """A line of metrics, with what this peer sees of its neighbours."""
        line = progress._asdict() | {"counters": counters(exchange), "neighbours": neighbours(exchange)}
        self._attempt(
            "its metrics", files.append, self._folder / "metrics.jsonl", msgspec.json.encode(line) + b"\n"
        )

    def checkpoint(self, session: Session, exchange: Exchange, now: bool = False) -> None:
        """Write one, if it is time; and, if told so, now."""
        due = self._every and time.monotonic() - self._last >= self._every
        if not self.resumable or not (due or (now and self._every)):
            return
        self._attempt("its checkpoint", checkpoint.write, self._folder, self._study, session.point)
        self._last = time.monotonic()

    def end(self, x: Tensor | None, table: Table, figures: Mapping[str, Any]) -> str:
        """The last that a peer writes: its model, if it has one, which rows it saw, and how it ended.

        In words, what could not be written; which is also told.
        """
        keep = Kept(self._folder)
        if x is not None:
            keep("model.safetensors", files.write_tensor, x)
            keep("rows.json", files.write_rows, table)
        keep("summary.json", files.write_json, figures)
        if not keep.unwritten:
            return ""
        words = unwritten(keep.unwritten, keep.why)
        self._warn(words)
        return words

    def _warn(self, words: str) -> None:
        log.warning("%s", words)
        self._tell("warning", words)


def counters(exchange: Exchange) -> dict[str, int]:
    """Messages: sent first, sent again, not taken by the transport; of others refused, and late or twice."""
    return {
        "sent": exchange.messages_sent,
        "resent": exchange.resent,
        "unsent": exchange.unsent,
        "refused": exchange.inbox.refused,
        "late": exchange.inbox.late,
    }


def neighbours(exchange: Exchange) -> dict[str, dict[str, Any]]:
    """Of each neighbour: up, suspected, down or left; for how many seconds; and the session's two numbers, mine first."""
    return {
        one.name: {
            "state": one.health.value,
            "seconds": round(exchange.now - one.since, 3),
            "session": f"{one.edge.mine:016x}-{one.edge.yours:016x}",
        }
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
    """A log that cannot be written is not worth a word on a stream that nobody reads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            files.append(self._path, self.format(record).encode() + b"\n")


def log_to(folder: Path) -> None:
    """Log as JSON lines into log.jsonl of this folder, from "info" on."""
    handler = _Lines(folder / "log.jsonl")
    handler.setFormatter(_Json())
    logger = logging.getLogger("gossipfl")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
