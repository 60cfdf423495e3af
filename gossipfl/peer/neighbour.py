"""All that a peer knows of one neighbour: early messages, session, health, delays; must not know sockets or other neighbours.

Sans-IO: the caller passes headers and the time, and carries out the answer.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from gossipfl.peer.edge import Edge
from gossipfl.peer.patience import Delays, Patience
from gossipfl.peer.wire import Header, Opening

NEVER = float("-inf")
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
        self.last_words: Message | None = None  # its goodbye, with its state if I came back after that
        self.strange = ""  # why its last messages were refused, if they were
        self.met = False  # whether it has sent a message that fits
        self.told = False  # whether it is among those that I send to
        self.life = 0  # the nonce with which it last named mine
        self.spoke = -1  # the latest exchange that it spoke of
        self.reached = -1  # the latest exchange that it spoke of in a message that names my nonce
        self.owes = -1  # the exchange in which it used my message, and so sent its own
        self.heard = self.called = now  # when it last sent something, and when it was last sent something
        self.lost = -1.0  # since when there is no connection; -1: there is one
        self.asked = NEVER  # when it was last sent a card
        self._nudged = (
            -1,
            0.0,
        )  # in which exchange, and when, it was first sent mine again because it is ahead
        self._answered = self._given = NEVER  # when it was last answered, and last given the state

    def become(self, health: Health, now: float) -> None:
        """Change the health as `NEXT` allows."""
        if health not in NEXT[self.health]:
            raise ValueError(f"{self.name} cannot change from {self.health.value} to {health.value}")
        self.health, self.since = health, now

    def hear(self, now: float) -> bool:
        """It speaks; return whether that makes it up again. While it cannot be reached it does not count as up."""
        self.heard = now
        back = self.health is not UP and self.lost < 0
        if back:
            self.become(UP, now)
            self.goodbye = ""
        elif self.health is UP:
            self.lost = -1.0
        return back

    def leave(self, why: str, now: float) -> None:
        """It says goodbye."""
        self.become(Health.LEFT, now)
        self.goodbye = why

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

    def give_up(self, now: float) -> None:
        """Its session ends; it is absent without goodbye."""
        self.become(Health.DOWN, now)
        self.edge.give_up()

    def due(self, now: float) -> bool:
        """Whether to send it a message now: always if it is up, now and then if it does not answer, never if it left."""
        return self.health is UP or (
            self.health is not Health.LEFT and now - self.called >= self.delays.patience.probe
        )

    def awaited(self, number: int, now: float) -> bool:
        """Whether its message of this exchange is still awaited."""
        if number in self.early or self.health is not UP:
            return False
        if self.spoke <= number:
            return self.spoke < number  # else the message came, and cannot be used
        if self.spoke == number + 1 and self.owes == number:
            return True  # it can send it again
        nudged, when = self._nudged
        return nudged != number or now - when < self.delays.again

    def use(self, number: int) -> Message | None:
        """Its message of this exchange, if there is one that belongs to the session."""
        message = self.early.pop(number, None)
        if message is None or not self.edge.fits(message.header):
            return None
        self.edge.use(number)
        return message

    def ahead(self, number: int, now: float) -> Answer:
        """It is past exchange `number`. When it gets my message again, it knows that its own was lost."""
        if self._nudged[0] == number:
            return self.again(Answer.CURRENT, now)
        self._nudged = number, now
        return Answer.CURRENT

    def again(self, what: Answer, now: float) -> Answer:
        """It repeats itself: something was lost on the way to it, or to me. Answer, but not too often."""
        if now - self._answered < self.delays.patience.again / 2:
            return Answer.NOTHING
        self._answered = now
        return what

    def newcomer(self, now: float) -> Answer:
        """It still agrees on what was agreed long ago."""
        if now - self._given < GIVEN_AGAIN:
            return Answer.NOTHING
        self._given = now
        return Answer.TRANSFER
