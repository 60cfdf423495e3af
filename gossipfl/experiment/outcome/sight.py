"""What the peers of a run saw last, from the metrics that they write; must not know whether they still live.

Only the end of a file is read, so that it may be long.
"""

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gossipfl.data.names import natural
from gossipfl.errors import BadExperiment

TAIL = 65_536  # bytes, of which the last whole line is taken


class Sight(NamedTuple):
    """One peer's last line of metrics: `ago` seconds old, its neighbours and its counters."""

    peer: str
    ago: float
    round: int
    neighbours: dict[str, dict[str, Any]]
    counters: dict[str, int]


def sights(folder: Path) -> list[Sight]:
    """Of each peer in a run folder that has written metrics, in natural order.

    Raises:
        BadExperiment: there is none.
    """
    files = sorted((folder / "peers").glob("*/metrics.jsonl"), key=lambda file: natural(file.parent.name))
    found = [sight for file in files if (sight := _last(file))]
    if not found:
        raise BadExperiment(
            f"no peer has written metrics to {folder}: give the folder of a run with real peers, as its first line names it"
        )
    return found


def _last(file: Path) -> Sight | None:
    with file.open("rb") as lines:
        lines.seek(max(0, file.stat().st_size - TAIL), os.SEEK_SET)
        for line in reversed(lines.read().splitlines()):
            try:
                said = msgspec.json.decode(line)
                ago = time.time() - file.stat().st_mtime
                return Sight(file.parent.name, ago, said["round"], said["neighbours"], said["counters"])
            except (msgspec.DecodeError, KeyError, TypeError):
                continue  # torn by a crash; the one before it is whole
    return None
