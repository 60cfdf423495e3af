"""The last status of the peers of a run, from their files; must not know whether they still run.

It reads only the end of their metrics, so that these may be long.
"""

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gossipfl.data.names import natural
from gossipfl.errors import BadExperiment
from gossipfl.runs.spent import FILE as BUDGET
from gossipfl.runs.spent import told
from gossipfl.runs.summary import read_summary

TAIL = 65_536  # bytes at the end of a file, which have the last complete line


class PeerStatus(NamedTuple):
    """One peer's last line of metrics, `ago` seconds old: its neighbours and counters. All empty before the first line."""

    peer: str
    state: str  # "not begun", "begun", "ended: interrupted", ...
    ago: float | None
    round: int | None
    neighbours: dict[str, dict[str, Any]]
    counters: dict[str, int]
    error: str  # the error that it ended with; "" for none
    budget: dict[str, float] | None = (
        None  # of private sums: what is spent, in sums that no line has yet, too
    )


def statuses(folder: Path) -> list[PeerStatus]:
    """The status of each peer in a run folder, in natural order.

    Raises:
        BadExperiment: the folder has no run of live peers, or a peer's summary or budget is damaged.
    """
    own = sorted((folder / "peers").glob("*/"), key=lambda path: natural(path.name))
    found = [_status(path) for path in own] if (folder / "config.toml").exists() else []
    over = (folder / "summary.json").exists()  # if the run is over and no peer has begun, it was simulated
    if not found or (over and all(status.ago is None for status in found)):
        raise BadExperiment(
            f"no peer has written metrics to {folder}: give the folder of a run with live peers (gossipfl run prints it)"
        )
    return found


def _status(own: Path) -> PeerStatus:
    """The status in the files of a peer's folder. A summary older than the metrics is from an earlier process."""
    status = PeerStatus(own.name, "not begun", None, None, {}, {}, "")
    lines, end = _written(own / "metrics.jsonl"), _written(own / "summary.json")
    if lines is not None and (last := _last(own / "metrics.jsonl")):
        status = status._replace(state="begun", ago=time.time() - lines, **last)
    if os.access(own / BUDGET, os.R_OK):  # only its owner may; a line of metrics may be older
        status = status._replace(budget=told(own))
    if end is not None and (lines is None or end >= lines):
        summary = read_summary(own)
        error = summary.get("error") or ""
        state = f"ended: {'failed' if error else summary['stopped']}"
        status = status._replace(state=state, ago=time.time() - end, error=error)
    return status


def _written(file: Path) -> float | None:
    """The time of the last write; None if there is no such file."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return None


def _last(file: Path) -> dict[str, Any] | None:
    """Round, neighbours and counters in the last complete line; None if there is none."""
    with file.open("rb") as lines:
        lines.seek(max(0, file.stat().st_size - TAIL), os.SEEK_SET)
        for line in reversed(lines.read().splitlines()):
            try:
                metrics = msgspec.json.decode(line)
                told = {field: metrics[field] for field in ("round", "neighbours", "counters")}
                return told | {"budget": metrics.get("budget")}
            except (msgspec.DecodeError, KeyError, TypeError):
                continue  # a crash has cut this line; the one before it is complete
    return None
