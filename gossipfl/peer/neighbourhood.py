"""What a peer knows of its neighbours: who is there, in which session, and what is wrong anywhere; must not know sockets.

Sans-IO: headers and the time are told, and what is to be done about it is answered.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto

from gossipfl.peer.edge import Edge
from gossipfl.peer.inbox import Inbox, Message
from gossipfl.peer.patience import Patience, Watch
from gossipfl.peer.wire import Header, Opening

log = logging.getLogger(__name__)

REWIRED = "rewired"  # goodbye of who has lost the edge to me, and goes on
TO_THE_END = "settled", "done"  # goodbyes of who learned to the end: what it contributed stays as it is
FAR = 64  # exchanges beyond the one spoken of that "broken" may name


class Answer(Enum):
    """What a neighbour is to be told at once."""

    NOTHING = auto()
    CURRENT = auto()  # my message of this exchange
    LAST = auto()  # that of the last one, which it seems to lack
    WELCOME = auto()  # what was agreed before it was there


class Neighbourhood:
    """One peer's neighbours.

    Args:
        names: all peers' names.
        neighbours: the peers that I share an edge with, and what I bring into sessions with them.
        patience: how long silence is borne.
        draw: random numbers for the ends of edges.
        now: the time.
    """

    def __init__(
        self,
        names: Mapping[int, str],
        neighbours: Mapping[int, Opening],
        patience: Patience,
        draw: Callable[[], int],
        now: float,
    ) -> None:
        self.names, self._patience, self._draw = names, patience, draw
        self.edges = {peer: Edge(draw, opens) for peer, opens in neighbours.items()}
        self.watches = {peer: Watch(patience, now) for peer in neighbours}
        self.broken = 0  # no exchange after this one is known to have been incomplete, anywhere
        self.depth = 0  # hops within which all peers are reached, at least, since some are missing
        self.over = False  # somebody's time is up
        self.origin = 0  # the exchange at which learning began; until then nobody can be welcomed
        self.opened = 0  # sessions that neighbours have begun so far
        self.step = 0.0  # the smallest learning rate that one of them has asked for; 0: none has
        self.diverged: int | None = None  # a neighbour whose learning diverged
        self.reached: dict[int, int] = {}  # what exchange each is at, in words that name my number
        self.settled = False  # a neighbour said goodbye because all had settled
        self._turns = (-1, now), (-1, now)  # when the last exchange and this one began
        self._owes: dict[int, int] = {}  # the exchange that each made use of my message in, and so spoke in
        self._answered: dict[int, float] = {}
        self._nudged: dict[int, tuple[int, float]] = {}
        self._welcomed: dict[int, float] = {}

    def turn(self, tick: int, now: float) -> None:
        """An exchange begins."""
        self._turns = self._turns[1], (tick, now)

    def hear(
        self,
        header: Header,
        tick: int,
        last: int,
        lacked: bool,
        now: float,
        began: float,
        twice: bool = False,
    ) -> Answer:
        """A neighbour's header, heard at exchange `tick` which began at `began`, after exchange `last`.

        `lacked`: its message of this exchange is awaited, and was not there before. `twice`: it said just this before.
        """
        peer, watch = header.sender, self.watches[header.sender]
        if header.leaving:
            self._leaves(header, now)
            return Answer.NOTHING
        arrival = "is back" if peer in self.reached else "is there"
        if header.yours == self.edges[peer].mine:
            self.reached[peer] = header.tick
        self._session(peer, header, early=header.tick > tick)
        self.broken = max(self.broken, min(header.broken, header.tick + FAR))
        self.depth, self.over = max(self.depth, header.depth), self.over or header.over
        if header.last >= max(0, header.tick - 1):
            self._used(peer, header.last, tick, now)
        if watch.hear(now):
            log.info("%s %s", self.names[peer], arrival)
            if header.tick >= self.origin:
                return Answer.CURRENT
        if twice or header.tick == last < tick:
            return self._lacks(peer, Answer.CURRENT if twice else Answer.LAST, now)
        if header.tick == tick:
            watch.late(now - began)
        elif header.tick > tick and lacked:
            return self._ahead(peer, tick, now)
        elif header.tick < self.origin:
            return self._newcomer(peer, now)
        return Answer.NOTHING

    def _ahead(self, peer: int, tick: int, now: float) -> Answer:
        """It goes on, and sees by my message that its own of this exchange was lost."""
        if self._nudged.get(peer, (-1, 0.0))[0] == tick:
            return self._lacks(peer, Answer.CURRENT, now)
        self._nudged[peer] = (tick, now)
        return Answer.CURRENT

    def _used(self, peer: int, which: int, tick: int, now: float) -> None:
        """It made use of my message of exchange `which`, and goes on."""
        if which == tick:
            self._owes[peer] = tick
        for turn, when in self._turns:
            if turn == which:
                self.watches[peer].answered(now - when)

    def _lacks(self, peer: int, what: Answer, now: float) -> Answer:
        """It says again what it said before: something was lost on the way to it, or to me."""
        if now - self._answered.get(peer, float("-inf")) < self._patience.again / 2:
            return Answer.NOTHING
        self._answered[peer] = now
        return what

    def _newcomer(self, peer: int, now: float) -> Answer:
        """It agrees on what was agreed long ago."""
        if now - self._welcomed.get(peer, float("-inf")) < 0.05:
            return Answer.NOTHING
        self._welcomed[peer] = now
        return Answer.WELCOME

    def _leaves(self, header: Header, now: float) -> None:
        peer, why = header.sender, header.leaving
        watch = self.watches[peer]
        if not watch.left:
            log.info(
                "%s %s", self.names[peer], "is no neighbour any more" if why == REWIRED else f"left: {why}"
            )
        watch.leave(why, now)
        if why == "diverged":
            self.diverged = peer
        # One that heard nobody any more, or ended an earlier run, has settled all by itself.
        self.settled |= why == "settled" and self.edges[peer].fits(header)

    def attend(self, lost: set[int], now: float, tick: int) -> list[int]:
        """Look after those that do not answer, `lost` being those without a connection; who is given up just now."""
        given_up = []
        for peer, watch in self.watches.items():
            if watch.left:
                if watch.left not in TO_THE_END:
                    self.edges[peer].quit()
                continue
            if peer not in lost:
                watch.lost = -1.0
            elif watch.lost < 0:
                watch.lost = now
            if watch.overdue(now):
                if peer in self.reached:
                    why = "no connection" if watch.lost >= 0 else "silent"
                    log.warning("%s is given up: %s", self.names[peer], why)
                else:
                    log.info("%s is not there yet", self.names[peer])
                watch.give_up(now)
                self.edges[peer].give_up()
                self.broken, self.depth = max(self.broken, tick), max(self.depth, len(self.names) - 1)
                given_up.append(peer)
        return given_up

    def suspect(self, peers: Sequence[int], now: float, began: float) -> None:
        """Do not wait any longer for those of the peers that are later than they ever were."""
        for peer in peers:
            watch = self.watches[peer]
            if watch.up and now - began >= watch.limit:
                log.warning("%s does not answer: not awaited until it speaks again", self.names[peer])
                watch.suspect(now)

    def awaited(self, peer: int, tick: int, inbox: Inbox, now: float) -> bool:
        """Whether its message of this exchange is still to be waited for."""
        if inbox.has(peer) or not self.watches[peer].up:
            return False
        heard = inbox.heard.get(peer, -1)
        if heard <= tick:
            return heard < tick  # else it came, and is of no use
        if heard == tick + 1 and self._owes.get(peer) == tick:
            return True  # it can say it again
        nudged, when = self._nudged.get(peer, (tick, now))
        return nudged != tick or now - when < self.watches[peer].again

    def use(self, peer: int, tick: int, inbox: Inbox) -> Message | None:
        """Its message of this exchange, if there is one that belongs to the session."""
        message, edge = inbox.taken(peer), self.edges[peer]
        used = None
        if message is not None:
            self._session(peer, message.header)
            if edge.fits(message.header):
                edge.use(tick)
                used = message
        if used is None or edge.theirs.graph != edge.opens.graph:
            self.broken = max(self.broken, tick)
        return used

    def _session(self, peer: int, header: Header, early: bool = False) -> None:
        """What a header says of our session, and of how it begins."""
        edge = self.edges[peer]
        before = edge.yours
        edge.hear(header, early)
        if edge.yours != before:
            self.opened += 1
            if edge.theirs.step and not 0 < self.step <= edge.theirs.step:
                self.step = edge.theirs.step

    @property
    def weights(self) -> dict[int, float]:
        """What my edges weigh."""
        return {peer: edge.weight for peer, edge in self.edges.items()}

    def rewire(
        self, names: Mapping[int, str], neighbours: Mapping[int, Opening], tick: int, now: float
    ) -> None:
        """Other edges, or another part in them, from exchange `tick` on: a new session with everybody."""
        self.names = names
        for peer in self.edges.keys() - neighbours.keys():
            del self.edges[peer], self.watches[peer]
            self.reached.pop(peer, None)
        for peer, opens in neighbours.items():
            if peer in self.edges:
                self.edges[peer].give_up(opens)
            else:
                self.edges[peer], self.watches[peer] = Edge(self._draw, opens), Watch(self._patience, now)
                self.watches[peer].suspect(now)  # nobody waits for one that has never spoken
        self.opened += 1
        self.broken, self.depth = max(self.broken, tick), max(self.depth, len(names) - 1)

    @property
    def healthy(self) -> bool:
        """Whether all neighbours answer, and nobody's learning diverged."""
        return self.diverged is None and all(watch.up for watch in self.watches.values())

    def unread(self) -> None:
        """Nobody keeps accounts: what is new of exchanges is of no use."""
        for edge in self.edges.values():
            edge.told.clear()

    def renew(self) -> None:
        """Begin a new session with everybody."""
        for edge in self.edges.values():
            edge.give_up()

    def whole(self, now: float, absent: float) -> bool:
        """Whether all are there but those that said goodbye, or were given up that many seconds ago."""
        return all(
            watch.up or watch.left or (watch.absent and now - watch.since >= absent)
            for watch in self.watches.values()
        )
