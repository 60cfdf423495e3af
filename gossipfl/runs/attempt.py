"""Writing to a disk that may be full or read-only, with few warnings; must not know what is written."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AGAIN = 60.0  # seconds until the second warning of a lasting failure; each interval is twice the one before


@dataclass
class Trouble:
    """The failures of one kind of file."""

    why: str = ""
    warned_at: float = -math.inf
    pause: float = AGAIN
    failures: int = 0  # since the last success
    warned: bool = False  # of these failures


class Attempts:
    """Writes files, and turns failures into warnings, so that learning goes on.

    For each kind of file it warns when a failure begins, when its reason changes, ever more rarely while it lasts, and when it
    is over. A failure that comes and goes gives no more warnings than one that lasts.

    Args:
        warn: called with a sentence.
        clock: the time in seconds.
    """

    def __init__(self, warn: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._warn, self._clock = warn, clock
        self._troubles: defaultdict[str, Trouble] = defaultdict(Trouble)

    def __call__(self, what: str, write: Callable[..., Any], *parts: Any) -> None:
        """Call `write(*parts)`; an OSError becomes a warning that names `what`."""
        try:
            write(*parts)
        except OSError as error:
            self._failed(what, reason(error), self._troubles[what])
        else:
            if what in self._troubles:
                self._over(what, self._troubles[what])

    def _failed(self, what: str, why: str, trouble: Trouble) -> None:
        now, lasts = self._clock(), trouble.warned and trouble.why == why
        trouble.failures += 1
        if trouble.why == why and now - trouble.warned_at < trouble.pause:
            return
        trouble.pause = 2 * trouble.pause if lasts else AGAIN
        trouble.why, trouble.warned_at, trouble.warned = why, now, True
        self._warn(f"{'still ' * lasts}cannot write {what}: {why}; learning goes on")

    def _over(self, what: str, trouble: Trouble) -> None:
        if trouble.warned:
            failures = "1 failure" if trouble.failures == 1 else f"{trouble.failures:,} failures"
            self._warn(f"can write {what} again, after {failures}")
        trouble.pause, trouble.failures, trouble.warned = AGAIN, 0, False


@dataclass
class Kept:
    """Writes files one by one, and notes which of them could not be written, and why."""

    folder: Path
    unwritten: list[str] = field(default_factory=list)  # paths in the folder
    why: str = ""

    def __call__(self, name: str, write: Callable[..., Any], *parts: Any) -> None:
        """Call `write(folder / name, *parts)`; an OSError is noted."""
        try:
            write(self.folder / name, *parts)
        except OSError as error:
            self.unwritten.append(name)
            self.why = reason(error)


def unwritten(names: Sequence[str], why: str) -> str:
    """The sentence for files that could not be written."""
    files = ", ".join(names[:4]) + (f" and {len(names) - 4} more files" if len(names) > 4 else "")
    return f"could not write {files}: {why}"


def reason(error: OSError) -> str:
    return error.strerror or str(error)
