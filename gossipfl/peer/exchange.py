"""One peer's end of all its edges: send, then listen until all awaited peers were heard; must not know models or algorithms.

`waiting` says whom an exchange waits for. Either way a message that seems lost is sent again.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from gossipfl.errors import BadMessage
from gossipfl.peer.inbox import AHEAD, Inbox, Late
from gossipfl.peer.neighbour import Answer, Message
from gossipfl.peer.neighbourhood import REWIRED, Neighbourhood
from gossipfl.peer.patience import LOOPBACK, Patience
from gossipfl.peer.transport import Transport
from gossipfl.peer.waiting import SLICE, LockStep, Tolerant, Waiting
from gossipfl.peer.wire import Header, Opening, encode

log = logging.getLogger(__name__)

AT_ONCE = 256  # messages that are taken in before anything else is done, so that a flood cannot starve a peer
SLOWER = 1.5  # times the last pause: the next pause between two resends
LONGEST = 8  # times the first pause: the longest pause between two resends


class Said(NamedTuple):
    """What all neighbours get in one exchange."""

    number: int = -1
    converged: bytes = b""
    payload: bytes = b""
    robust: bool = False


class StateTransferred(Exception):
    """The study is under way, and a neighbour has sent its state: `payload`, and `number`, the exchange that it is at."""

    def __init__(self, payload: bytes, number: int) -> None:
        super().__init__("the study is under way: a neighbour has sent its state")
        self.payload, self.number = payload, number


def nonce() -> int:
    """A random number for one end of an edge."""
    return secrets.randbits(63) or 1


class Exchange:
    """Lock-step exchanges with neighbours. All peers number them alike; `number` is the one at hand, or the next one.

    Args:
        me: what this peer is called in messages, as all are (see `ident`).
        names: all peers' names, in the order of the topology.
        study: fingerprint of the study, 8 bytes; messages of another study are refused.
        openings: the peers that I share an edge with, and what I bring into sessions with them.
        transport: how frames travel.
        wait: seconds that an exchange may take before a silent neighbour is an error.
        clock: monotonic seconds.
        ahead: messages of each neighbour that may wait here for their turn.
        patience: how long silence is borne where it is no error.
        draw: random nonces for the ends of edges.
    """

    def __init__(
        self,
        me: int,
        names: Mapping[int, str],
        study: bytes,
        openings: Mapping[int, Opening],
        transport: Transport,
        wait: float,
        clock: Callable[[], float] = time.monotonic,
        ahead: int = AHEAD,
        patience: Patience = LOOPBACK,
        draw: Callable[[], int] = nonce,
    ) -> None:
        self.me, self.names, self.transport = me, names, transport
        self.number = 0
        self.messages_sent = self.bytes_sent = self.resent = self.unsent = 0
        self._study, self._clock, self._patience = study, clock, patience
        self._real = self.now = clock()  # `now` stands still while this peer does not listen
        self.neighbours = Neighbourhood(names, openings, patience, draw, self.now)
        graph = next((opens.graph for opens in openings.values()), None)
        self.inbox = Inbox(study, self.neighbours, ahead, graph)
        self.waiting: Waiting = LockStep(names[me], self.neighbours, self.inbox, wait)
        self._transfer: Callable[[], bytes] | None = None
        self._current = self._last = Said()
        self._parting = False

    def tolerate(self) -> None:
        """From here on go on without neighbours that stay silent."""
        if isinstance(self.waiting, LockStep):
            self.waiting = Tolerant(self.neighbours, self.inbox, self.transport, self._patience.probe)

    def begin(self, origin: int, transfer: Callable[[], bytes]) -> None:
        """Learning begins at exchange `origin`, and a newcomer gets what `transfer` returns."""
        self.number = self.neighbours.origin = origin
        self.inbox.graph, self._transfer = None, transfer

    def go_on(self, number: int) -> None:
        """The next exchange has that number."""
        self.number = number

    def swap(
        self,
        number: int,
        to: Sequence[int],
        awaited: Sequence[int],
        payload: bytes,
        converged: bytes = b"",
        lost: int = 0,
        robust: bool = False,
    ) -> list[Message | None]:
        """Send `payload` to the peers `to`, and return the messages of the peers `awaited`, in that order.

        Where missing messages are tolerated, None stands for one that did not come in time, or belongs to another session.

        Args:
            number: of this exchange.
            to, awaited: the receivers, and the senders.
            payload: what all receivers get.
            converged: my stop mask.
            lost: messages that are to be lost on their way: they count as sent, and nobody gets them.
            robust: the payload is the fallback method's.

        Raises:
            Departed: an awaited neighbour said goodbye; where that is tolerated, because the learning diverged.
            NetworkError: one stayed silent for `wait` seconds, or its queue is full; the message names it.
            StateTransferred: nothing was learned yet, and a neighbour says that the study is under way.
        """
        self._elapse(SLICE)
        self.number = number
        self.inbox.advance(number, len(payload), robust)
        self._last, self._current = self._current, Said(number, converged, payload, robust)
        self.neighbours.turn(number, self.now)
        self.waiting.begin(self.now, self._real)
        for peer in to:
            if self.neighbours[peer].due(self.now):
                self._say(peer, self._current)
        self.messages_sent += lost
        self.bytes_sent += lost * (len(payload) + 32)
        if missing := self.waiting.missing(awaited, self.now):
            self._listen(missing)
        elif (seconds := self.waiting.rest(awaited)) is not None:
            self._rest(seconds)
        messages = self.waiting.take(awaited)
        self.number = number + 1
        return messages

    def rewire(self, names: Mapping[int, str], openings: Mapping[int, Opening]) -> None:
        """Go on along other edges, or with another part in them; each remaining neighbour begins a new session."""
        self.names = names
        self._say_goodbye(REWIRED, [peer for peer in self.neighbours if peer not in openings])
        self.neighbours.rewire(names, openings, self.number, self.now)

    def leave(self, reason: str) -> None:
        """Say goodbye to all neighbours, with the reason, so that nobody waits for me."""
        self._say_goodbye(reason, self.neighbours)

    def part(self, seconds: float) -> set[int]:
        """After my goodbye, listen until all neighbours have said theirs, or have no connection; at most so long.

        Meanwhile a neighbour that lacks my last message gets it. Return the neighbours that are gone.
        """
        until, self._last, self._parting = self._clock() + seconds, self._current, True
        while (left := until - self._clock()) > 0 and self.neighbours.keys() - self._gone():
            frames = self.transport.recv(min(left, SLICE))
            if frames is not None:
                self._hear(frames, self.now)
        return self._gone()

    def _gone(self) -> set[int]:
        return self.neighbours.left | self.transport.lost()

    def _say_goodbye(self, reason: str, peers: Iterable[int]) -> None:
        for peer in peers:
            edge = self.neighbours[peer].edge
            header = Header(
                self._study, self.me, self.number, leaving=reason, mine=edge.mine, yours=edge.yours
            )
            goodbye = encode(header)
            for _ in range(self.waiting.goodbyes):
                if self.transport.send(peer, [goodbye, b""]):
                    self.messages_sent += 1
                    self.bytes_sent += len(goodbye)

    def _elapse(self, most: float) -> None:
        """The clock goes on, but not by more than was meant to pass: a peer that was stopped blames nobody."""
        real = self._clock()
        self.now += min(real - self._real, most)
        self._real = real

    def _say(self, peer: int, what: Said, again: bool = False) -> None:
        one = self.neighbours[peer]
        edge = one.edge
        header = Header(
            self._study, self.me, what.number, converged=what.converged, mine=edge.mine, yours=edge.yours, last=edge.last,
            used=edge.used, rumours=self.neighbours.rumours, opens=None if edge.named else edge.opens, robust=what.robust,
        )  # fmt: skip
        frames = [encode(header), what.payload]
        one.called = self.now
        if not self.transport.send(peer, frames):
            if not again:
                self.waiting.refused(one.name)
            self.unsent += 1
        elif again:
            self.resent += 1
        else:
            self.messages_sent += 1
            self.bytes_sent += len(frames[0]) + len(what.payload)

    def _listen(self, missing: list[int]) -> None:
        """Until nobody is missing, or `waiting` raises an error."""
        waiting = self.waiting
        began, first = self.now, min(self.neighbours[peer].delays.again for peer in missing)
        pause = first
        call, look = began + pause, began + waiting.pace
        while missing:
            left = min(call, look) - self.now
            frames = self.transport.recv(left) if left > 0 else None
            self._elapse(max(left, 0.0) + SLICE / 10)
            if frames is not None:
                self._hear(frames, began, missing)
            if self.now >= look:
                look = self.now + waiting.pace
                waiting.look(missing, self.now, began)
            if self.now >= call:
                pause = min(SLOWER * pause, LONGEST * first)
                call = self.now + pause
                for peer in missing:
                    self._say(peer, self._current, again=True)
            missing = waiting.missing(missing, self.now)

    def _rest(self, seconds: float) -> None:
        """Nobody is missing: hear those that may come back, for so long at least."""
        began, until = self.now, self.now + seconds
        for _ in range(AT_ONCE):
            left = max(min(until - self.now, SLICE), 0.0)
            frames = self.transport.recv(left)
            self._elapse(left + SLICE / 10)
            if frames is not None:
                self._hear(frames, began)
            elif self.now >= until:
                return

    def _hear(self, frames: list[bytes], began: float, missing: Sequence[int] = ()) -> None:
        """One message: into the inbox, and what it says of its sender."""
        twice = False
        try:
            header = self.inbox.put(frames)
        except Late as message:
            header = message.header
            twice = header.number == self.number
        except BadMessage as error:
            log.warning("refused a message: %s", error.told(self.names))
            return
        if header is None:
            return
        if header.transfer:
            if not self.neighbours.origin and not self._parting:
                raise StateTransferred(frames[1], header.number)
            return
        peer = header.sender
        lacked = peer in missing and self.number not in self.neighbours[peer].early
        last = self._last.number
        match self.neighbours.hear(header, self.number, last, lacked, self.now, began, twice):
            case Answer.CURRENT:
                self._say(peer, self._current, again=True)
            case Answer.LAST:
                self._say(peer, self._last, again=True)
            case Answer.TRANSFER if self._transfer:
                hello = Header(self._study, self.me, self.number, transfer=True)
                self.transport.send(peer, [encode(hello), self._transfer()])
