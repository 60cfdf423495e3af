"""Two methods as one engine: the fast one while nothing is wrong, the robust one else; must not know what goes wrong, or where.

Newton's method needs averages to which everybody contributes, through whole cycles of exchanges. Where an exchange was not
complete, nobody uses what the cycle came to: all go on by the robust method, from the x that they held in it, until cycles are
quiet again. By then their models differ, and a mean of gradients that were taken at different places may well be shorter than
any that there is at one place. So the first step makes one model of them, and the fast method begins anew from there.

Methods whose memory of neighbours no account has (error feedback, push-sum) move x in every round, and their cycles are just
so many rounds: what a troubled one came to is where the robust method begins, as from any place. Beginning anew costs little.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

import torch
from torch import Tensor

from gossipfl.engine import Engine, Run

QUIET = 2  # cycles without trouble, before the fast method is used again
Kind = TypeVar("Kind", bound=Engine)


class Fallback(ABC, Generic[Kind]):
    """`fast` in quiet cycles, else `robust` from the x that all hold (an `Engine`).

    Args:
        fast: Newton's, which moves x in the last round of a cycle only, or one that moves it in each.
        robust: of rounds of the same length.
        cycle: rounds of a step of the fast one.
    """

    def __init__(self, fast: Kind, robust: Kind, cycle: int) -> None:
        self.fast, self.robust = fast, robust
        self._cycle, self._now, self._last = cycle, fast, fast
        self._epoch, self._round, self._unmoved = -1, 0, 0
        self._apart = False  # the models were not the same when the cycle began

    @property
    @abstractmethod
    def messages_sent(self) -> int: ...

    @property
    @abstractmethod
    def bytes_sent(self) -> int: ...

    @abstractmethod
    def troubled(self, round: int, rounds: int) -> bool:
        """Whether an exchange of the last so many rounds before that one is known to have been incomplete."""

    @abstractmethod
    def begin(self, to: Kind, run: Run, x: Tensor) -> Run:
        """The run with which that engine takes over after `run`, from x (n, d), and with nothing else that was known."""

    def init(self, x: Tensor) -> Run:
        return self.fast.init(x)

    def step(self, run: Run) -> Run:
        epoch, begun = divmod(run.round, self._cycle)
        if epoch != self._epoch:
            self._apart = self._epoch < 0 < run.round
            self._epoch = epoch
            run = self._turn(run, begun)
        self._last = self._now
        after = self._now.step(run)
        if self._now is self.fast and after.round >= (epoch + 1) * self._cycle:
            after = self._conclude(run, after)
        self._round = after.round
        return after

    def rounds(self, run: Run) -> Iterator[Run]:
        while True:
            run = self.step(run)
            yield run

    def disagreement(self, run: Run) -> Tensor:
        return self._last.disagreement(run)

    def settled(self, converged: Tensor, over: bool = False) -> bool:
        """As any engine. A peer that did not move because its cycle was discarded has not converged; the next cycle tells."""
        converged = torch.zeros_like(converged) if self._round < self._unmoved else converged
        return self._last.settled(converged, over)

    def _turn(self, run: Run, begun: int) -> Run:
        """A cycle begins, or it is met `begun` rounds old: by which method?"""
        quiet = not begun and not self.troubled(run.round, QUIET * self._cycle)
        fits = self.fast if quiet else self.robust
        if fits is self._now:
            return run
        self._apart = True
        return self._change(fits, run, run.state.x)

    def _conclude(self, run: Run, after: Run) -> Run:
        """The end of a cycle of the fast method, and what it came to."""
        if self.troubled(after.round, self._cycle):
            self._unmoved = after.round + self._cycle
            return self._change(self.robust, after, run.state.x)
        if self._apart:
            return self.begin(self.fast, after, after.state.x)._replace(replicas=after.replicas)
        return after

    def _change(self, to: Kind, run: Run, x: Tensor) -> Run:
        self._now = to
        return self.begin(to, run, x)
