"""Two methods as one engine: the fast one while nothing is wrong, the hardy one else; must not know either of them.

Newton's method needs averages to which everybody contributes, through whole cycles of exchanges. Word of an exchange that
was incomplete (`broken`) travels with the very messages in which the harm travels, a hop an exchange: who has not heard of it
by the end of a cycle has averages that it did not reach, and whoever has does not use his. All peers change over at the same
ends of cycles, once the last trouble is so long ago that all have heard of it.
"""

from collections.abc import Iterator

from torch import Tensor

from gossipfl.engine import Run
from gossipfl.peer.engine import Peer

QUIET = 2  # cycles without trouble, before the fast method is used again


class Fallback:
    """`fast` in quiet cycles, else `hardy` from the x that all hold (an `Engine`).

    Args:
        fast, hardy: over the same exchange, each with one exchange a round.
        cycle: rounds of a step of the fast one, in which word reaches everybody.
        absent, agreed: as for `Peer.tolerate`; the hardy one's edges weigh what was agreed.
    """

    def __init__(self, fast: Peer, hardy: Peer, cycle: int, absent: float, agreed: bool = False) -> None:
        self.fast, self.hardy = fast, hardy
        self._cycle, self._absent, self._agreed = cycle, absent, agreed
        self._now, self._epoch = fast, -1
        self._x: Tensor | None = None  # where the cycle began
        fast.tolerate(absent)

    @property
    def messages_sent(self) -> int:
        return self.fast.messages_sent

    @property
    def bytes_sent(self) -> int:
        return self.fast.bytes_sent

    def init(self, x: Tensor) -> Run:
        return self.fast.init(x)

    def step(self, run: Run) -> Run:
        epoch, begun = divmod(run.round, self._cycle)
        if epoch != self._epoch:
            self._epoch = epoch
            run = self._turn(run, begun)
            self._x = run.state.x
        after = self._now.step(run)
        if self._now is self.fast and after.round >= (epoch + 1) * self._cycle and self._trouble(1):
            return self._change(self.hardy, after.round, self._x)
        return after

    def rounds(self, run: Run) -> Iterator[Run]:
        while True:
            run = self.step(run)
            yield run

    def disagreement(self, run: Run) -> Tensor:
        return self._now.disagreement(run)

    def settled(self, calm: Tensor, over: bool = False) -> bool:
        return self._now.settled(calm, over)

    def _turn(self, run: Run, begun: int) -> Run:
        """A cycle begins, or it is met `begun` rounds old: by which method?"""
        fits = self.fast if not begun and not self._trouble(QUIET) else self.hardy
        return run if fits is self._now else self._change(fits, run.round, run.state.x)

    def _trouble(self, cycles: int) -> bool:
        """Whether an exchange of the last so many cycles is known to have been incomplete."""
        exchange = self.fast.exchange
        return exchange.around.broken > 0 and exchange.around.broken >= exchange.tick - cycles * self._cycle

    def _change(self, to: Peer, round: int, x: Tensor | None) -> Run:
        assert x is not None
        self._now = to
        if to is self.hardy:  # its accounts begin at 0, at both ends of each edge
            to.exchange.around.renew()
            to.tolerate(self._absent, self._agreed)
        return to.init(x)._replace(round=round)
