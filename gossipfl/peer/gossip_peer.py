"""A live gossiping peer: its life in real time, and the engine that experiments drive; must not know models or experiments.

No thread, no lock, no sleep: the transport buffers while we compute.
"""

import logging
import time
from collections.abc import Callable, Iterator

from torch import Tensor

from gossipfl.engine import Run
from gossipfl.errors import BadMessage
from gossipfl.gossip.cycles import after, from_last, world
from gossipfl.gossip.world import SENT, World
from gossipfl.peer.check import is_card
from gossipfl.peer.gossiper import Gossiper, Post
from gossipfl.peer.limits import RefusalLog
from gossipfl.peer.transport import Transport

log = logging.getLogger(__name__)

WHOLE = 0.001  # sockets wait whole milliseconds, rounded down: one more, or the last one is a busy loop
AT_ONCE = 1024  # messages taken in before anything else is done, so that a flood cannot starve a peer


def live(
    gossiper: Gossiper,
    transport: Transport,
    period: float,
    clock: Callable[[], float] = time.monotonic,
    lived: int = 0,
    refuse: Callable[[BadMessage], None] | None = None,
) -> Iterator[World]:
    """Listen until the next wake-up, learn, send; yield the peer's run, once a `period` or more often, without end.

    A message that the transport refuses (the neighbour is stopped, or far behind) is lost, and counted. The run's tensors are
    the peer's own, and go on changing.

    Args:
        gossiper: the peer.
        transport: how frames travel; it stays open.
        period: mean seconds between two wake-ups.
        clock: monotonic seconds.
        lived: periods of this peer before this call.
        refuse: called with the error of each message that is refused; default: the log has it.
    """
    refusal = RefusalLog(log)
    refuse = refuse or (lambda error: refusal(str(error), clock()))
    began, tick = clock() - lived * period, period / gossiper.ticks

    def post(posts: list[Post]) -> None:
        for to, frames in posts:
            if not transport.send(to, frames):
                gossiper.undelivered()

    while True:
        left = began + gossiper.due * tick - clock()
        timeout = min(left + WHOLE, period) if left > 0 and not gossiper.waiting else 0.0
        for _ in range(AT_ONCE):
            frames = transport.recv(timeout)
            if frames is None:
                break
            timeout = 0.0
            if is_card(frames):  # of a neighbour that only checks
                continue
            try:
                post(gossiper.heard(frames, transport.sender))
            except BadMessage as error:
                refuse(error)
        if gossiper.waiting:
            post(gossiper.learned())
        now = int((clock() - began) / tick)
        if now >= gossiper.due:
            post(gossiper.woke(now))
        yield gossiper.run


class GossipPeer:
    """One peer of gossip learning in real time (an `Engine` with n = 1), a round being a cycle.

    A cycle is a `period` of the peer's own clock, whatever happens in it. The run's tensors are the peer's own, and go on
    changing.

    Args:
        gossiper: the peer.
        transport: how frames travel.
        period: seconds, the mean time between two wake-ups.
        clock: monotonic seconds.
        refuse: called with the error of each message that is refused; default: the log has it.
    """

    def __init__(
        self,
        gossiper: Gossiper,
        transport: Transport,
        period: float,
        clock: Callable[[], float] = time.monotonic,
        refuse: Callable[[BadMessage], None] | None = None,
    ) -> None:
        self.gossiper, self.period = gossiper, period
        self._transport, self._clock, self._refuse = transport, clock, refuse

    @property
    def messages_sent(self) -> int:
        return int(self.gossiper.run.tally[0, SENT])

    @property
    def bytes_sent(self) -> int:
        return self.gossiper.bytes_sent

    def init(self, x: Tensor) -> Run:
        state = self.gossiper.run
        state.x[:], state.last[:] = x, x
        return Run(0, state, None)

    def step(self, run: Run) -> Run:
        return next(self.rounds(run))

    def rounds(self, run: Run) -> Iterator[Run]:
        self.gossiper.run = world(run)
        round, began = run.round, self._clock() - run.round * self.period
        for state in live(self.gossiper, self._transport, self.period, self._clock, round, self._refuse):
            lived = int((self._clock() - began) / self.period)
            while round < lived:  # more than one where a single update took so long
                round += 1
                yield after(round, state)

    def disagreement(self, run: Run) -> Tensor:
        return from_last(run)

    @property
    def over(self) -> bool:
        return False

    def unsettle(self) -> bool:
        return False

    def settled(self, converged: Tensor, over: bool = False) -> bool:
        return over

    def leave(self, reason: str) -> None:
        """Say goodbye to the neighbours that are there, with the reason, so that they send nothing more."""
        for to, frames in self.gossiper.leave(reason):
            self._transport.send(to, frames)
