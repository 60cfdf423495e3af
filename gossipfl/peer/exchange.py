"""One peer's end of all its edges: send, listen until everybody awaited was heard; must not know models or algorithms.

Where the method bears it (`tolerant`), a neighbour that stays silent holds nobody up: the exchange goes on without it, and
`around` says what has become of whom. Else everybody is waited for, and silence is an error in the end. Either way a message
that seems to be lost is said again.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from gossipfl.errors import BadMessage, Departed, NetworkError
from gossipfl.peer.inbox import AHEAD, Inbox, Late, Message
from gossipfl.peer.neighbourhood import REWIRED, Answer, Neighbourhood
from gossipfl.peer.patience import LOOPBACK, Patience
from gossipfl.peer.transport import Transport
from gossipfl.peer.wire import Header, Opening, encode

log = logging.getLogger(__name__)

SLICE = 0.05  # seconds of silence between two looks at the connections
AT_ONCE = 256  # messages that are taken in before anything else is done, so that a flood cannot starve a peer
SLOWER = 1.5  # times the last pause, before a message is said again once more
SELDOM = 8  # times the first pause, and a message is said again no more seldom
GOODBYES = 3  # goodbyes to each neighbour: nobody can ask for another one


class Said(NamedTuple):
    """What all neighbours are told in one exchange."""

    tick: int = -1
    converged: bytes = b""
    payload: bytes = b""
    robust: bool = False


class Welcomed(Exception):
    """The study is under way, and a neighbour tells what was agreed: `payload`, and at which exchange it is."""

    def __init__(self, payload: bytes, tick: int) -> None:
        super().__init__("a neighbour says that the study is under way")
        self.payload, self.tick = payload, tick


def number() -> int:
    """A random number for one end of an edge."""
    return secrets.randbits(63) or 1


class Exchange:
    """Lock-step exchanges with neighbours, numbered by a tick that all peers count alike.

    Args:
        me: what this peer is called in messages, as all are (see `ident`).
        names: all peers' names, in the order of the topology.
        study: fingerprint of the study, 8 bytes; peers of another one are not listened to.
        neighbours: the peers that I share an edge with, and what I bring into sessions with them.
        transport: how frames travel.
        wait: seconds that an exchange may take before a silent neighbour is an error.
        clock: monotonic seconds.
        ahead: messages of each neighbour that may wait here for their turn.
        patience: how long silence is borne where it is no error.
        draw: random numbers for the ends of edges.
    """

    def __init__(
        self,
        me: int,
        names: Mapping[int, str],
        study: bytes,
        neighbours: Mapping[int, Opening],
        transport: Transport,
        wait: float,
        clock: Callable[[], float] = time.monotonic,
        ahead: int = AHEAD,
        patience: Patience = LOOPBACK,
        draw: Callable[[], int] = number,
    ) -> None:
        self.me, self.names, self.wait = me, names, wait
        self.tick = 0
        self.messages_sent = self.bytes_sent = self.resent = self.unsent = 0
        self.inbox = Inbox(
            study, neighbours, ahead, next((opens.graph for opens in neighbours.values()), None)
        )
        self.tolerant = False
        self.robust = (
            False  # what is said from here on is of the method that goes on while something is wrong
        )
        self.welcome: Callable[[], bytes] | None = None  # what a newcomer is told
        self.transport = transport
        self._study, self._clock, self._patience = study, clock, patience
        self._real = self.now = clock()  # `now` stands still while this peer does not listen
        self.around = Neighbourhood(names, neighbours, patience, draw, self.now)
        self._current = self._last = Said()
        self._began, self._usual, self._whole = self._real, 0.0, False
        self._parting = False

    def swap(
        self,
        tick: int,
        to: Sequence[int],
        awaited: Sequence[int],
        payload: bytes,
        converged: bytes = b"",
        lost: int = 0,
    ) -> list[Message | None]:
        """Send `payload` to the peers `to`, and return the messages of the peers `awaited`, in that order.

        `lost` counts messages that are to be lost on their way: they cost what they cost, and nobody gets them. Where this is
        `tolerant`, None stands for a message that did not come in time, or belongs to another session.

        Raises:
            Departed: an awaited neighbour said goodbye; where this is tolerant, because the learning diverged.
            NetworkError: one stayed silent for `wait` seconds, or its queue is full; the message says who.
            Welcomed: nothing was learned yet, and a neighbour says that all is agreed.
        """
        self._turn(tick, converged, payload)
        if self.tolerant and not self.around.healthy:
            self._attend()
        for peer in to:
            if self.around.watches[peer].due(self.now):
                self._say(peer, self._current)
        self.messages_sent += lost
        self.bytes_sent += lost * (len(payload) + 32)
        if missing := self._missing(awaited):
            self._listen(missing)
        elif self.tolerant and not self.around.healthy:
            self._idle(bool(awaited) and not any(self.around.watches[peer].up for peer in awaited))
        if not self.tolerant:
            self.tick = tick + 1
            return list(self.inbox.take(awaited))
        messages = [self.around.use(peer, tick, self.inbox) for peer in awaited]
        self.tick = tick + 1
        self._whole = None not in messages
        return messages

    @property
    def heard(self) -> dict[int, int]:
        """The exchange of which each neighbour that answers spoke last, to me and nobody else."""
        return {peer: tick for peer, tick in self.around.reached.items() if self.around.watches[peer].up}

    def rewire(self, names: Mapping[int, str], neighbours: Mapping[int, Opening]) -> None:
        """Go on along other edges, or with another part in them: whoever stays a neighbour begins a new session."""
        self.names = names
        self._say_goodbye(REWIRED, [peer for peer in self.around.edges if peer not in neighbours])
        self.around.rewire(names, neighbours, self.tick, self.now)
        self.inbox.rewire(neighbours)

    def leave(self, reason: str) -> None:
        """Tell all neighbours that I go, and why, so that nobody waits for me."""
        self._say_goodbye(reason, self.around.edges)

    def part(self, seconds: float) -> set[int]:
        """Having said goodbye, listen until all neighbours have, too, or have no connection; at most so long.

        Who ends with all others answers meanwhile whoever lacks its last message. Those that have gone are returned.
        """
        until, self._last, self._parting = self._clock() + seconds, self._current, True
        while (left := until - self._clock()) > 0 and self.around.edges.keys() - self._gone():
            frames = self.transport.recv(min(left, SLICE))
            if frames is not None:
                self._hear(frames, self.now)
        return self._gone()

    def _gone(self) -> set[int]:
        return self.inbox.gone.keys() | self.transport.lost()

    def _say_goodbye(self, reason: str, peers: Iterable[int]) -> None:
        for peer in peers:
            edge = self.around.edges[peer]
            goodbye = encode(Header(self._study, self.me, self.tick, b"", reason, edge.mine, edge.yours))
            for _ in range(GOODBYES if self.tolerant else 1):
                if self.transport.send(peer, [goodbye, b""]):
                    self.messages_sent += 1
                    self.bytes_sent += len(goodbye)

    def _turn(self, tick: int, converged: bytes, payload: bytes) -> None:
        """A new exchange begins."""
        self._elapse(SLICE)
        if self._whole:
            self._usual += (self._real - self._began - self._usual) / 8
        self._began = self._real
        self.inbox.advance(tick, len(payload), self.robust)
        self._last, self._current = self._current, Said(tick, converged, payload, self.robust)
        self.tick = tick
        self.around.turn(tick, self.now)

    def _elapse(self, most: float) -> None:
        """The clock goes on, but not by more than what was meant to pass: who was stopped meanwhile blames nobody."""
        real = self._clock()
        self.now += min(real - self._real, most)
        self._real = real

    def _say(self, peer: int, what: Said, again: bool = False) -> None:
        edge, around = self.around.edges[peer], self.around
        header = Header(
            self._study, self.me, what.tick, what.converged, "", edge.mine, edge.yours, edge.last,
            edge.used, around.broken, around.depth, around.over, False, None if edge.named else edge.opens, what.robust,
        )  # fmt: skip
        frames = [encode(header), what.payload]
        self.around.watches[peer].called = self.now
        if not self.transport.send(peer, frames):
            if not self.tolerant and not again:
                raise NetworkError(
                    f"neighbour {self.names[peer]} takes no more messages: it is stopped, or far behind"
                )
            self.unsent += 1
        elif again:
            self.resent += 1
        else:
            self.messages_sent += 1
            self.bytes_sent += len(frames[0]) + len(what.payload)

    def _missing(self, awaited: Sequence[int]) -> list[int]:
        if not self.tolerant:
            return self.inbox.missing(awaited)
        return [peer for peer in awaited if self.around.awaited(peer, self.tick, self.inbox, self.now)]

    def _listen(self, missing: list[int]) -> None:
        """Until nobody is missing, or the time is up."""
        first = (
            min(self.around.watches[peer].again for peer in missing)
            if self.tolerant
            else self._patience.again
        )
        began, pause, look = self.now, first, self.now + SLICE
        call, deadline = began + pause, began + self.wait
        while missing:
            if not self.tolerant:
                self._departed(missing)
                if self.now >= deadline:
                    raise NetworkError(self._silence(missing))
            left = min(call, look if self.tolerant else deadline) - self.now
            frames = self.transport.recv(left) if left > 0 else None
            self._elapse(max(left, 0.0) + SLICE / 10)
            if frames is not None:
                self._hear(frames, began, missing)
            if self.tolerant and self.now >= look:
                look = self.now + SLICE
                self._attend()
                self.around.suspect(missing, self.now, began)
            if self.now >= call:
                pause = min(SLOWER * pause, SELDOM * first)
                call = self.now + pause
                for peer in missing:
                    self._say(peer, self._current, again=True)
            missing = self._missing(missing)

    def _idle(self, alone: bool) -> None:
        """Nobody is to be waited for: hear those who may come back; and if I am alone, take as long as a round usually does.

        Who was never together with anybody, having come back first, does not run ahead of those who will come, too.
        """
        began, until = self.now, self.now + ((self._usual or self._patience.probe) if alone else 0.0)
        for _ in range(AT_ONCE):
            left = min(until - self.now, SLICE)
            frames = self.transport.recv(max(left, 0.0))
            self._elapse(max(left, 0.0) + SLICE / 10)
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
            twice = header.tick == self.tick
        except BadMessage as error:
            log.warning("refused a message: %s", error.told(self.names))
            return
        if header is None:
            return
        if header.welcome:
            if not self.around.origin and not self._parting:
                raise Welcomed(frames[1], header.tick)
            return
        lacked = header.sender in missing and not self.inbox.has(header.sender)
        match self.around.hear(header, self.tick, self._last.tick, lacked, self.now, began, twice):
            case Answer.CURRENT:
                self._say(header.sender, self._current, again=True)
            case Answer.LAST:
                self._say(header.sender, self._last, again=True)
            case Answer.WELCOME if self.welcome:
                hello = Header(self._study, self.me, self.tick, welcome=True)
                self.transport.send(header.sender, [encode(hello), self.welcome()])

    def _attend(self) -> None:
        """Look after those who do not answer."""
        around = self.around
        if around.diverged is not None:
            raise Departed(self.names[around.diverged], "diverged")
        for peer in around.attend(self.transport.lost(), self.now, self.tick):
            self.transport.forget(peer)

    def _departed(self, missing: Sequence[int]) -> None:
        for peer in missing:
            if peer in self.inbox.gone:
                raise Departed(self.names[peer], self.inbox.gone[peer])

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
