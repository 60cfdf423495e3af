"""One peer's end of all its edges: send, listen until everybody awaited was heard; must not know models or algorithms."""

import logging
import time
from collections.abc import Callable, Sequence

from gossipfl.errors import BadMessage, Departed, NetworkError
from gossipfl.peer.inbox import AHEAD, Inbox, Message
from gossipfl.peer.transport import Transport
from gossipfl.peer.wire import Header, encode

log = logging.getLogger(__name__)


class Exchange:
    """Lock-step exchanges with neighbours, numbered by a tick that all peers count alike.

    Args:
        me: this peer's number.
        names: all peers' names, by number.
        study: fingerprint of the study, 8 bytes; peers of another one are not listened to.
        neighbours: the peers that I share an edge with.
        transport: how frames travel.
        wait: seconds that an exchange may take before a silent neighbour is given up.
        clock: monotonic seconds.
        ahead: messages of each neighbour that may wait here for their turn.
    """

    def __init__(
        self,
        me: int,
        names: Sequence[str],
        study: bytes,
        neighbours: Sequence[int],
        transport: Transport,
        wait: float,
        clock: Callable[[], float] = time.monotonic,
        ahead: int = AHEAD,
    ) -> None:
        self.me, self.names, self.neighbours, self.wait = me, names, neighbours, wait
        self.tick = 0
        self.messages_sent = self.bytes_sent = 0
        self.inbox = Inbox(study, neighbours, ahead)
        self._study, self._transport, self._clock = study, transport, clock

    def swap(
        self,
        tick: int,
        to: Sequence[int],
        awaited: Sequence[int],
        payload: bytes,
        calm: bytes = b"",
        lost: int = 0,
    ) -> list[Message]:
        """Send `payload` to the peers `to`, and return the messages of the peers `awaited`, in that order.

        `lost` counts messages that are to be lost on their way: they cost what they cost, and nobody gets them.

        Raises:
            Departed: an awaited neighbour said goodbye.
            NetworkError: one stayed silent for `wait` seconds, or its queue is full; the message says who.
        """
        self.inbox.advance(tick, len(payload))
        frames = [encode(Header(self._study, self.me, tick, calm)), payload]
        for peer in to:
            if not self._transport.send(peer, frames):
                raise NetworkError(
                    f"neighbour {self.names[peer]} takes no more messages: it is stopped, or far behind"
                )
        self.messages_sent += len(to) + lost
        self.bytes_sent += (len(to) + lost) * (len(frames[0]) + len(payload))
        missing = self.inbox.missing(awaited)
        if missing:
            self._listen(awaited, missing)
        self.tick = tick + 1
        return self.inbox.take(awaited)

    def leave(self, reason: str) -> None:
        """Tell all neighbours that I go before the end, and why, so that nobody waits for me."""
        goodbye = encode(Header(self._study, self.me, self.tick, b"", reason))
        for peer in self.neighbours:
            if self._transport.send(peer, [goodbye, b""]):
                self.messages_sent += 1
                self.bytes_sent += len(goodbye)

    def _listen(self, awaited: Sequence[int], missing: list[int]) -> None:
        deadline = self._clock() + self.wait
        while missing:
            for peer in missing:
                if peer in self.inbox.gone:
                    raise Departed(self.names[peer], self.inbox.gone[peer])
            left = deadline - self._clock()
            frames = self._transport.recv(left) if left > 0 else None
            if frames is None:
                raise NetworkError(self._silence(missing))
            try:
                self.inbox.put(frames)
            except BadMessage as error:
                log.warning("refused a message: %s", error)
            missing = self.inbox.missing(missing)

    def _silence(self, missing: Sequence[int]) -> str:
        """Who did not answer, and what is known of why."""
        names = ", ".join(self.names[peer] for peer in missing)
        known = [
            f"{self.names[peer]} was heard, but {why}"
            for peer, why in self.inbox.strangers.items()
            if peer in missing
        ]
        silent = "are they running, and are their endpoints in the topology file right? A longer peers.wait helps slow ones"
        return (
            f"{self.names[self.me]}: no answer from {names} for {self.wait:g} s (exchange {self.inbox.tick}): "
            + ("; ".join(known) or silent)
        )
