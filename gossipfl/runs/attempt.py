"""Writing to a disk that may be full or read-only: said loudly, but not each time; must not know what is written."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AGAIN = 60.0  # seconds until a failure that lasts is said again; twice as long each time


@dataclass
class Trouble:
    """A kind of file that cannot be written, or could not a while ago."""

    why: str = ""
    said: float = -math.inf  # when
    pause: float = AGAIN
    times: int = 0  # that it failed, since it last went well
    told: bool = False  # of these times


class Attempts:
    """Tries to write while something more important goes on.

    Of each kind of file a failure is said when it begins, when its reason changes, now and then while it lasts, and when it
    is over; but not more often where it comes and goes.

    Args:
        warn: called with a sentence.
        clock: seconds.
    """

    def __init__(self, warn: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._warn, self._clock = warn, clock
        self._troubles: defaultdict[str, Trouble] = defaultdict(Trouble)

    def __call__(self, what: str, write: Callable[..., Any], *parts: Any) -> None:
        """Write something, `what` in words; where that fails, go on."""
        try:
            write(*parts)
        except OSError as error:
            self._failed(what, reason(error), self._troubles[what])
        else:
            if what in self._troubles:
                self._over(what, self._troubles[what])

    def _failed(self, what: str, why: str, trouble: Trouble) -> None:
        now, lasts = self._clock(), trouble.told and trouble.why == why
        trouble.times += 1
        if trouble.why == why and now - trouble.said < trouble.pause:
            return
        trouble.pause = 2 * trouble.pause if lasts else AGAIN
        trouble.why, trouble.said, trouble.told = why, now, True
        self._warn(f"{'still ' * lasts}cannot write {what}: {why}; learning goes on")

    def _over(self, what: str, trouble: Trouble) -> None:
        if trouble.told:
            often = "once" if trouble.times == 1 else f"{trouble.times} times"
            self._warn(f"can write {what} again, and could not {often}")
        trouble.pause, trouble.times, trouble.told = AGAIN, 0, False


@dataclass
class Kept:
    """Writes files one by one, whatever becomes of the others: which could not be written, and why not."""

    folder: Path
    unwritten: list[str] = field(default_factory=list)  # by path in the folder
    why: str = ""

    def __call__(self, name: str, write: Callable[..., Any], *parts: Any) -> None:
        """`write(path, *parts)`, the path being that of `name` in the folder."""
        try:
            write(self.folder / name, *parts)
        except OSError as error:
            self.unwritten.append(name)
            self.why = reason(error)


def unwritten(names: Sequence[str], why: str) -> str:
    """In words, what could not be written in the end."""
    told = ", ".join(names[:4]) + (f" and {len(names) - 4} files more" if len(names) > 4 else "")
    return f"could not write {told}: {why}"


def reason(error: OSError) -> str:
    return error.strerror or str(error)
