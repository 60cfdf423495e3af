"""Which messages are let in; must not know sockets, clocks or models.

Sans-IO: messages come in any order, from anybody. Each waits with its neighbour until its exchange begins. Memory is bounded:
of each neighbour only the messages of the nearest exchanges are kept.
"""

from collections.abc import Iterable, Mapping

from gossipfl.errors import BadMessage
from gossipfl.peer.limits import ROOMY, Limits
from gossipfl.peer.neighbour import Message, Neighbour
from gossipfl.peer.wire import (
    ASIDE,
    LAST_ATTEMPT,
    MAIN,
    Header,
    OtherVersion,
    attempt,
    authentic,
    decode,
    gossips,
    whole,
)

AHEAD = 64  # messages of a neighbour that are kept: on links that never change there are never more than two
OTHER = "it runs another experiment"
LENGTH = "its messages have another length than mine"


class Late(BadMessage):
    """A neighbour's honest message that comes too late, or again: its payload has no use, but its header is read."""

    def __init__(self, what: str, header: Header, wrong: bool = False) -> None:
        super().__init__(what, header.sender)
        self.header = header
        self.wrong = wrong  # no honest peer sends it, but where rows have other columns or topologies differ


class OtherStudy(BadMessage):
    """A neighbour's message of another study."""


class Inbox:
    """One peer's inbox.

    Args:
        study: this study's fingerprint, 8 bytes.
        neighbours: the peers whose messages are let in, and which keep them.
        ahead: messages of each that are kept. Where links change, a neighbour may be as many rounds ahead of me as word of
            me takes to reach it.
        graph: fingerprint of the topology, as long as peers with another one are refused; None: any topology.
        limits: what messages may say.
    """

    def __init__(
        self,
        study: bytes,
        neighbours: Mapping[int, Neighbour],
        ahead: int = AHEAD,
        graph: bytes | None = None,
        limits: Limits = ROOMY,
    ) -> None:
        self.number = 0
        self.refused = self.late = 0
        self.graph, self.limits = graph, limits
        self.agreeing = True  # nothing is learned yet
        self._neighbours, self._study, self._ahead = neighbours, study, ahead
        self._later = gossips(study)
        self._size, self._method = 0, MAIN

    def put(self, frames: list[bytes], sender: int | None = None) -> Header | None:
        """Take in one message, and return its header; None for a message that is of no use yet.

        `sender` is the peer with whose key the message came; None where links have no keys.

        Raises:
            Late: it comes too late, or again. Like any other BadMessage, but with the header.
            BadMessage: it is not for me, or there is no room for it.
        """
        try:
            return self._put(frames, sender)
        except Late:
            self.late += 1
            raise
        except BadMessage as error:
            self.refused += 1
            raise error.of(sender) from None

    def _put(self, frames: list[bytes], sender: int | None) -> Header | None:
        whole(frames)
        try:
            header = decode(frames[0])
        except OtherVersion as error:
            raise self._of_another_version(error, sender) from None
        authentic(header, sender)
        one = self._neighbours.get(header.sender)
        if one is None:
            raise BadMessage("is not my neighbour", header.sender)
        if header.study == self._later:  # it has agreed, and gossips; I still agree, and do not need it
            return None
        self._belongs(header, one)
        if header.leaving or header.transfer:
            return header
        number, here, early, payload = header.number, self.number, one.early, frames[1]
        if not self.agreeing and number > here and attempt(number) > attempt(here):
            return header  # a newcomer, which agrees anew with others
        furthest = max(early) if len(early) >= self._ahead else None
        one.spoke = number
        if number < here or (furthest is not None and number > furthest):
            raise Late(f"speaks of exchange {number}, and I am at {here}", header)
        if number == here and not self._fits(header, payload):
            one.strange = LENGTH
            raise Late(self._misfit(payload), header, self._judged(header))
        if number in early:
            self._displace(header, one)
        elif furthest is not None:
            del early[furthest]
            self.refused += 1
        if self._takes_room(number, payload):
            self._make_room(header, len(payload))
        early[number] = Message(header, payload)
        if number == here:
            one.met, one.strange = True, ""
        return header

    def _of_another_version(self, error: OtherVersion, sender: int | None) -> OtherVersion:
        """The error for a message of another version; without keys nobody knows whose it is."""
        if sender is None or sender not in self._neighbours:
            return error
        known = OtherVersion(error.version, sender)
        self._neighbours[sender].strange = f"it {known.what}"
        return known

    def _belongs(self, header: Header, one: Neighbour) -> None:
        """Raise BadMessage for a message of another study, over another topology, or of an exchange that there is not."""
        if header.study != self._study:
            one.strange = (
                one.strange if one.strange.startswith(OTHER) else f"{OTHER}: compare the two experiment files"
            )
            raise OtherStudy("takes part in another study", header.sender)
        if self.graph and header.opens and header.opens.graph != self.graph:
            one.strange = "it has another topology: compare the two topology files"
            raise BadMessage("has another topology", header.sender)
        if header.number > self.limits.last and not header.leaving:
            if attempt(self.number) < attempt(header.number) <= LAST_ATTEMPT:
                return  # it agrees, and does not know that I learn
            raise BadMessage(
                f"speaks of exchange {header.number}, which this study does not have", header.sender
            )

    def _displace(self, header: Header, one: Neighbour) -> None:
        """Forget the message of that exchange if its sender does not know my nonce, and this one's does; else raise Late.

        A stranger may have taken the place, or the neighbour itself before it began again.
        """
        number, mine = header.number, one.edge.mine
        if header.yours != mine or one.early[number].header.yours == mine:
            raise Late(f"speaks twice of exchange {number}", header)
        del one.early[number]
        self.late += 1

    def _takes_room(self, number: int, payload: bytes) -> bool:
        """Whether a message counts against a neighbour's room: all but one of this exchange, and one like it of the next."""
        return number > self.number + 1 or len(payload) != self._size

    def _make_room(self, header: Header, size: int) -> None:
        """Forget the furthest of a neighbour's messages of later exchanges, where there is no room.

        Raises BadMessage where there is none for this one, either.
        """
        early = self._neighbours[header.sender].early
        others = {k: len(one.payload) for k, one in early.items() if self._takes_room(k, one.payload)}
        left = self.limits.room - size - sum(others.values())
        while left < 0:
            furthest = max(others, default=-1)
            if furthest < header.number:
                raise BadMessage(f"sends {size:,} bytes of a later exchange: there is no room", header.sender)
            left += others.pop(furthest)
            del early[furthest]
            self.refused += 1

    def _fits(self, header: Header, payload: bytes) -> bool:
        """Whether a message of this exchange can be used."""
        return len(payload) == self._size and header.method == self._method

    def _judged(self, header: Header) -> bool:
        """Whether no honest peer sends a message of this exchange that does not fit.

        Peers may change between methods in different exchanges, and may be at different places of sums beside learning.
        """
        return header.method == self._method != ASIDE

    def _misfit(self, payload: bytes) -> str:
        return f"sent {len(payload)} bytes; this exchange has {self._size}, all of one method"

    def missing(self, awaited: Iterable[int]) -> list[int]:
        """Those of `awaited` whose message of this exchange is not there yet."""
        return [peer for peer in awaited if self.number not in self._neighbours[peer].early]

    def take(self, awaited: Iterable[int]) -> list[Message]:
        """The messages of this exchange, in the order of `awaited`; KeyError where one is missing."""
        for peer in awaited:
            self._neighbours[peer].met = True
        return [self._neighbours[peer].early.pop(self.number) for peer in awaited]

    def advance(self, number: int, size: int, method: int = MAIN) -> list[BadMessage]:
        """Begin a later exchange, whose payloads have `size` bytes and are of that method; forget earlier messages.

        Return the errors of messages that were early, and that no honest peer sends in this exchange.
        """
        self.number, self._size, self._method = number, size, method
        wrong = []
        for one in self._neighbours.values():
            early = one.early
            if not early:
                continue
            for old in [k for k in early if k < number]:
                del early[old]
            if number in early and not self._fits(*early[number]):
                header, payload = early.pop(number)
                one.strange = LENGTH
                if self._judged(header):
                    self.refused += 1
                    wrong.append(BadMessage(self._misfit(payload), header.sender))
                else:
                    self.late += 1
        return wrong
