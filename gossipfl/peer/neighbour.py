"""All that a peer knows of one neighbour: early messages, session, health, delays; must not know sockets or other neighbours.

Sans-IO: the caller passes headers and the time, and carries out the answer.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from gossipfl.peer.edge import Edge
from gossipfl.peer.patience import Delays, Patience
from gossipfl.peer.rumours import FAR
from gossipfl.peer.wire import Header, Opening

NEVER = float("-inf")
LOUD = 3  # how often in a row a neighbour is told of that speaks, but sends nothing that can be used
BACK = 1.0  # seconds after its goodbye: before that a neighbour is not back
RESENDS = 3  # times `Delays.again`: so long one that has learned to the end still resends its last message
TO_THE_END = "settled", "done"  # goodbyes of peers that learned to the end: what they contributed stays
GIVEN_AGAIN = 0.05  # seconds between two state transfers to one newcomer


class Message(NamedTuple):
    header: Header
    payload: bytes


class Answer(Enum):
    """What to send to a neighbour at once."""

    NOTHING = auto()
    CURRENT = auto()  # my message of this exchange
    LAST = auto()  # my message of the last exchange, which it seems to lack
    TRANSFER = auto()  # the state, since it is a newcomer


class Health(Enum):
    """How a neighbour is. Only an UP one is awaited."""

    UP = "up"
    SUSPECTED = "suspected"  # it is late, and not awaited until it speaks again
    DOWN = "down"  # it was given up: silent for long, or without a connection
    LEFT = "left"  # it said goodbye


UP = Health.UP
NEXT = {
    Health.UP: {Health.SUSPECTED, Health.DOWN, Health.LEFT},
    Health.SUSPECTED: {Health.UP, Health.DOWN, Health.LEFT},
    Health.DOWN: {Health.UP, Health.LEFT},
    Health.LEFT: {Health.UP, Health.LEFT},
}


class Neighbour:
    """One neighbour, as this peer sees it.

    Args:
        name: what people call it.
        opens: what I bring into sessions with it.
        patience: how long silence is borne.
        draw: random nonces for my end of the edge.
        now: the time.
    """

    def __init__(
        self, name: str, opens: Opening, patience: Patience, draw: Callable[[], int], now: float
    ) -> None:
        self.name = name
        self.early: dict[int, Message] = {}  # messages of this exchange and of later ones
        self.edge = Edge(draw, opens)
        self.health, self.since = UP, now
        self.delays = Delays(patience)
        self.goodbye = ""  # why it left, if it did
        self.finished = False  # it has learned to the end, and this is believed: what it contributed stays
        self.settled = False  # it says, in our session, that all have settled
        self._passed = -1  # it left before this exchange
        self.last_words: Message | None = None  # its goodbye, with its state if I came back after that
        self.strange = ""  # why its last messages were refused, if they were
        self.refused, self.refusal = 0, ""  # how much of what it said was not believed, and the latest of it
        self.met = False  # whether it has sent a message that fits
        self.failures = 0  # how often it was awaited in vain since its message was last used
        self.over = False  # it says that the time is up
        self.together = now  # when the last exchange began in which its message was used
        self.told = False  # whether it is among those that I send to
        self.life = 0  # the nonce with which it last named mine
        self.spoke = -1  # the latest exchange that it spoke of
        self.reached = -1  # the latest exchange that it spoke of in a message that names my nonce
        self.owes = -1  # the exchange in which it used my message, and so sent its own
        self.heard = self.called = now  # when it last sent something, and when it was last sent something
        self.lost = -1.0  # since when there is no connection; -1: there is one
        self.asked = NEVER  # when it was last sent a card
        self.repeated = -1  # the exchange of which it was last sent my message again, after I had gone on
        self._nudged = NEVER  # since when it is ahead, and was sent mine again for that; NEVER: it is not
        self._answered = self._given = NEVER  # when it was last answered, and last given the state

    def become(self, health: Health, now: float) -> None:
        """Change the health as `NEXT` allows."""
        if health not in NEXT[self.health]:
            raise ValueError(f"{self.name} cannot change from {self.health.value} to {health.value}")
        self.health, self.since = health, now

    def hear(self, now: float) -> bool:
        """It speaks; return whether that makes it up again. While it cannot be reached it does not count as up."""
        self.heard = now
        if self.health is UP:
            self.lost = -1.0
            return False
        gone = self.health is Health.LEFT and now - self.since < BACK
        back = self.lost < 0 and not gone
        if back:
            self.become(UP, now)
            self.goodbye, self.finished, self.settled = "", False, False
        return back

    def leave(self, header: Header, now: float) -> None:
        """It says goodbye."""
        if self.health is not Health.LEFT:
            self.become(Health.LEFT, now)
        self.goodbye, self._passed = header.leaving, header.number
        # A peer that heard nobody any more, or that ended an earlier run, has settled alone: only our session counts.
        self.settled = header.leaving == "settled" and self.edge.fits(header)

    def resends(self, number: int, now: float) -> bool:
        """Whether it has left, and may still resend its message of this exchange."""
        done = (
            self.health is Health.LEFT
            and self.goodbye in TO_THE_END
            and number < self._passed <= number + FAR
        )
        return done and now - self.since < RESENDS * self.delays.again

    def connected(self, there: bool, now: float) -> None:
        """Whether there is a connection to it."""
        self.lost = -1.0 if there else now if self.lost < 0 else self.lost

    def overdue(self, now: float) -> bool:
        """Whether to give it up now: it was silent, or without a connection, for too long."""
        if self.health is Health.DOWN or self.health is Health.LEFT:
            return False
        if self.health is Health.SUSPECTED and now - self.heard >= self.delays.silent:
            return True
        return self.lost >= 0 and now - self.lost >= self.delays.unconnected

    @property
    def limit(self) -> float:
        """How long it is awaited in an exchange: half as long each time that it speaks again, but not of this exchange."""
        return self.delays.limit * 0.5 ** min(self.failures, 20)

    def suspect(self, now: float) -> None:
        """It is later than it ever was: it is not awaited until it speaks again."""
        self.become(Health.SUSPECTED, now)
        self.failures += 1

    def give_up(self, now: float) -> None:
        """Its session ends; it is absent without goodbye."""
        self.become(Health.DOWN, now)
        self.edge.give_up()

    def abreast(self) -> None:
        """It speaks of the exchange at hand."""
        self._nudged = NEVER

    def due(self, now: float) -> bool:
        """Whether to send it a message now: always if it is up, now and then if it does not answer, never if it left."""
        return self.health is UP or (
            self.health is not Health.LEFT and now - self.called >= self.delays.patience.probe
        )

    def awaited(self, number: int, now: float) -> bool:
        """Whether its message of this exchange, which is not there, is still awaited."""
        if self.health is not UP:
            return self.resends(number, now)
        if self.spoke <= number:
            return self.spoke < number  # else the message came, and cannot be used
        if self.spoke == number + 1 and self.owes == number:
            return True  # it can send it again
        return self._nudged == NEVER or now - self._nudged < self.delays.again

    def use(self, number: int) -> Message | None:
        """Its message of this exchange, if there is one that belongs to the session."""
        message = self.early.pop(number, None)
        if message is None or not self.edge.fits(message.header):
            return None
        self.edge.use(number)
        self._nudged, self.failures = NEVER, 0
        return message

    def ahead(self, now: float) -> Answer:
        """It is past the exchange at hand. When it gets my message again, it knows that its own was lost."""
        if self._nudged > NEVER:
            return self.again(Answer.CURRENT, now)
        self._nudged = now
        return Answer.CURRENT

    def again(self, what: Answer, now: float, number: int = -1) -> Answer:
        """It repeats itself: something was lost on the way to it, or to me. Answer, but not too often.

        `number`: the exchange before the one at hand that the answer is of, if it is.
        """
        if now - self._answered < self.delays.patience.again / 2:
            return Answer.NOTHING
        self._answered = now
        self.repeated = max(self.repeated, number)
        return what

    def newcomer(self, now: float) -> Answer:
        """It still agrees on what was agreed long ago."""
        if now - self._given < GIVEN_AGAIN:
            return Answer.NOTHING
        self._given = now
        return Answer.TRANSFER
