"""What a peer says to its neighbours, first and again; must not know when, nor what it hears."""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gossipfl.peer.neighbourhood import Neighbourhood
from gossipfl.peer.rumours import Rumours
from gossipfl.peer.transport import Transport
from gossipfl.peer.wire import MAIN, Header, encode

KEPT = 4  # messages to each neighbour that may be sent again; along a tree nobody is further ahead of one that lacks them
HEADER = 32  # bytes that are counted for the header of a message that is to be lost


class Said(NamedTuple):
    """What all neighbours get in one exchange."""

    number: int = -1
    converged: bytes = b""
    payload: bytes = b""
    method: int = MAIN


NOTHING = Said()


class Outbox:
    """The messages of one peer.

    Args:
        me: what this peer is called in messages.
        study: fingerprint of the study, 8 bytes.
        neighbours: the receivers, with their sessions.
        transport: how frames travel.

    The attribute `current` is what is said in the exchange at hand, and `roster` the hash of the keys of secure sums: once
    there are some, it is in the header of every exchange (not of goodbyes and state transfers).
    """

    def __init__(self, me: int, study: bytes, neighbours: Neighbourhood, transport: Transport) -> None:
        self._me, self._study, self._neighbours, self._transport = me, study, neighbours, transport
        self.messages = self.bytes = self.resent = self.unsent = 0
        self.roster = b""
        self.current = NOTHING
        self._to: Sequence[int] = ()
        # What each neighbour was sent last, before `current`.
        self._sent: dict[int, deque[Said]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._parted: dict[int, int] = {}  # the nonces of those that I said goodbye to

    def begin(self, said: Said, to: Sequence[int], lost: int = 0) -> None:
        """An exchange begins: the neighbours `to` get that; `lost` more messages count as sent, and nobody gets them."""
        self.remember()
        self.current, self._to = said, to
        self.messages += lost
        self.bytes += lost * (len(said.payload) + HEADER)

    def remember(self) -> None:
        """What is said in the exchange at hand belongs to the past."""
        for peer in self._to:
            self._sent[peer].append(self.current)

    def before(self, peer: int, number: int | None) -> Said:
        """What a neighbour was sent in exchange `number`, if that is kept; else the last thing before the present exchange."""
        sent = self._sent.get(peer)
        if not sent:
            return NOTHING
        return next((said for said in sent if said.number == number), sent[-1])

    def say(self, peer: int, what: Said, now: float, again: bool = False) -> bool:
        """Send that to a neighbour, for the first time or again; return whether the transport takes it."""
        one = self._neighbours[peer]
        edge = one.edge
        header = encode(Header(
            self._study, self._me, what.number, converged=what.converged, mine=edge.mine, yours=edge.yours, last=edge.last,
            used=edge.used, rumours=self._neighbours.rumours, opens=None if edge.named else edge.opens, method=what.method,
            roster=self.roster,
        ))  # fmt: skip
        one.called = now
        if not again:
            one.told = True
        if not self._transport.send(peer, [header, what.payload]):
            self.unsent += 1
            return False
        if again:
            self.resent += 1
        else:
            self.messages += 1
            self.bytes += len(header) + len(what.payload)
        return True

    def transfer(self, peer: int, number: int, state: bytes) -> None:
        """Send the state of the exchange `number` to a newcomer."""
        edge = self._neighbours[peer].edge
        hello = Header(self._study, self._me, number, transfer=True, mine=edge.mine, yours=edge.yours)
        self._transport.send(peer, [encode(hello), state])

    def goodbye(
        self,
        reason: str,
        peers: Iterable[int],
        number: int,
        rumours: Rumours,
        times: int = 1,
        state: bytes = b"",
    ) -> None:
        """Say goodbye to these peers, so many times, with the reason and the state, if any."""
        for peer in peers:
            edge = self._neighbours[peer].edge
            self._parted[peer] = edge.yours
            header = encode(Header(
                self._study, self._me, number, leaving=reason, mine=edge.mine, yours=edge.yours, rumours=rumours
            ))  # fmt: skip
            for _ in range(times):
                if self._transport.send(peer, [header, state]):
                    self.messages += 1
                    self.bytes += len(header) + len(state)

    @property
    def unaware(self) -> list[int]:
        """The neighbours whose nonce I did not know when I said goodbye: they do not believe it."""
        return [
            peer
            for peer, one in self._neighbours.items()
            if self._parted.get(peer) not in (None, one.edge.yours)
        ]
