"""Memory, descriptors and threads of the peers' processes over time; must not know what they do.

Linux only: it reads /proc.
"""

import multiprocessing
import os
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

PAGE = os.sysconf("SC_PAGE_SIZE")
LONG = 40  # samples that a process needs to be judged
# Memory may grow by this fraction and these bytes, for fragmentation and caches.
GROWTH, SLACK = 0.05, 1 << 20
FILES = 2  # descriptors that are allowed in addition: a log and a file of metrics are opened later


class Sample(NamedTuple):
    """One measurement of a process."""

    seconds: float
    memory: int  # resident bytes
    descriptors: int
    threads: int


class Footprints:
    """Samples of each peer's processes, at most one a second. A peer that restarted has several lives, one a process."""

    def __init__(self, names: Iterable[str], root: Path = Path("/proc")) -> None:
        self.lives: dict[str, dict[int, list[Sample]]] = {name: {} for name in names}
        self._root, self._last = root, float("-inf")

    def look(self, now: float) -> None:
        """Take a sample of each peer's process, unless the last one is less than a second old."""
        if now - self._last < 1.0:
            return
        self._last = now
        for child in multiprocessing.active_children():
            if child.name in self.lives and child.pid and (sample := self._sample(child.pid, now)):
                self.lives[child.name].setdefault(child.pid, []).append(sample)

    def _sample(self, process: int, now: float) -> Sample | None:
        """A sample; None if the process has ended."""
        here = self._root / str(process)
        try:
            memory = int((here / "statm").read_text().split()[1]) * PAGE
            status = (here / "status").read_text().split("Threads:", 1)[1]
            return Sample(now, memory, len(os.listdir(here / "fd")), int(status.split()[0]))
        except (OSError, IndexError):
            return None

    def grown(self) -> dict[str, float]:
        """The largest `growth` of memory in a life of each peer. Lives with fewer than LONG samples are left out."""
        found = {}
        for name, lives in self.lives.items():
            if parts := [growth(life) for life in lives.values() if len(life) >= LONG]:
                found[name] = max(parts)
        return found

    def leaked(self) -> list[str]:
        """The peers that end with more descriptors or threads than at the start of their first life."""
        return [
            name
            for name, lives in self.lives.items()
            if (ordered := list(lives.values()))
            and (
                ordered[-1][-1].descriptors > ordered[0][0].descriptors + FILES
                or ordered[-1][-1].threads > ordered[0][0].threads
            )
        ]


def growth(life: list[Sample]) -> float:
    """The relative growth of memory in a life, less SLACK: median of its last quarter against that of the second."""
    quarter = len(life) // 4
    before = median(sample.memory for sample in life[quarter : 2 * quarter])
    after = median(sample.memory for sample in life[-quarter:])
    return max(0.0, after - before - SLACK) / before
