"""Progress while peers learn, as a table or as lines; must not know how they learn.

Draws only when an event arrives: there is no thread and no timer.
"""

import time
from collections import defaultdict, deque
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from gossipfl.report.console import console, visible
from gossipfl.report.tables import number, plain, seconds
from gossipfl.runs.events import Comparing, Event, Finished, Progress, Started, Struck, Warned

LINES = 8  # of progress, in the table of a terminal
ALIKE = 2  # peers whose warning is shown when several send the same one
TERMINAL, PLAIN = 0.1, 2.0  # seconds between two drawings


def follow(events: Iterator[Event], quiet: bool = False, silent: bool = False) -> Finished:
    """Show events as they arrive; returns the last one.

    Args:
        events: the events of a run; a KeyboardInterrupt that comes while drawing is thrown into this generator.
        quiet: print only the run folder.
        silent: print nothing.
    """
    with View(console(), quiet, silent) as view:
        event = next(events)
        while not isinstance(event, Finished):
            try:
                view.show(event)
            except KeyboardInterrupt:
                if not isinstance(events, Generator):
                    raise
                event = events.throw(KeyboardInterrupt())
            else:
                event = next(events)
    return event


class View:
    """The display while peers learn: a table on a terminal, lines elsewhere or if `plain`."""

    def __init__(self, screen: Console, quiet: bool, silent: bool, plain: bool = False) -> None:
        self._screen, self._quiet, self._silent = screen, quiet or silent, silent
        drawn = screen.is_terminal and not self._quiet and not plain
        self._live = Live(console=screen, auto_refresh=False) if drawn else None
        self._lines: deque[Progress] = deque(maxlen=LINES)
        self._first: Progress | None = None
        self._last: Progress | None = None
        self._shown = float("-inf")
        self._warned: defaultdict[str, set[str]] = defaultdict(set)  # warning -> peers that sent it
        self._most = self._peers = 0
        self._seconds: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, wrong: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            if self._last is not None:
                self._live.update(self._table(ended=True), refresh=True)
            self._live.stop()

    def show(self, event: Started | Progress | Struck | Warned | Comparing) -> None:
        """Show an event; progress at most every `TERMINAL` or `PLAIN` seconds."""
        if isinstance(event, Started):
            self._started(event)
            return
        if isinstance(event, Struck):
            when = seconds(event.seconds) if event.after is None else f"after round {event.after}"
            self.say(f"{when}: {event.fault}")
            return
        if isinstance(event, Warned):
            self._warn(event)
            return
        if isinstance(event, Comparing):
            self.say("Learning has ended. Computing the pooled optimum to compare with ...")
            return
        self._first, self._last = self._first or event, event
        now = time.monotonic()
        if self._quiet or now - self._shown < (TERMINAL if self._live else PLAIN):
            return
        self._shown = now
        self._lines.append(event)
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
        else:
            self._screen.print(self._line(event), soft_wrap=True)

    def say(self, sentence: str) -> None:
        """Print a line, unless quiet."""
        if not self._quiet:
            self._screen.print(visible(sentence), soft_wrap=True)

    def _warn(self, event: Warned) -> None:
        """Print a warning; if many peers send the same one, print only the first few."""
        said = self._warned[event.warning]
        said.add(event.peer)
        if len(said) <= ALIKE + 1:
            who, more = (
                f"peer {event.peer} " * bool(event.peer),
                " (other peers may send the same warning)" * (len(said) > ALIKE),
            )
            self.say(f"warning: {who}{event.warning}{more}")

    def _started(self, event: Started) -> None:
        self._peers, self._most, self._seconds = event.peers, event.rounds, event.seconds
        if not self._silent:
            self._screen.print(visible(f"run folder {event.folder}"), soft_wrap=True)
        if event.peers > 1:
            self.say(f"{event.peers} peers start. First they agree on columns, scaling and step size ...")
        if self._live is not None:
            self._live.start()

    def _rate(self) -> float:
        """Rounds per second since the first reported one: a late peer did not do the rounds before it."""
        first, last = self._first, self._last
        passed = last.seconds - first.seconds if first and last else 0.0
        return (last.round - first.round) / passed if first and last and passed > 0 else 0.0

    def _left(self) -> str:
        """The longest time left until stop.rounds or stop.seconds; a tolerance can end the run earlier."""
        if self._last is None:
            return ""
        left = (self._most - self._last.round) / self._rate()
        return seconds(
            left if self._seconds is None else max(0.0, min(left, self._seconds - self._last.seconds))
        )

    def _pace(self) -> str:
        return f"{self._rate():,.0f} rounds/s, at most {self._left()} left" if self._rate() else ""

    def _line(self, p: Progress) -> str:
        return (
            f"round {self._of(p.round)}  loss {p.loss:.6g}  disagreement {p.disagreement:.1e}  "
            f"{seconds(p.seconds)}  {self._pace()}"
        )

    def _of(self, round: int) -> str:
        """The round and the largest number of rounds; only the round if time ends the run."""
        return f"{round}/{self._most}" if self._seconds is None else f"{round}"

    def _table(self, ended: bool = False) -> RenderableType:
        lines = list(self._lines)
        if self._last is not None and (not lines or lines[-1] != self._last):
            lines = [*lines, self._last][-LINES:]
        rows = [
            (number(p.round), f"{p.loss:.8f}", f"{p.disagreement:.1e}", seconds(p.seconds)) for p in lines
        ]
        table = plain(("round", "loss", "disagreement", "elapsed"), rows, range(4))
        done = self._last.round if self._last else 0
        bar = Table.grid(padding=(0, 1))
        if self._seconds is None:
            share, told = done / self._most, f"{done:,} of at most {self._most:,} rounds"
        else:
            passed = self._last.seconds if self._last else 0.0
            share, told = (
                passed / self._seconds,
                f"{done:,} rounds in {seconds(passed)} of {seconds(self._seconds)}",
            )
        shown = ProgressBar(1.0, min(1.0, share), width=28, complete_style="cyan", finished_style="cyan")
        bar.add_row(shown, told + ("" if ended else f"  {self._pace()}"))
        return Group(table, bar)
