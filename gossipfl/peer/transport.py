"""How frames reach a neighbour: the contract, and a double in memory; must not know what the frames say."""

from queue import Empty, SimpleQueue
from typing import Protocol


class Transport(Protocol):
    """Moves messages (lists of frames) to neighbours, by number. One thread uses it; nothing is sent while receiving."""

    def send(self, to: int, frames: list[bytes]) -> bool:
        """Hand a message over without blocking. False where the neighbour's queue is full and the message is refused."""

    def recv(self, timeout: float) -> list[bytes] | None:
        """The next message from anybody, in the order of each sender; None after `timeout` seconds of silence."""

    def lost(self) -> set[int]:
        """The neighbours to whom there is no connection, as far as is known."""

    def forget(self, to: int) -> None:
        """Throw away what waits for a neighbour. From now on it is sent something only while there is a connection to it."""

    def close(self) -> None:
        """Let what was sent reach the neighbours that still listen, then let go of everything. May be called twice."""


class Memory:
    """Peers of one process that talk through queues; each lives in its own thread.

    `hub` is shared by all: one queue a peer.
    """

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

    def forget(self, to: int) -> None:
        return

    def close(self) -> None:
        return
