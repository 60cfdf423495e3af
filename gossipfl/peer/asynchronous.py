"""A gossiping peer's life in real time: listen until the next wake-up, learn, send; must not know models or what is said.

No thread, no lock, no sleep: the transport buffers while we compute.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping

from gossipfl.errors import BadMessage
from gossipfl.gossip.world import World
from gossipfl.peer.gossiper import Gossiper, Post
from gossipfl.peer.transport import Transport

log = logging.getLogger(__name__)

WHOLE = 0.001  # sockets wait whole milliseconds, rounded down: without one more we should wait for the last one in a loop
AT_ONCE = (
    1024  # messages that are taken in before anything else is done, so that a flood cannot starve a peer
)


def live(
    gossiper: Gossiper,
    transport: Transport,
    period: float,
    clock: Callable[[], float] = time.monotonic,
    lived: int = 0,
    names: Mapping[int, str] | None = None,
) -> Iterator[World]:
    """The peer's run whenever something may have happened to it, once a `period` or more often, without end.

    A message that the transport does not take (the neighbour stopped, or is far behind) is lost, and counted. The run's
    memory is the peer's own, and goes on changing.

    Args:
        gossiper: who lives.
        transport: how frames travel; it is left open.
        period: mean seconds between two wake-ups.
        clock: monotonic seconds.
        lived: periods that it has lived already.
        names: of the peers, by what messages call them, for the log.
    """
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
            try:
                post(gossiper.heard(frames))
            except BadMessage as error:
                log.warning("refused a message: %s", error.told(names or {}))
        if gossiper.waiting:
            post(gossiper.learned())
        now = int((clock() - began) / tick)
        if now >= gossiper.due:
            post(gossiper.woke(now))
        yield gossiper.run
