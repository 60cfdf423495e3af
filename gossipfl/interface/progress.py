"""How far learning is, for a person who asked to see it: in a notebook in place, else as lines; must not know who learns."""

import sys
import time
from collections.abc import Callable
from html import escape
from importlib import import_module
from typing import Any

from gossipfl.runs.events import Progress, Struck, Warned

Show = Callable[[Progress | Struck | Warned], None]
PLACE, LINES = 0.2, 2.0  # seconds between two drawings in a notebook, and between two lines


def shown(wanted: bool) -> Show:
    """What to call with each event; it shows nothing unless `wanted`."""
    if not wanted:
        return lambda _: None
    return Notebook() if _in_notebook() else Log()


class Log:
    """Lines on standard error."""

    pause = LINES

    def __init__(self) -> None:
        self._drawn = float("-inf")

    def __call__(self, event: Progress | Struck | Warned) -> None:
        if isinstance(event, Progress):
            now = time.monotonic()
            if now - self._drawn >= self.pause:
                self._drawn = now
                self.draw(event)
        else:
            self.say(told(event))

    def say(self, sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    def draw(self, line: Progress) -> None:
        self.say(progressed(line))


class Notebook(Log):
    """One output of the cell, which changes in place, and one for each sentence."""

    pause = PLACE

    def __init__(self) -> None:
        super().__init__()
        self._place: Any = None
        self._screen: Any = import_module("IPython.display")

    def say(self, sentence: str) -> None:
        self._screen.display(self._screen.HTML(escape(sentence)))

    def draw(self, line: Progress) -> None:
        drawn = self._screen.HTML(f"<code>{escape(progressed(line))}</code>")
        if self._place is None:
            self._place = self._screen.display(drawn, display_id=True)
        else:
            self._place.update(drawn)


def progressed(line: Progress) -> str:
    """A line of metrics, in words."""
    return (
        f"round {line.round}: loss {line.loss:.6g}, disagreement {line.disagreement:.1e}, {line.messages:,} messages, "
        f"{line.seconds:.1f} s"
    )


def told(event: Struck | Warned) -> str:
    """A fault or a warning, in words."""
    if isinstance(event, Struck):
        return f"{event.seconds:.1f} s: {event.fault}"
    return f"warning: {f'peer {event.peer} ' if event.peer else ''}{event.warning}"


def _in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"
