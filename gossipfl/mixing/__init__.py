"""What a peer makes of what it hears; must not know who speaks, nor how messages travel.

The house form of every exchange is

    x_i + gamma * (A(r_i, {r_j}) - r_i)

where the *replica* r_i is what the neighbours currently hold of peer i, and A, the aggregator, is a weighted average unless
said otherwise. gamma = 1/2 is the lazy walk (I + W) / 2. With several exchanges in a round, what they make of x together
takes the place of A.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gossipfl.mixing.average import Average
from gossipfl.mixing.compressor import Compressor, Payload
from gossipfl.mixing.compressors import COMPRESSORS, Amount
from gossipfl.mixing.direct import Direct
from gossipfl.mixing.lossy import Compressed, Feedback
from gossipfl.mixing.maximum import Maximum
from gossipfl.mixing.properties import Property
from gossipfl.mixing.push import PullAndPush, Push
from gossipfl.mixing.received import Received
from gossipfl.mixing.union import Union

__all__ = [
    "COMPRESSORS",
    "Aggregator",
    "Amount",
    "Average",
    "Channel",
    "Compressed",
    "Compressor",
    "Direct",
    "Feedback",
    "Maximum",
    "Mixing",
    "Payload",
    "Property",
    "PullAndPush",
    "Push",
    "Received",
    "Union",
]  # fmt: skip


class Aggregator(Protocol):
    """What a peer makes of its own replica and its neighbours'."""

    @property
    def preserves(self) -> Property: ...

    def __call__(self, own: Tensor, received: Received) -> Tensor:
        """A(r_i, {r_j}): (n, d) from (n, d) and the messages. Row i depends on r_i and on row i's messages only."""


class Channel(Protocol):
    """How a row crosses an edge. Both ends run the same `receive`, so that they hold the same replica.

    `blocks` are the widths of the tensors that lie side by side in a row; `round` is the only source of chance.
    """

    @property
    def preserves(self) -> Property: ...
    @property
    def remembers(self) -> bool:
        """Whether what is sent depends on the replica, so that each neighbour must hear every message."""

    def init(self, x: Tensor) -> Tensor:
        """The replica before the first message, (n, d), for rows shaped like x."""

    def send(self, x: Tensor, replica: Tensor, round: int, blocks: Sequence[int]) -> Payload:
        """The payload that tells neighbours of x (n, d), who hold `replica`."""

    def receive(self, payload: Payload, replica: Tensor, round: int, blocks: Sequence[int]) -> Tensor:
        """The new replica, (n, d). Raises BadMessage for a payload that cannot be one."""


class Mixing(NamedTuple):
    """One exchange: through `channel`, by `aggregator`, `gamma` of the way.

    Or several in one round, along the same links: each goes its own of `steps` of the way, and the round `gamma` of the way
    to where they lead. Only a channel without memory can carry them.
    """

    aggregator: Aggregator = Average()
    channel: Channel = Direct()
    gamma: float = 1.0
    steps: tuple[float, ...] = ()

    @property
    def exchanges(self) -> int:
        """How many there are in a round."""
        return max(1, len(self.steps))

    @property
    def preserves(self) -> Property:
        return self.aggregator.preserves & self.channel.preserves

    def combine(self, x: Tensor, own: Tensor, received: Received, k: int = 0) -> Tensor:
        """x + gamma (A(own, received) - own), (n, d), or steps[k] for gamma; `own` is the replica of x, and may be x itself."""
        mixed, part = self.aggregator(own, received), self.steps[k] if self.steps else self.gamma
        if own is x:
            return mixed if part == 1.0 else torch.lerp(x, mixed, part)
        return x + part * (mixed - own)

    def part(self, k: int) -> float:
        """How far exchange k of a round goes in the end: what it adds to x is part(k) (A(own, received) - own)."""
        return self.gamma * (self.steps[k] if self.steps else 1.0)

    def conclude(self, x: Tensor, mixed: Tensor) -> Tensor:
        """What a round makes of x (n, d), its last exchange having led to `mixed`."""
        return torch.lerp(x, mixed, self.gamma) if self.steps and self.gamma != 1.0 else mixed
