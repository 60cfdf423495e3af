"""Two methods of one live peer, of which one bears faults; must not know either of them.

Word of an exchange that was incomplete (`broken`) travels with the very messages in which the harm travels, a hop an exchange:
who has not heard of it by the end of a cycle has averages that it did not reach, and whoever has does not use his. All peers
change over at the same ends of cycles, once the last trouble is so long ago that all have heard of it.
"""

from torch import Tensor

from gossipfl.engine import Run
from gossipfl.fallback import Fallback
from gossipfl.peer.engine import Peer


class PeerFallback(Fallback[Peer]):
    """`fast` in quiet cycles, else `robust` (an `Engine`); both over the same exchange, with one exchange a round.

    Args:
        fast, robust, cycle: as for any; in a cycle word reaches everybody.
        absent, agreed: as for `Peer.tolerate`; the robust one's edges weigh what was agreed.
    """

    def __init__(self, fast: Peer, robust: Peer, cycle: int, absent: float, agreed: bool = False) -> None:
        super().__init__(fast, robust, cycle)
        self._absent, self._agreed = absent, agreed
        fast.tolerate(absent)
        fast.exchange.robust = False

    @property
    def messages_sent(self) -> int:
        return self.fast.messages_sent

    @property
    def bytes_sent(self) -> int:
        return self.fast.bytes_sent

    def troubled(self, round: int, rounds: int) -> bool:
        exchange = self.fast.exchange
        return exchange.around.broken > 0 and exchange.around.broken >= exchange.tick - rounds

    def begin(self, to: Peer, run: Run, x: Tensor) -> Run:
        to.exchange.robust = to is self.robust
        if to is self.robust:  # its accounts begin at 0, at both ends of each edge
            to.exchange.around.renew()
            to.tolerate(self._absent, self._agreed)
        return to.init(x)._replace(round=run.round)
