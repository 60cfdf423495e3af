"""All neighbours of a peer, and what spreads among them; must not know sockets.

Sans-IO: the caller passes headers and the time, and carries out the answer.
"""

import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import structs

from gossipfl.algorithms import halved
from gossipfl.peer.limits import Limits, RefusalLog
from gossipfl.peer.neighbour import LOUD, TO_THE_END, UP, Answer, Health, Message, Neighbour
from gossipfl.peer.patience import Patience
from gossipfl.peer.rumours import NONE, SHORTEST, Here
from gossipfl.peer.wire import Header, Opening, attempt

log = logging.getLogger(__name__)

REWIRED = "rewired"  # goodbye of a peer that has lost the edge to me, and goes on
ENDED = "no neighbour answers: the others may have ended already, or have not begun"
WAITS = "this peer waits for an answer"


class Neighbourhood(dict[int, Neighbour]):
    """One peer's neighbours, by what messages call them.

    Args:
        names: all peers' names.
        openings: the peers that I share an edge with, and what I bring into sessions with them.
        patience: how long silence is borne.
        draw: random nonces for the ends of edges.
        now: the time.
        limits: what messages may say.
        refusal: logs what is not believed.
    """

    def __init__(
        self,
        names: Mapping[int, str],
        openings: Mapping[int, Opening],
        patience: Patience,
        draw: Callable[[], int],
        now: float,
        limits: Limits,
        refusal: RefusalLog,
    ) -> None:
        self.names, self._patience, self._draw, self.limits = names, patience, draw, limits
        self._refusal, self.disbelieved = refusal, 0  # words that were not believed
        self.me = -1  # what messages call this peer
        self.rumours = NONE
        self.origin = 0  # the exchange at which learning began; before that nobody is a newcomer
        self.opened = 0  # sessions that neighbours have begun so far
        # The smallest learning rate that one of them has asked for, and who; 0: none has.
        self.step, self.asker = 0.0, ""
        self.ready = False  # this peer was converged lately, so that all may have settled
        self._real = now  # the time, which goes on while this peer does not listen
        self._turns = (-1, now), (-1, now)  # when the last exchange and this one began
        super().__init__({peer: self._met(peer, opens, now) for peer, opens in openings.items()})

    def _met(self, peer: int, opens: Opening, now: float) -> Neighbour:
        return Neighbour(self.names[peer], opens, self._patience, self._draw, now)

    def turn(self, number: int, now: float, real: float) -> None:
        """An exchange begins, at this time of the patient clock and of the real one."""
        self._turns, self._real = (self._turns[1], (number, now)), real

    def disbelieve(self, one: Neighbour, why: str, now: float) -> None:
        """A part of what a message says is not believed."""
        self.disbelieved += 1
        self.refuse(one, why, now)

    def refuse(self, one: Neighbour, why: str, now: float) -> None:
        """A neighbour's message is refused, or a part of it: name the neighbour. `why` goes on after its name."""
        one.refused, one.refusal = one.refused + 1, why
        self._refusal(f"{one.name} {why}", now)

    def spread(self, broken: int = 0, depth: int = 0, over: bool = False, aside: int = 0) -> None:
        """Something that I found out, and that all peers are to know."""
        self.rumours = self.rumours.join(broken, depth, over, aside=aside)

    def _cut(self, peer: int, number: int, cut: bool) -> None:
        """The edge to that neighbour is cut, or whole again: all peers are to know that."""
        self.rumours = self.rumours.join(cuts=((*self._ends(peer), 2 * number + cut),))

    def _mended(self, peer: int, number: int) -> None:
        ends = self._ends(peer)
        if ends in self.rumours.cut:  # perhaps in this exchange, or in a later one of the other end's
            latest = max(when // 2 for *edge, when in self.rumours.cuts if tuple(edge) == ends)
            self._cut(peer, max(number, latest) + 1, cut=False)

    def _ends(self, peer: int) -> tuple[int, int]:
        """The edge to that neighbour, as rumours call it."""
        return min(self.me, peer), max(self.me, peer)

    def hear(
        self,
        one: Neighbour,
        header: Header,
        number: int,
        last: int,
        lacked: bool,
        now: float,
        began: float,
        twice: bool = False,
    ) -> Answer:
        """Take in a neighbour's header, and return what to answer.

        Args:
            one: the neighbour.
            header: what it says.
            number: the exchange at hand.
            last: the exchange before it in which I sent the neighbour something.
            lacked: the neighbour's message of this exchange is awaited, and was not there before.
            now: the time.
            began: when this exchange began.
            twice: the neighbour has said the same before.
        """
        there, mine = header.number, header.yours == one.edge.mine
        if header.leaving or (there > number and attempt(there) > attempt(number)):
            return self._apart(one, header, now)
        met = one.reached >= 0
        if mine:
            one.reached, one.life = there, header.mine
        self._session(one, header, now, early=there > number)
        rumours = header.rumours
        if mine and rumours not in (self.rumours, NONE):
            self._rumoured(one, header, number, now)
        if header.last >= there - 1 and header.last >= 0:
            self._used(one, header.last, number, now)
        if one.hear(now):
            if one.failures <= LOUD:
                log.info("%s %s", one.name, "is back" if met else "is there")
            if self.rumours.cuts:
                self._mended(header.sender, number)
            if there >= self.origin:
                return Answer.CURRENT
        ahead = there > number and lacked
        stuck = there == last == one.repeated < self.origin  # it has mine, and lacks another one's
        if ((twice and not ahead) or there == last < number) and not stuck:
            return one.again(Answer.CURRENT, now) if twice else one.again(Answer.LAST, now, last)
        if there == number:
            one.abreast()
            one.delays.late(now - began)
        elif ahead:
            return one.ahead(now)
        elif there < self.origin:
            return one.newcomer(now)
        return Answer.NOTHING

    def _apart(self, one: Neighbour, header: Header, now: float) -> Answer:
        """The sender takes no part in this exchange, nor in later ones."""
        edge = one.edge
        if not header.leaving:  # it agrees, and does not know that we learn
            self._session(one, header, now, early=True)
            return one.newcomer(now)
        # A stranger knows neither nonce of a session. One that I send nothing to cannot know mine.
        known = one.life or (0 if one.told else edge.yours)
        if header.yours == edge.mine or header.mine == known != 0:
            self._leaves(one, header, now)
        else:
            one.strange = f"it said goodbye ({header.leaving})"
        return Answer.NOTHING

    def _used(self, one: Neighbour, which: int, number: int, now: float) -> None:
        """The neighbour has used my message of exchange `which`, and goes on."""
        if which == number:
            one.owes = number
        for turn, when in self._turns:
            if turn == which:
                one.delays.answered(now - when)

    def _rumoured(self, one: Neighbour, header: Header, number: int, now: float) -> None:
        """What a neighbour knows of others, within bounds."""
        timely = self._timely(one) if header.rumours.over else True
        aside = max(0, min(self.limits.aside, header.number - self.origin))
        here = Here(number, self.limits.last, len(self.names), timely, aside)
        # While I still agree, no exchange has been aside.
        said = header.rumours if self.limits.aside else structs.replace(header.rumours, aside=0)
        for why in said.absurd(here):
            self.disbelieve(one, why, now)
        # What I pass on is never more than fits before my own exchange.
        known = max(0, min(aside, number - self.origin))
        self.rumours = self.rumours.heard(said, here._replace(aside=known))

    def _timely(self, one: Neighbour) -> bool | None:
        """Whether the time can be up, as that neighbour says; None: nearly.

        Either most of it has passed here, or all neighbours that are there say so to a peer that came late.
        """
        one.over = True
        least, most = self.limits.over
        there = [other for other in self.values() if other.health in (UP, Health.SUSPECTED)]
        together = least == -math.inf and all(other.over for other in there)
        return True if together or self._real >= most else None if self._real >= least else False

    def _leaves(self, one: Neighbour, header: Header, now: float) -> None:
        why = header.leaving
        if one.health is not Health.LEFT:
            log.info("%s %s", one.name, "is no neighbour any more" if why == REWIRED else f"left: {why}")
        one.leave(header, now)

    @property
    def settled(self) -> bool:
        """Whether all have settled, as a neighbour says, and as can be, since this peer has converged, too."""
        return self.ready and any(one.settled for one in self.values())

    def _left(self, peer: int, one: Neighbour, now: float, number: int) -> None:
        """Look after a neighbour that said goodbye: whether it has learned to the end, this peer judges by itself."""
        if one.finished or one.resends(number, now):
            return
        near = self.ready or number >= self.limits.end - len(self.names)
        one.finished = near and one.goodbye in TO_THE_END
        if not one.finished:
            one.settled = False
            if one.edge.yours:
                one.edge.quit()
                self._cut(peer, number, cut=True)

    def attend(self, lost: Collection[int], now: float, number: int, waits: float = 0.0) -> list[int]:
        """Look after neighbours that do not answer, `lost` being those without a connection; return those given up now.

        `waits`: this peer has come back, and waits so many seconds until one of them answers.
        """
        given_up = []
        for peer, one in self.items():
            if one.health is Health.LEFT:
                self._left(peer, one, now, number)
                continue
            one.connected(peer not in lost, now)
            if one.overdue(now):
                if one.reached >= 0:
                    log.warning(
                        "%s is given up: %s", one.name, "no connection" if one.lost >= 0 else "silent"
                    )
                else:
                    log.info("%s is not there yet", one.name)
                one.give_up(now)
                self.spread(number, len(self.names) - 1)
                if not waits:
                    self._cut(peer, number, cut=True)
                given_up.append(peer)
        if given_up and all(one.health is Health.DOWN and one.reached < 0 for one in self.values()):
            most = "" if math.isinf(waits) else f", {waits:g} s at most"
            log.info("%s%s", ENDED, f"; {WAITS}{most}" if waits else "")
        return given_up

    def go_on_alone(self, number: int) -> None:
        """This peer waits for no more answers: it goes on without those that it has not learned with."""
        for peer, one in self.items():
            if one.health is Health.DOWN or (one.health is Health.SUSPECTED and one.edge.last < 0):
                self._cut(peer, number, cut=True)

    @property
    def ended(self) -> Neighbour | None:
        """A neighbour that said that it learned to the end, where nobody is left to learn with."""
        if any(one.health in (UP, Health.SUSPECTED) for one in self.values()):
            return None
        ends = [one for one in self.values() if one.health is Health.LEFT and one.goodbye in TO_THE_END]
        return max(ends, key=lambda one: bool(one.last_words and one.last_words.payload), default=None)

    def suspect(
        self, peers: Sequence[int], now: float, began: float | None = None, waits: bool = False
    ) -> None:
        """Do not wait any longer for those of the peers that are later than they ever were.

        Args:
            peers, now: who has not been heard in this exchange, and the time.
            began: when this exchange did; None: they are not awaited in it, and silent for so long.
            waits: this peer has come back, and waits until one of them answers.
        """
        for peer in peers:
            one = self[peer]
            since = max(one.heard if began is None else began, one.since)
            if one.health is UP and now - since >= one.limit:
                one.suspect(now)
                if one.edge.last < 0 and not waits:  # none of its messages was used: I learn without it
                    self._cut(peer, self._turns[1][0], cut=True)
                if one.failures <= LOUD:
                    log.warning("%s does not answer: not awaited until it speaks again", one.name)

    def use(self, peer: int, number: int) -> Message | None:
        """Its message of this exchange, if there is one that belongs to the session."""
        one = self[peer]
        early = one.early.get(number)
        if early and early.header is not one.edge.read:
            self._session(one, early.header, self._turns[1][1])
        used = one.use(number)
        if used is None or not one.edge.alike:
            self.spread(broken=number)
        if used is not None:
            one.together = self._real
        return used

    def _session(self, one: Neighbour, header: Header, now: float, early: bool = False) -> None:
        """What a header says of our session, and of how it begins."""
        before = one.edge.yours
        one.edge.hear(header, early)
        if one.edge.yours != before:
            self._opens(one, now)

    def _opens(self, one: Neighbour, now: float) -> None:
        """A neighbour has begun a session."""
        self.opened += 1
        asked, agreed = one.edge.theirs.step, self.limits.step
        if 0 < asked < SHORTEST * agreed:
            shortest = SHORTEST * agreed
            self.disbelieve(one, f"asks for a step of {asked:.1g}; the shortest one is {shortest:.1g}", now)
        elif asked:
            step = halved(agreed or asked, asked)
            if not 0 < self.step <= step:
                self.step, self.asker = step, one.name

    def drop(self, peer: int, number: int, what: str, now: float) -> None:
        """Its message of this exchange, which I have used, cannot be used after all: it counts as lost."""
        one = self[peer]
        one.strange = f"it sent {what}"
        self.refuse(one, f"sent {what}", now)
        if one.edge.last == number:
            one.edge.drop(number)
            self.spread(broken=number)

    def ahead(self, least: int) -> dict[int, int]:
        """The exchanges to which neighbours may lead me, which spoke of them to me and nobody else, if one is `least` or later.

        A neighbour is followed as far as another one is. Alone it leads me on only if I was apart from it, for as long as it
        takes at least to suspect me; and then not into the last part of the study.
        """
        for one in self.values():
            if one.reached >= least:
                break
        else:
            return {}
        reached = {peer: one.reached for peer, one in self.items() if one.reached >= 0 and one.health is UP}
        if len(reached) < 2:
            return reached
        known, further = sorted(reached.values())[-2:]
        if further > known:
            peer = max(reached, key=lambda peer: reached[peer])
            apart = self._real - self[peer].together > self._patience.suspect
            reached[peer] = max(known, min(further, self.limits.alone)) if apart else known
        return reached

    @property
    def weights(self) -> dict[int, float]:
        """The weights of my edges."""
        return {peer: one.edge.weight for peer, one in self.items()}

    @property
    def left(self) -> set[int]:
        """The neighbours that said goodbye."""
        return {peer for peer, one in self.items() if one.health is Health.LEFT}

    @property
    def healthy(self) -> bool:
        """Whether all neighbours answer."""
        for one in self.values():  # noqa: SIM110 -- asked twice in each exchange
            if one.health is not UP:
                return False
        return True

    def whole(self, now: float, absent: float) -> bool:
        """Whether all neighbours are up but those that said goodbye, or were given up `absent` seconds ago."""
        return self.healthy or all(
            one.health in (UP, Health.LEFT) or (one.health is Health.DOWN and now - one.since >= absent)
            for one in self.values()
        )

    def rewire(
        self, names: Mapping[int, str], openings: Mapping[int, Opening], number: int, now: float
    ) -> None:
        """Other edges, or another part in them, from exchange `number` on: a new session with everybody."""
        self.names = names
        for peer in self.keys() - openings.keys():
            del self[peer]
        for peer, opens in openings.items():
            if peer in self:
                self[peer].edge.give_up(opens)
            else:
                self[peer] = self._met(peer, opens, now)
                self[peer].become(Health.SUSPECTED, now)  # nobody waits for a peer that has never spoken
        self.opened += 1
        self.spread(number, len(names) - 1)

    def renew(self) -> None:
        """Begin a new session with everybody."""
        for one in self.values():
            one.edge.give_up()

    def forget(self, which: int) -> None:
        """Learning belongs to that attempt to agree: what neighbours said in other ones leads nowhere."""
        for one in self.values():
            for number in [number for number in one.early if attempt(number) != which]:
                del one.early[number]
            if attempt(one.spoke) != which:
                one.spoke = -1
            if attempt(one.reached) != which:
                one.reached = -1

    def unread(self) -> None:
        """Nobody keeps accounts: drop the news of exchanges."""
        for one in self.values():
            one.edge.told.clear()
