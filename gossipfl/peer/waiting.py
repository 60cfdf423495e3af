"""Whom an exchange waits for, and what silence means; must not know headers, models or algorithms.

Two classes with the same methods: `LockStep` waits for everybody; `Tolerant` goes on without neighbours that stay silent, for
methods that bear missing messages.
"""

import logging
from collections.abc import Callable, Sequence

from gossipfl.errors import Absent, Departed, Ended, NetworkError
from gossipfl.peer.inbox import Inbox
from gossipfl.peer.neighbour import TO_THE_END, UP, Health, Message
from gossipfl.peer.neighbourhood import Neighbourhood
from gossipfl.peer.transport import Transport
from gossipfl.peer.wire import ATTEMPT

log = logging.getLogger(__name__)

SLICE = 0.05  # seconds of silence between two looks at the connections
# Seconds that a neighbour may be silent once it was there: by default, and at least.
ABSENT, LEAST = 60.0, 5.0
PARTS = 1.0  # seconds for which a neighbour that learned to the end still answers, as its last message may be lost
STILL = 10.0  # times so many seconds: so long one may say that it is there, and not go on
GRACE, TELLS = 2.0, 2.0  # seconds until it is told who is missing, and between two such lines
SILENT = "are they running, or have they ended already, and are their endpoints in the topology file right?"


class LockStep:
    """Everybody is waited for, and silence is an error in the end. Who is missing, and why, is told as news.

    Args:
        me: this peer's name.
        neighbours, inbox: who speaks, and what is let in.
        transport: which knows connections.
        wait: seconds within which each neighbour must be there for the first time.
        absent: seconds for which a neighbour that was there may be silent.
        idle: called each second, while somebody is missing.
    """

    goodbyes = 1  # how often a goodbye is sent to each neighbour
    pace = 1.0  # seconds until `look`, while somebody is missing
    alive = True  # answer those that have gone on and ask again, so that they know that I am there

    def __init__(
        self,
        me: str,
        neighbours: Neighbourhood,
        inbox: Inbox,
        transport: Transport,
        wait: float,
        absent: float = ABSENT,
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._me, self._neighbours, self._inbox, self._transport = me, neighbours, inbox, transport
        self._wait, self._absent, self._idle = wait, max(absent, LEAST), idle
        self.pace = min(self.pace, wait)
        self._since, self._told, self._next = -1.0, "", 0.0
        self._together = False  # once as many exchanges are over as there are peers, each peer was there

    def begin(self, now: float, real: float) -> None:
        """The inbox's exchange begins, at this time of the patient clock and of the real one."""
        if self._since < 0:
            self._since = now
        self._together |= self._inbox.number % ATTEMPT >= len(self._neighbours.names)
        if self._told and all(one.met for one in self._neighbours.values()):
            self._told = ""
            log.info("all neighbours are there")

    def refused(self, name: str) -> None:
        """The transport does not take a message to that neighbour. Raises NetworkError."""
        raise NetworkError(f"neighbour {name} takes no more messages: it is stopped, or far behind")

    def missing(self, awaited: Sequence[int], now: float) -> list[int]:
        """Those of `awaited` that are still waited for. Raises Departed where one of them has left."""
        missing = self._inbox.missing(awaited)
        for peer in missing:
            one = self._neighbours[peer]
            # One that was interrupted while all agree may come back.
            back = self._inbox.agreeing and one.goodbye == "interrupted"
            parts = one.goodbye in TO_THE_END and now - one.since < PARTS
            if one.health is Health.LEFT and not (back or parts):
                raise Departed(one.name, one.goodbye)
        return missing

    def look(self, missing: Sequence[int], now: float, began: float) -> None:
        """Tell who is missing. Raises NetworkError where one has been silent for too long."""
        self._idle()
        late: dict[float, list[int]] = {}
        for peer in self.missing(missing, now):
            one = self._neighbours[peer]
            heard = began if one.strange else max(one.heard, began)
            most, since = (self._absent, heard) if one.met else (self._wait, self._since)
            if now - since >= most:
                late.setdefault(most, []).append(peer)
            elif self._together and now - began >= STILL * most:
                late.setdefault(STILL * most, []).append(peer)
                one.strange = one.strange or "it repeats itself and does not go on"
        for most, silent in late.items():
            names = ", ".join(self._neighbours[peer].name for peer in silent)
            known = "; ".join(why for peer in silent if (why := self._why(peer)))
            number = self._inbox.number % ATTEMPT
            raise Absent(
                f"{self._me}: no answer from {names} for {most:g} s (exchange {number}): {known or SILENT}",
                silent,
            )
        if now >= max(self._next, began + GRACE):
            self._next = now + TELLS
            self._tell(missing)

    def _tell(self, missing: Sequence[int]) -> None:
        """News of who is missing and who is there, if they have changed.

        One whose messages come may still be out of reach, if it dials me and I dial it where it does not listen.
        """
        away = [peer for peer in missing if not self._neighbours[peer].met or self._transport.why(peer)]
        there = [one.name for peer, one in self._neighbours.items() if one.met and peer not in away]
        parts = [self._why(peer) or f"{self._neighbours[peer].name} is not there yet" for peer in away]
        told = "; ".join(
            [*parts, *([f"{', '.join(there)} {'are' if there[1:] else 'is'} there"] if there else [])]
        )
        if away and told != self._told:
            self._told = told
            log.info("%s", told)

    def _why(self, peer: int) -> str:
        """What is known of a neighbour that is missing, as a sentence; "" if nothing is."""
        one = self._neighbours[peer]
        if one.goodbye:
            return f"{one.name} left ({one.goodbye})"
        if one.strange:
            return f"{one.name} was heard, but {one.strange}"
        why = self._transport.why(peer) or ("was there, and says nothing any more" if one.met else "")
        return f"{one.name} {why}" if why else ""

    def rest(self, awaited: Sequence[int]) -> float | None:
        """Seconds to go on listening although nobody is missing; None: do not listen at all."""
        return None

    def take(self, awaited: Sequence[int]) -> list[Message | None]:
        """The messages of this exchange, in that order; None for one that cannot be used."""
        return list(self._inbox.take(awaited))

    def ahead(self, least: int) -> dict[int, int]:
        """The exchanges to which neighbours may lead me that have gone on without me, if one is `least` or later."""
        return {}


class Tolerant:
    """Neighbours that stay silent hold nobody up.

    Args:
        neighbours, inbox: as in lock-step.
        transport: which knows connections.
        probe: seconds that an exchange of a peer takes which has been alone from the beginning.
        alone: seconds for which a peer that comes back waits until somebody answers, before it goes on alone.
    """

    goodbyes = 3  # nobody can ask for a lost one
    pace = SLICE
    alive = False

    def __init__(
        self,
        neighbours: Neighbourhood,
        inbox: Inbox,
        transport: Transport,
        probe: float,
        alone: float = 0.0,
    ) -> None:
        self._neighbours, self._inbox, self._transport, self._probe = neighbours, inbox, transport, probe
        self._alone, self._waits, self._since = alone, alone > 0, -1.0
        self._began, self._usual, self._whole = 0.0, 0.0, False  # of the last exchange, and seconds of one
        self._unheard: list[int] = []  # in the last exchange

    def begin(self, now: float, real: float) -> None:
        if self._whole:
            self._usual += (real - self._began - self._usual) / 8
        self._began = real
        if self._since < 0:
            self._since = now
        if self._unheard or not self._neighbours.healthy:
            self._attend(now)
            self._neighbours.suspect(self._unheard, now, waits=self._waits)

    def refused(self, name: str) -> None:
        return

    def missing(self, awaited: Sequence[int], now: float) -> list[int]:
        neighbours, number = self._neighbours, self._inbox.number
        missing = [
            peer
            for peer in awaited
            if number not in (one := neighbours[peer]).early and one.awaited(number, now)
        ]
        if not missing and self._waits and not any(one.health is UP for one in self._neighbours.values()):
            return list(self._neighbours)
        return missing

    def look(self, missing: Sequence[int], now: float, began: float) -> None:
        """Look after neighbours that do not answer, each `pace` seconds."""
        self._attend(now)
        self._neighbours.suspect(missing, now, began, self._waits)

    def _attend(self, now: float) -> None:
        """Look after neighbours that do not answer.

        Raises:
            Ended: this peer waits, and all others have ended.
        """
        waits = self._alone if self._waits else 0.0
        for peer in self._neighbours.attend(self._transport.lost(), now, self._inbox.number, waits):
            self._transport.forget(peer)
        if self._waits:
            if (ended := self._neighbours.ended) is not None:
                raise Ended(ended.name, ended.last_words)
            if now - self._since >= self._alone:
                self._waits = False
                self._neighbours.go_on_alone(self._inbox.number)

    def rest(self, awaited: Sequence[int]) -> float | None:
        """As in lock-step; where neighbours do not answer, hear those that may come back.

        A peer that is alone takes as long as an exchange usually takes. Then a peer that was never together with anybody,
        because it came back first, does not run ahead of those that follow.
        """
        if self._neighbours.healthy:
            return None
        alone = awaited and not any(self._neighbours[peer].health is UP for peer in awaited)
        return (self._usual or self._probe) if alone else 0.0

    def take(self, awaited: Sequence[int]) -> list[Message | None]:
        neighbours, number = self._neighbours, self._inbox.number
        messages = [neighbours.use(peer, number) for peer in awaited]
        self._whole = None not in messages
        self._unheard = (
            []
            if self._whole
            else [peer for peer, came in zip(awaited, messages, strict=True) if came is None]
        )
        if self._waits and any(messages):
            self._waits = False
            self._neighbours.go_on_alone(self._inbox.number)
        return messages

    def ahead(self, least: int) -> dict[int, int]:
        return self._neighbours.ahead(least)


Waiting = LockStep | Tolerant
