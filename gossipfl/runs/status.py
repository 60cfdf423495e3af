"""What the peers of a run saw last, from what they write; must not know whether they still live.

Only the end of their metrics is read, so that those may be long.
"""

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gossipfl.data.names import natural
from gossipfl.errors import BadExperiment
from gossipfl.runs.summary import read_summary

TAIL = 65_536  # bytes, of which the last whole line is taken


class Sight(NamedTuple):
    """One peer's last line of metrics, `ago` seconds old: its neighbours and its counters; all empty before the first."""

    peer: str
    state: str  # "not begun", "begun", "ended: interrupted", ...
    ago: float | None
    round: int | None
    neighbours: dict[str, dict[str, Any]]
    counters: dict[str, int]
    error: str  # that it ended with


def sights(folder: Path) -> list[Sight]:
    """Of each peer in a run folder, in natural order.

    Raises:
        BadExperiment: it is no run folder of real peers, or a peer's summary is damaged.
    """
    own = sorted((folder / "peers").glob("*/"), key=lambda path: natural(path.name))
    found = [_sight(path) for path in own] if (folder / "config.toml").exists() else []
    over = (folder / "summary.json").exists()  # then who has not begun never will: it was simulated
    if not found or (over and all(sight.ago is None for sight in found)):
        raise BadExperiment(
            f"no peer has written metrics to {folder}: give the folder of a run with real peers, as its first line names it"
        )
    return found


def _sight(own: Path) -> Sight:
    """What the files in a peer's own folder tell. A summary older than the metrics is of an earlier life."""
    sight = Sight(own.name, "not begun", None, None, {}, {}, "")
    lines, end = _written(own / "metrics.jsonl"), _written(own / "summary.json")
    if lines is not None and (said := _last(own / "metrics.jsonl")):
        sight = sight._replace(state="begun", ago=time.time() - lines, **said)
    if end is not None and (lines is None or end >= lines):
        how = read_summary(own)
        error = how.get("error") or ""
        state = f"ended: {'failed' if error else how['stopped']}"
        sight = sight._replace(state=state, ago=time.time() - end, error=error)
    return sight


def _written(file: Path) -> float | None:
    """When, None where it is not there."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return None


def _last(file: Path) -> dict[str, Any] | None:
    """What the last whole line says of round, neighbours and counters."""
    with file.open("rb") as lines:
        lines.seek(max(0, file.stat().st_size - TAIL), os.SEEK_SET)
        for line in reversed(lines.read().splitlines()):
            try:
                said = msgspec.json.decode(line)
                return {field: said[field] for field in ("round", "neighbours", "counters")}
            except (msgspec.DecodeError, KeyError, TypeError):
                continue  # torn by a crash; the one before it is whole
    return None
