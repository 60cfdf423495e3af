"""A live gossiping peer as the engine that experiments drive, a cycle for each round; must not know experiments."""

import time
from collections.abc import Callable, Iterator, Mapping

from torch import Tensor

from gossipfl.engine import Run
from gossipfl.gossip.cycles import after, from_last, world
from gossipfl.gossip.world import SENT
from gossipfl.peer.asynchronous import live
from gossipfl.peer.gossiper import Gossiper
from gossipfl.peer.transport import Transport


class GossipPeer:
    """One peer of gossip learning in real time (an `Engine` with n = 1).

    A cycle is a `period` of its own clock, whatever happened in it. A run's memory is the peer's own, and goes on changing.

    Args:
        gossiper: who lives.
        transport: how frames travel.
        period: seconds, the mean time between two wake-ups.
        clock: monotonic seconds.
        names: of the peers, by what messages call them, for the log.
    """

    def __init__(
        self,
        gossiper: Gossiper,
        transport: Transport,
        period: float,
        clock: Callable[[], float] = time.monotonic,
        names: Mapping[int, str] | None = None,
    ) -> None:
        self.gossiper, self.period = gossiper, period
        self._transport, self._clock, self._names = transport, clock, names

    @property
    def messages_sent(self) -> int:
        return int(self.gossiper.run.tally[0, SENT])

    @property
    def bytes_sent(self) -> int:
        return self.gossiper.bytes_sent

    @property
    def refused(self) -> int:
        return self.gossiper.refused

    def init(self, x: Tensor) -> Run:
        state = self.gossiper.run
        state.x[:], state.last[:] = x, x
        return Run(0, state, None)

    def step(self, run: Run) -> Run:
        return next(self.rounds(run))

    def rounds(self, run: Run) -> Iterator[Run]:
        self.gossiper.run = world(run)
        round, began = run.round, self._clock() - run.round * self.period
        for state in live(self.gossiper, self._transport, self.period, self._clock, round, self._names):
            lived = int((self._clock() - began) / self.period)
            while round < lived:  # more than one where a single update took so long
                round += 1
                yield after(round, state)

    def disagreement(self, run: Run) -> Tensor:
        return from_last(run)

    def settled(self, converged: Tensor, over: bool = False) -> bool:
        return over

    def leave(self, reason: str) -> None:
        """Tell the neighbours that are left that I go, and why, so that they send me nothing more."""
        for to, frames in self.gossiper.leave(reason):
            self._transport.send(to, frames)
