"""A transport that loses and doubles messages, as no TCP connection does; must not know what they say."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from gossipfl import rng
from gossipfl.peer.transport import Transport

AT_ONCE = 128  # messages whose fate is drawn together


class Chances(NamedTuple):
    """The probabilities that a message is lost, and that one which is not arrives twice."""

    loss: float = 0.0
    duplicate: float = 0.0


class Unreliable:
    """A `Transport` around another one. The fate of the k-th message that is sent is a function of seed, peer and k.

    Args:
        transport: what carries the messages that are not lost.
        chances: asked before each message, so that they may change.
        me: this peer's number.
        seed: where chance comes from.
    """

    def __init__(self, transport: Transport, chances: Callable[[], Chances], me: int, seed: int) -> None:
        self.dropped = self.doubled = 0
        self._transport, self._chances, self._seed = transport, chances, seed
        self._row = torch.tensor([me])
        self._sent, self._drawn = 0, -1
        self._fates: list[list[float]] = []

    def send(self, to: int, frames: list[bytes]) -> bool:
        """As the transport does; of a lost message the sender learns nothing."""
        block, place = divmod(self._sent, AT_ONCE)
        self._sent += 1
        loss, duplicate = self._chances()
        if not loss and not duplicate:
            return self._transport.send(to, frames)
        if block != self._drawn:
            drawn = rng.uniform(self._seed, "unreliable", self._row, block, 2 * AT_ONCE)
            self._fates, self._drawn = drawn.view(AT_ONCE, 2).tolist(), block
        if self._fates[place][0] < loss:
            self.dropped += 1
            return True
        went = self._transport.send(to, frames)
        if went and self._fates[place][1] < duplicate and self._transport.send(to, frames):
            self.doubled += 1
        return went

    def recv(self, timeout: float) -> list[bytes] | None:
        return self._transport.recv(timeout)

    def lost(self) -> set[int]:
        return self._transport.lost()

    def forget(self, to: int) -> None:
        self._transport.forget(to)

    def close(self) -> None:
        self._transport.close()
