"""Who has spoken, about which exchange; must not know sockets, clocks or models.

Sans-IO: messages are put in as they come, in any order, from anybody; what belongs to the exchange at hand is taken out
when it is complete. Memory is bounded: of each neighbour's messages only the nearest are kept.
"""

from collections.abc import Iterable
from typing import NamedTuple

from gossipfl.errors import BadMessage
from gossipfl.peer.wire import Header, decode, gossips

AHEAD = 64  # messages of a neighbour that are kept: on links that never change there are never more than two


class Message(NamedTuple):
    header: Header
    payload: bytes


class Late(BadMessage):
    """A neighbour's honest message that comes too late, or again: it has no use, but its header may tell something."""

    def __init__(self, what: str, header: Header) -> None:
        super().__init__(what, header.sender)
        self.header = header


class Inbox:
    """One peer's inbox.

    Args:
        study: this study's fingerprint, 8 bytes.
        neighbours: the peers that may speak to me at all.
        ahead: messages of each that are kept. Where links change, a neighbour may be as many rounds ahead of me as word of
            me takes to reach it.
        graph: fingerprint of the topology, while peers of another one are not to be listened to: as long as all agree.
    """

    def __init__(
        self, study: bytes, neighbours: Iterable[int], ahead: int = AHEAD, graph: bytes | None = None
    ) -> None:
        self.tick = 0
        self.refused = self.late = 0
        self.strangers: dict[int, str] = {}  # neighbours that were heard but not understood, and why
        self.gone: dict[int, str] = {}  # neighbours that said goodbye, and why
        self.heard: dict[int, int] = {}  # the latest exchange that each neighbour spoke of
        self.graph = graph
        self._study, self._ahead = study, ahead
        self._later = gossips(study)
        self._size, self._robust = 0, False
        self._early: dict[int, dict[int, Message]] = {peer: {} for peer in neighbours}

    def put(self, frames: list[bytes]) -> Header | None:
        """Take in one message, and say what its header says; None of one that is of no use yet.

        Raises:
            Late: it comes too late, or again. Like any other BadMessage, but with the header.
            BadMessage: it is none of ours, and changes nothing but the count of those refused.
        """
        try:
            return self._put(frames)
        except Late:
            self.late += 1
            raise
        except BadMessage:
            self.refused += 1
            raise

    def _put(self, frames: list[bytes]) -> Header | None:
        if len(frames) != 2:
            raise BadMessage(f"a message of {len(frames)} frames; it should have 2")
        header = decode(frames[0])
        box = self._early.get(header.sender)
        if box is None:
            raise BadMessage("is not my neighbour", header.sender)
        if header.study == self._later:  # it has agreed, and gossips; I am not so far, and can do without
            return None
        if header.study != self._study:
            self.strangers[header.sender] = "it runs another experiment: compare the two experiment files"
            raise BadMessage("takes part in another study", header.sender)
        if self.graph and header.opens and header.opens.graph != self.graph:
            self.strangers[header.sender] = "its topology is another one: compare the two files"
            raise BadMessage("has another topology", header.sender)
        if header.leaving:
            self.gone[header.sender] = header.leaving
            return header
        if header.welcome:
            return header
        self.gone.pop(header.sender, None)  # it is back
        furthest = max(box) if len(box) >= self._ahead else None
        self.heard[header.sender] = header.tick
        if header.tick < self.tick or (furthest is not None and header.tick > furthest):
            raise Late(f"speaks of exchange {header.tick}, and I am at {self.tick}", header)
        if header.tick == self.tick and not self._fits(header, frames[1]):
            self.strangers[header.sender] = "its messages have another length than mine"
            raise Late(
                f"sent {len(frames[1])} bytes; this exchange has {self._size}, all of one method",
                header,
            )
        if header.tick in box:
            raise Late(f"speaks twice of exchange {header.tick}", header)
        if furthest is not None:
            del box[furthest]
            self.refused += 1
        box[header.tick] = Message(header, frames[1])
        return header

    def _fits(self, header: Header, payload: bytes) -> bool:
        """Whether a message of this exchange is what I can make use of."""
        return len(payload) == self._size and header.robust == self._robust

    def rewire(self, neighbours: Iterable[int]) -> None:
        """Other peers may speak to me from here on; what is kept of the others is forgotten."""
        self._early = {peer: self._early.get(peer, {}) for peer in neighbours}
        self.heard = {peer: tick for peer, tick in self.heard.items() if peer in self._early}

    def missing(self, awaited: Iterable[int]) -> list[int]:
        """Those of `awaited` that have not yet spoken about this exchange."""
        return [peer for peer in awaited if self.tick not in self._early[peer]]

    def take(self, awaited: Iterable[int]) -> list[Message]:
        """The messages of this exchange, in the order of `awaited`; KeyError where one is missing."""
        return [self._early[peer].pop(self.tick) for peer in awaited]

    def has(self, peer: int) -> bool:
        """Whether a neighbour has spoken about this exchange."""
        return self.tick in self._early[peer]

    def taken(self, peer: int) -> Message | None:
        """A neighbour's message of this exchange, if there is one."""
        return self._early[peer].pop(self.tick, None)

    def advance(self, tick: int, size: int, robust: bool = False) -> None:
        """Go on to a later exchange, whose payloads have `size` bytes, and forget what came before it.

        `robust`: they are of the method that goes on while something is wrong.
        """
        self.tick, self._size, self._robust = tick, size, robust
        for peer, box in self._early.items():
            for old in [t for t in box if t < tick]:
                del box[old]
            if tick in box and not self._fits(*box[tick]):
                del box[tick]
                self.refused += 1
                self.strangers[peer] = "its messages have another length than mine"
