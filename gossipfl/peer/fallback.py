"""Two methods of one live peer, of which one bears faults; must not know either of them.

News of an incomplete exchange (`Rumours.broken`) travels in the same messages as its harm, one hop an exchange. At the end of
a cycle, a peer that has not heard of it has averages that the harm did not reach; a peer that has heard of it discards its
averages. All peers change the method at the same ends of cycles: once the last trouble is so long ago that all know of it.
"""

from torch import Tensor

from gossipfl.engine import Run
from gossipfl.fallback import Fallback
from gossipfl.peer.engine import Peer


class PeerFallback(Fallback[Peer]):
    """`fast` in quiet cycles, else `robust` (an `Engine`); both over the same exchange, with one exchange a round.

    Args:
        fast, robust, cycle: as for any fallback; news reaches everybody within a cycle.
        absent, agreed: as for `Peer.tolerate`; `agreed` holds for the edges of the robust method.
    """

    def __init__(self, fast: Peer, robust: Peer, cycle: int, absent: float, agreed: bool = False) -> None:
        super().__init__(fast, robust, cycle)
        self._absent, self._agreed = absent, agreed
        fast.tolerate(absent)

    @property
    def messages_sent(self) -> int:
        return self.fast.messages_sent

    @property
    def bytes_sent(self) -> int:
        return self.fast.bytes_sent

    def troubled(self, round: int, rounds: int) -> bool:
        exchange = self.fast.exchange
        broken = exchange.neighbours.rumours.broken
        return broken > 0 and broken >= exchange.number - rounds

    def deserted(self, round: int, rounds: int) -> bool:
        exchange = self.fast.exchange
        cuts = exchange.neighbours.rumours.cuts
        return any(when % 2 or when // 2 >= exchange.number - rounds for _, _, when in cuts)

    def begin(self, to: Peer, run: Run, x: Tensor) -> Run:
        if to is self.robust:  # its accounts begin at 0, at both ends of each edge
            to.exchange.neighbours.renew()
            to.tolerate(self._absent, self._agreed, robust=True)
        return to.init(x)._replace(round=run.round)
