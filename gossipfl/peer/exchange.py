"""One peer's end of all its edges: send, then listen until all awaited peers were heard; must not know models or algorithms.

`waiting` says whom an exchange waits for. Either way a message that seems lost is sent again.
"""

import logging
import math
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

from gossipfl.errors import BadMessage, NetworkError
from gossipfl.peer.check import Cards, Checker, is_card
from gossipfl.peer.inbox import AHEAD, Inbox, Late, OtherStudy
from gossipfl.peer.limits import ROOMY, Limits, RefusalLog
from gossipfl.peer.neighbour import Answer, Health, Message, Neighbour
from gossipfl.peer.neighbourhood import REWIRED, Neighbourhood
from gossipfl.peer.outbox import NOTHING, Outbox, Said
from gossipfl.peer.patience import LOOPBACK, Patience
from gossipfl.peer.rumours import CERTIFICATES, Rumours
from gossipfl.peer.transport import Transport
from gossipfl.peer.waiting import ABSENT, SLICE, LockStep, Tolerant, Waiting
from gossipfl.peer.wire import ATTEMPT, LAST_ATTEMPT, MAIN, Header, Opening, attempt

log = logging.getLogger(__name__)

AT_ONCE = 256  # messages that are taken in before anything else is done, so that a flood cannot starve a peer
SLOWER = 1.5  # times the last pause: the next pause between two resends
LONGEST = 8  # times the first pause: the longest pause between two resends


class StateTransferred(Exception):
    """The study is under way, and the neighbour `sender` has sent its `state`, of the exchange `number`."""

    def __init__(self, state: Any, number: int, sender: int) -> None:
        super().__init__("the study is under way: a neighbour has sent its state")
        self.state, self.number, self.sender = state, number, sender


class BegunAnew(Exception):
    """A peer began again while all agreed: all agree again, from the exchange that is now at hand."""


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
        wait: seconds within which each neighbour must be there for the first time, where all are needed.
        clock: monotonic seconds.
        ahead: messages of each neighbour that may wait here for their turn.
        patience: how long silence is borne where it is no error.
        draw: random nonces for the ends of edges.
        limits: what messages may say.
        unpack: what a state transfer says; raises BadMessage where this peer cannot use it.
        absent: seconds for which a neighbour that was there may be silent, where all are needed.
        checker: tells neighbours with another study in which settings it differs.
        idle: called each second while this peer waits for one that is needed.

    The attribute `alone` is set for a peer that comes back: for so many seconds it waits until a neighbour answers.
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
        limits: Limits = ROOMY,
        unpack: Callable[[bytes], Any] = bytes,
        absent: float = ABSENT,
        idle: Callable[[], None] = lambda: None,
        checker: Checker | None = None,
    ) -> None:
        self.me, self.names, self.transport, self.alone = me, names, transport, 0.0
        self.number = 0
        self._clock, self._patience = clock, patience
        self._real = self.now = clock()  # `now` stands still while this peer does not listen
        self._refusal = RefusalLog(log)
        self.neighbours = Neighbourhood(names, openings, patience, draw, self.now, limits, self._refusal)
        self.neighbours.me = me
        graph = next((opens.graph for opens in openings.values()), None)
        self.inbox = Inbox(study, self.neighbours, ahead, graph, limits)
        self._unpack, self._distrusted = unpack, set[int]()
        self._cards = Cards(checker, self.neighbours, transport) if checker else None
        self.waiting: Waiting = LockStep(
            names[me], self.neighbours, self.inbox, transport, wait, absent, idle
        )
        self.outbox = Outbox(me, study, self.neighbours, transport)
        self._transfer: Callable[[], bytes] | None = None
        self._parting, self._began = False, self.now
        self._reason = ""  # of my goodbye
        self._last_rumours: Rumours | None = None  # when I said goodbye

    def tolerate(self) -> None:
        """From here on go on without neighbours that stay silent."""
        if isinstance(self.waiting, LockStep):
            self.waiting = Tolerant(
                self.neighbours, self.inbox, self.transport, self._patience.probe, self.alone
            )

    def begin(
        self,
        origin: int,
        transfer: Callable[[], bytes] | None = None,
        exchanges: int | None = None,
        step: float = 0.0,
        elapsed: float | None = 0.0,
        anew: bool = False,
    ) -> None:
        """Learning begins at exchange `origin`, for so many exchanges, with the agreed `step`.

        A newcomer gets what `transfer` returns; nothing, where none is given. For `elapsed` see `Limits.begun`. `anew`: if a
        neighbour begins again, all agree again (`BegunAnew`).
        """
        self.number = self.neighbours.origin = origin
        self.neighbours.forget(attempt(origin))
        if anew:
            limits = self.inbox.limits.begun(origin, self._clock(), None, 0.0, elapsed, 0)
            self.inbox.limits = self.neighbours.limits = limits
            return
        self.inbox.agreeing, self.inbox.graph, self._transfer = False, None, transfer
        aside = CERTIFICATES * len(self.names) * (exchanges or 1).bit_length()
        limits = self.inbox.limits.begun(origin, self._clock(), exchanges, step, elapsed, aside)
        self.inbox.limits = self.neighbours.limits = limits

    def distrust(self, peer: int, why: str) -> bool:
        """A neighbour's state cannot be used: agree again from the beginning, and take no more states from it.

        Return whether another neighbour may send one that can be used.
        """
        self.neighbours.refuse(
            self.neighbours[peer], f"sent a state transfer that cannot be used: {why}", self.now
        )
        self._distrusted.add(peer)
        self.number = attempt(self.number) * ATTEMPT
        return len(self._distrusted) < min(2, len(self.neighbours))

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
        method: int = MAIN,
    ) -> list[Message | None]:
        """Send `payload` to the peers `to`, and return the messages of the peers `awaited`, in that order.

        Where missing messages are tolerated, None stands for one that did not come in time, or belongs to another session.

        Args:
            number: of this exchange.
            to, awaited: the receivers, and the senders.
            payload: what all receivers get.
            converged: my stop mask.
            lost: messages that are to be lost on their way: they count as sent, and nobody gets them.
            method: which one the payload is of.

        Raises:
            Departed: an awaited neighbour said goodbye, and that is not tolerated.
            NetworkError: one did not come, or stayed silent, for too long, or its queue is full; the message names it.
            StateTransferred: nothing was learned yet, and a neighbour says that the study is under way.
            BegunAnew: nothing was learned yet, and all agree again.
            Ended: this peer has come back, and all others have ended.
        """
        self._elapse(SLICE)
        now, outbox, waiting = self.now, self.outbox, self.waiting
        said = Said(number, converged, payload, method)
        self.number, self._began = number, now
        for wrong in self.inbox.advance(number, len(payload), method):
            self._refuse(wrong)
        outbox.begin(said, to, lost)
        self.neighbours.turn(number, now, self._real)
        waiting.begin(now, self._real)
        for peer in to:
            one = self.neighbours[peer]
            if one.due(now) and not outbox.say(peer, said, now):
                waiting.refused(one.name)
        if missing := waiting.missing(awaited, now):
            self._listen(missing)
        elif (seconds := waiting.rest(awaited)) is not None:
            self._rest(seconds)
        messages = waiting.take(awaited)
        self.number = number + 1
        return messages

    def again(self, unusable: Mapping[int, str], awaited: Sequence[int]) -> dict[int, Message | None]:
        """Those peers' messages of the last `swap`, which cannot be used for that reason, count as lost: wait for others.

        Raises what `swap` does.
        """
        number = self.number = self.outbox.current.number
        for peer, why in unusable.items():
            self.inbox.refused += 1
            self.neighbours.drop(peer, number, why, self.now)
        peers = [peer for peer in awaited if peer in unusable]
        if missing := self.waiting.missing(peers, self.now):
            self._listen(missing)
        messages = self.waiting.take(peers)
        self.number = number + 1
        return dict(zip(peers, messages, strict=True))

    def rewire(self, names: Mapping[int, str], openings: Mapping[int, Opening]) -> None:
        """Go on along other edges, or with another part in them; each remaining neighbour begins a new session."""
        self.names = names
        self._say_goodbye(REWIRED, [peer for peer in self.neighbours if peer not in openings])
        self.neighbours.rewire(names, openings, self.number, self.now)

    def shrink(self, names: Mapping[int, str], gone: Set[int]) -> None:
        """Go on in the same sessions, but not with those that are gone: they are strangers from now on."""
        self.names = self.neighbours.names = names
        for peer in self.neighbours.keys() & gone:
            del self.neighbours[peer]

    def retry(self) -> None:
        """All agree again, from the exchange that is now at hand: whoever hears of it takes part."""
        if attempt(self.number) < LAST_ATTEMPT:
            self.number = (attempt(self.number) + 1) * ATTEMPT
            for one in self.neighbours.values():
                one.life = 0

    def conclude(self) -> None:
        """Learning is over: what happens from here on changes nothing that rumours say of it."""
        self._last_rumours = self.rumours

    def leave(self, reason: str) -> None:
        """Say goodbye to all neighbours, with the reason, so that nobody waits for me."""
        self._reason, self._last_rumours = reason, self.rumours
        self._say_goodbye(reason, self.neighbours)

    def refuse(self, error: BadMessage) -> None:
        """A message is refused that came while no exchange was under way: count it, and name its sender."""
        self._elapse(math.inf)
        self.inbox.refused += 1
        self._refuse(error)

    @property
    def refused(self) -> int:
        """Messages that were refused, and words that were not believed."""
        return self.inbox.refused + self.neighbours.disbelieved

    @property
    def refusals(self) -> tuple[str, ...]:
        """A sentence for each neighbour of which something was refused."""
        those = [one for one in self.neighbours.values() if one.refused]
        return tuple(f"{one.name} {one.refusal} ({one.refused:,} refusals)" for one in those)

    @property
    def rumours(self) -> Rumours:
        """What I know of the whole network, or knew when I said goodbye."""
        return self._last_rumours or self.neighbours.rumours

    def part(self, seconds: float) -> set[int]:
        """After my goodbye, listen until all neighbours have said theirs, or have no connection; at most so long.

        Meanwhile a neighbour that lacks my last message gets it, and one that comes back gets my state. Return the neighbours
        that are gone.
        """
        until, self._parting = self._clock() + seconds, True
        self.outbox.remember()
        while (left := until - self._clock()) > 0 and self.neighbours.keys() - self._gone():
            frames = self.transport.recv(min(left, SLICE))
            self._elapse(2 * SLICE)
            if frames is not None:
                self._hear(frames, self.now)
        return self._gone()

    def _gone(self) -> set[int]:
        return self.neighbours.left | self.transport.lost()

    def _say_goodbye(self, reason: str, peers: Iterable[int], state: bytes = b"") -> None:
        self.outbox.goodbye(reason, peers, self.number, self.rumours, self.waiting.goodbyes, state)

    def _elapse(self, most: float) -> None:
        """The clock goes on, but not by more than was meant to pass: a peer that was stopped blames nobody."""
        real = self._clock()
        passed = real - self._real
        self.now += passed if passed < most else most
        self._real = real

    def _listen(self, missing: list[int]) -> None:
        """Until nobody is missing, or `waiting` raises an error."""
        waiting, began, now = self.waiting, self._began, self.now
        first = pause = min([self.neighbours[peer].delays.again for peer in missing])
        call, look = now + pause, began + waiting.pace
        while missing:
            left = (call if call < look else look) - now
            frames = self.transport.recv(left) if left > 0 else None
            self._elapse((left if left > 0 else 0.0) + SLICE / 10)
            if frames is not None:
                self._hear(frames, began, missing)
            now = self.now
            if now >= look:
                look = now + waiting.pace
                waiting.look(missing, now, began)
            if now >= call:
                pause = min(SLOWER * pause, LONGEST * first)
                call = now + pause
                # Where all are needed, one message waits for a peer that is not there: more would fill its queue in time.
                away = self.transport.lost() if waiting.alive else ()
                for peer in missing:
                    if peer not in away:
                        self.outbox.say(peer, self.outbox.current, now, again=True)
            missing = waiting.missing(missing, now)

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
        heard = self._let_in(frames)
        if heard is None:
            return
        header, twice = heard
        peer, number, now = header.sender, self.number, self.now
        one = self.neighbours[peer]
        if self.outbox.roster and header.roster:
            self._same_roster(one, header)
        if self.inbox.agreeing and not self._parting:
            self._under_way(one, header, frames[1])
        if header.transfer:
            return
        if header.leaving and header.yours == one.edge.mine:
            one.last_words = Message(header, frames[1])
        lacked = peer in missing and number not in one.early
        last = self._last(peer, header.number) if header.number < number else NOTHING
        away = one.health
        answer = self.neighbours.hear(one, header, number, last.number, lacked, now, began, twice)
        if self._parting and (unaware := self.outbox.unaware):
            back = away in (Health.DOWN, Health.LEFT) and self._transfer is not None
            self._say_goodbye(self._reason, unaware, self._transfer() if back and self._transfer else b"")
            if back:
                return
        if answer is Answer.NOTHING:
            return
        if answer is Answer.TRANSFER:
            if self._transfer:
                self.outbox.transfer(peer, number, self._transfer())
        else:
            what = self.outbox.current if answer is Answer.CURRENT else last
            if what.number >= 0:
                self.outbox.say(peer, what, now, again=True)

    def _last(self, peer: int, number: int) -> Said:
        """What a neighbour was sent last before this exchange; where all are needed, what it was sent in exchange `number`."""
        return self.outbox.before(peer, number if self.waiting.alive else None)

    def _same_roster(self, one: Neighbour, header: Header) -> None:
        """Raises NetworkError if a neighbour that knows my nonce has other keys of secure sums than I have."""
        here, other = attempt(self.number) == attempt(header.number), header.roster != self.outbox.roster
        if here and other and header.yours == one.edge.mine:
            raise NetworkError(
                f"{one.name} has other keys of secure sums than {self.names[self.me]}: somebody has told them different "
                "ones. All stop, and nothing more is told"
            )

    def _let_in(self, frames: list[bytes]) -> tuple[Header, bool] | None:
        """The header of a message that the inbox lets in, and whether its sender has said the same before."""
        if self._cards and is_card(frames):
            try:
                self._cards.take(frames, self.now)
            except BadMessage as error:
                self.inbox.refused += 1
                self._refuse(error)
            return None
        try:
            header = self.inbox.put(frames, self.transport.sender)
        except Late as late:
            number = late.header.number
            if late.wrong:
                self.neighbours.disbelieve(self.neighbours[late.header.sender], late.what, self.now)
            return late.header, number == self.number or (self.waiting.alive and number > self.number)
        except BadMessage as error:
            self._refuse(error)
            if self._cards and isinstance(error, OtherStudy) and error.sender is not None:
                self._cards.show(error.sender, self.now)
            return None
        return None if header is None else (header, False)

    def _refuse(self, error: BadMessage) -> None:
        """A message is refused."""
        one = None if error.sender is None else self.neighbours.get(error.sender)
        if one:
            self.neighbours.refuse(one, error.what, self.now)
        else:
            self._refusal(error.told(self.names), self.now)

    def _under_way(self, one: Neighbour, header: Header, payload: bytes) -> None:
        """While all agree: raise StateTransferred if others learn already, BegunAnew if all agree again.

        Only a neighbour that knows my nonce is believed.
        """
        if header.yours != one.edge.mine:
            return
        if header.transfer and header.sender in self._distrusted:
            return
        if header.transfer:
            try:
                state = self._unpack(payload)
            except BadMessage as error:
                self.inbox.refused += 1
                self.neighbours.refuse(one, f"sent a state transfer that cannot be used: {error}", self.now)
                return
            raise StateTransferred(state, header.number, header.sender)
        here, there = attempt(self.number), attempt(header.number)
        learns = header.opens is not None and header.opens.step > 0  # it has joined others, in new sessions
        began_again = one.life not in (0, header.mine) and not learns
        one.life = header.mine
        newest = max(there, here + began_again)
        if here < newest <= LAST_ATTEMPT:
            log.info("%s began again while all agree: all agree again", one.name)
            for other in self.neighbours.values():
                other.life = 0
            self.number = newest * ATTEMPT
            raise BegunAnew
