"""How frames reach a neighbour: the contract, and two doubles for tests and faults; must not know what the frames say."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import NamedTuple, Protocol

import numpy as np

from gossipfl import rng

AT_ONCE = 128  # messages whose fate is drawn together


class Transport(Protocol):
    """Moves messages (lists of frames) to neighbours, by number. One thread uses it; nothing is sent while receiving."""

    @property
    def sender(self) -> int | None:
        """The peer with whose key the last message that was received came; None where links have no keys."""

    def send(self, to: int, frames: list[bytes]) -> bool:
        """Hand a message over without blocking. False: the neighbour's queue is full, and the message is refused."""

    def recv(self, timeout: float) -> list[bytes] | None:
        """The next message from anybody; each sender's messages keep their order. None after `timeout` seconds of silence.

        No frames at all stand for a message under a key that counted once, and does not count any more.
        """

    def lost(self) -> set[int]:
        """The neighbours without a connection, as far as is known."""

    def why(self, peer: int) -> str:
        """Why a neighbour has no connection, as a sentence without its name; "" if it has one, or nothing is known."""

    def forget(self, to: int) -> None:
        """Throw away what waits for a neighbour. From now on send to it only while there is a connection."""

    def close(self) -> None:
        """Let sent messages reach the neighbours that still listen, then free all resources. May be called twice."""


class Memory:
    """A `Transport` between the threads of one process. All share `hub`: one queue for each peer."""

    sender = None

    def __init__(self, me: int, hub: "list[SimpleQueue[list[bytes]]]") -> None:
        self._inbox, self._hub = hub[me], hub

    def send(self, to: int, frames: list[bytes]) -> bool:
        self._hub[to].put(frames)
        return True

    def recv(self, timeout: float) -> list[bytes] | None:
        try:
            return self._inbox.get(timeout=timeout)
        except Empty:
            return None

    def lost(self) -> set[int]:
        return set()

    def why(self, peer: int) -> str:
        return ""

    def forget(self, to: int) -> None:
        return

    def close(self) -> None:
        return


class Chances(NamedTuple):
    """The probability that a message is lost, and the probability that a message which is not lost arrives twice."""

    loss: float = 0.0
    duplicate: float = 0.0


class Unreliable:
    """A `Transport` that loses and doubles messages, as no TCP connection does.

    The fate of the k-th message is a function of seed, peer and k.

    Args:
        transport: what carries the messages that are not lost.
        chances: called before each message, so that they may change.
        me: this peer's number.
        seed: of all chance.
    """

    def __init__(self, transport: Transport, chances: Callable[[], Chances], me: int, seed: int) -> None:
        self.dropped = self.doubled = 0
        self._transport, self._chances, self._seed = transport, chances, seed
        self._row = np.array([me])
        self._sent, self._drawn = 0, -1
        self._fates: list[list[float]] = []

    def send(self, to: int, frames: list[bytes]) -> bool:
        """As the transport does. The sender does not notice that a message is lost."""
        block, place = divmod(self._sent, AT_ONCE)
        self._sent += 1
        loss, duplicate = self._chances()
        if not loss and not duplicate:
            return self._transport.send(to, frames)
        if block != self._drawn:
            drawn = rng.uniform(self._seed, "unreliable", self._row, block, 2 * AT_ONCE)
            self._fates, self._drawn = drawn.reshape(AT_ONCE, 2).tolist(), block
        if self._fates[place][0] < loss:
            self.dropped += 1
            return True
        went = self._transport.send(to, frames)
        if went and self._fates[place][1] < duplicate and self._transport.send(to, frames):
            self.doubled += 1
        return went

    @property
    def sender(self) -> int | None:
        return self._transport.sender

    def recv(self, timeout: float) -> list[bytes] | None:
        return self._transport.recv(timeout)

    def lost(self) -> set[int]:
        return self._transport.lost()

    def why(self, peer: int) -> str:
        return self._transport.why(peer)

    def forget(self, to: int) -> None:
        self._transport.forget(to)

    def close(self) -> None:
        self._transport.close()
