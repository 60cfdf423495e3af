"""What the processes of the peers take of the machine over time, and whether it grows; must not know what they do.

Linux only: it reads /proc.
"""

import multiprocessing
import os
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

PAGE = os.sysconf("SC_PAGE_SIZE")
LONG = 40  # samples of a life that is long enough to be judged
GROWTH, SLACK = 0.05, 1 << 20  # of memory: a part, and bytes, that fragmentation and caches may come to
FILES = 2  # descriptors: a log and a file of metrics are opened when there is something to write


class Sample(NamedTuple):
    """One look at a process."""

    seconds: float
    memory: int  # resident bytes
    descriptors: int
    threads: int


class Footprints:
    """What each peer's processes took, a sample a second at most. A peer that was started again has several lives."""

    def __init__(self, names: Iterable[str], root: Path = Path("/proc")) -> None:
        self.lives: dict[str, dict[int, list[Sample]]] = {name: {} for name in names}
        self._root, self._last = root, float("-inf")

    def look(self, now: float) -> None:
        """Take a sample of each peer's process, unless one was taken within the second before."""
        if now - self._last < 1.0:
            return
        self._last = now
        for child in multiprocessing.active_children():
            if child.name in self.lives and child.pid and (sample := self._sample(child.pid, now)):
                self.lives[child.name].setdefault(child.pid, []).append(sample)

    def _sample(self, process: int, now: float) -> Sample | None:
        """None where it has ended meanwhile."""
        here = self._root / str(process)
        try:
            memory = int((here / "statm").read_text().split()[1]) * PAGE
            status = (here / "status").read_text().split("Threads:", 1)[1]
            return Sample(now, memory, len(os.listdir(here / "fd")), int(status.split()[0]))
        except (OSError, IndexError):
            return None

    def grown(self) -> dict[str, float]:
        """By peer, the largest growth of memory in a life, as a part of what it had: the median of the last quarter of the

        samples against that of the second quarter. Lives too short to be judged are left out.
        """
        found = {}
        for name, lives in self.lives.items():
            if parts := [growth(life) for life in lives.values() if len(life) >= LONG]:
                found[name] = max(parts)
        return found

    def leaked(self) -> list[str]:
        """The peers that end with more descriptors or threads than they began their first life with."""
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
    """How much more memory the last quarter of a life took than its second quarter, less what is allowed in bytes."""
    quarter = len(life) // 4
    before = median(sample.memory for sample in life[quarter : 2 * quarter])
    after = median(sample.memory for sample in life[-quarter:])
    return max(0.0, after - before - SLACK) / before
