"""Two methods as one engine: a fast one, and a robust one for times with faults; must not know what fails, or where.

Newton's method needs averages to which every peer contributes, over whole cycles of exchanges. If an exchange was incomplete,
all peers discard the result of the cycle. They continue with the robust method, from the x that they held during the cycle,
until there are cycles without faults again. By then their models differ, and the mean of gradients taken at different points
may be shorter than the mean at any single point. So the first Newton step only makes one model of them, and the fast method
starts again from that model.

A method of sums that has finished moves no more, whether a sum counts or not. So incomplete exchanges alone do not end it: the
sum is taken again. Only where a peer was away, or too many sums in a row were void, the robust method takes over.

Some methods remember their neighbours in ways that no account covers (error feedback, push-sum). They move x in every round, so
a cycle is only a number of rounds. The robust method then starts from the result of the faulty cycle, as from any other point.
Such a restart costs little.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

import torch
from torch import Tensor

from gossipfl.algorithms import Summing
from gossipfl.engine import Engine, Run, Turn

QUIET = 2  # cycles without faults before the fast method is used again
VOIDS = 10  # sums in a row that a method which has finished takes again
Kind = TypeVar("Kind", bound=Engine)


class Fallback(ABC, Generic[Kind]):
    """`fast` while cycles have no faults, otherwise `robust` (an `Engine`). What it remembers is in `Run.turn`.

    Args:
        fast: Newton's method, which moves x only in the last round of a cycle, or a method that moves x in every round.
        robust: a method whose rounds have the same length.
        cycle: the rounds of one step of `fast`.
    """

    def __init__(self, fast: Kind, robust: Kind, cycle: int) -> None:
        self.fast, self.robust, self._cycle = fast, robust, cycle
        self._latest, self._unmoved = fast, False  # of the latest step, for `settled` alone

    @property
    @abstractmethod
    def messages_sent(self) -> int: ...

    @property
    @abstractmethod
    def bytes_sent(self) -> int: ...

    @abstractmethod
    def troubled(self, round: int, rounds: int) -> bool:
        """Whether an exchange in the last `rounds` rounds before `round` is known to have been incomplete."""

    @abstractmethod
    def deserted(self, round: int, rounds: int) -> bool:
        """Whether a peer is known to have been away in the last `rounds` rounds before `round`."""

    @abstractmethod
    def begin(self, to: Kind, run: Run, x: Tensor) -> Run:
        """The run with which engine `to` takes over after `run`, from x (n, d). Everything else is forgotten."""

    def init(self, x: Tensor) -> Run:
        return self.fast.init(x)

    def step(self, run: Run) -> Run:
        turn = run.turn or Turn()
        cycle, begun = divmod(run.round, self._cycle)
        if cycle != turn.cycle:
            run, turn = self._choose(run, turn._replace(cycle=cycle, apart=turn.cycle < 0 < run.round), begun)
        self._latest = self._engine(turn)
        after = self._latest.step(run)
        if not turn.robust and after.round >= (cycle + 1) * self._cycle:
            after, turn = self._conclude(run, after, turn)
        self._unmoved = after.round < turn.unmoved
        return after._replace(turn=turn)

    def rounds(self, run: Run) -> Iterator[Run]:
        while True:
            run = self.step(run)
            yield run

    def disagreement(self, run: Run) -> Tensor:
        return self._engine(run.turn or Turn()).disagreement(run)

    @property
    def over(self) -> bool:
        return self._latest.over

    def unsettle(self) -> bool:
        return self._latest.unsettle()

    def settled(self, converged: Tensor, over: bool = False) -> bool:
        """As for any engine. A peer that did not move because its cycle was discarded has not converged."""
        return self._latest.settled(torch.zeros_like(converged) if self._unmoved else converged, over)

    def _engine(self, turn: Turn) -> Kind:
        return self.robust if turn.robust else self.fast

    def _choose(self, run: Run, turn: Turn, begun: int) -> tuple[Run, Turn]:
        """Choose the method for a cycle that is `begun` rounds old: 0, unless the run joins it later."""
        troubled = self.troubled(run.round, QUIET * self._cycle) and not self._bears(run, turn)
        robust = begun > 0 or troubled
        if robust == turn.robust:
            return run, turn
        turn = turn._replace(robust=robust, apart=True, voids=0)
        return self.begin(self._engine(turn), run, run.state.x), turn

    def _conclude(self, run: Run, after: Run, turn: Turn) -> tuple[Run, Turn]:
        """Use or discard the result of a cycle of the fast method. `after` is the run after the cycle's last round."""
        troubled = self.troubled(after.round, self._cycle)
        turn = turn._replace(voids=turn.voids + 1 if troubled else 0)
        if troubled:
            turn = turn._replace(unmoved=after.round + self._cycle)
            if self._bears(run, turn) and self._bears(after, turn):
                return after, turn
            return self.begin(self.robust, after, run.state.x), turn._replace(robust=True)
        if turn.apart:
            fresh = self.begin(self.fast, after, after.state.x)
            return fresh._replace(replicas=after.replicas, linked=after.linked), turn
        return after, turn

    def _bears(self, run: Run, turn: Turn) -> bool:
        """Whether the fast method goes on in spite of a fault: it has finished with one model, and nobody was away."""
        one = isinstance(run.state, Summing) and run.state.finished and not bool(run.state.apart.any())
        done = not turn.robust and one
        return done and turn.voids < VOIDS and not self.deserted(run.round, QUIET * self._cycle)
