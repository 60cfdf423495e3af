"""How a peer combines what it hears; must not know who sends, nor how messages travel.

Every exchange has the form

    x_i + gamma * (A(r_i, {r_j}) - r_i)

The *replica* r_i is what the neighbours currently hold of peer i. A is the aggregator, by default a weighted average.
gamma = 1/2 is the lazy walk (I + W) / 2. If a round has several exchanges, their combined result takes the place of A.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gossipfl.mixing.average import Average
from gossipfl.mixing.compressor import Compressor, Payload
from gossipfl.mixing.compressors import COMPRESSORS, Amount
from gossipfl.mixing.direct import Direct
from gossipfl.mixing.lossy import Compressed, Feedback
from gossipfl.mixing.maximum import Maximum
from gossipfl.mixing.properties import Property
from gossipfl.mixing.push import PullAndPush, Push
from gossipfl.mixing.received import Received
from gossipfl.mixing.sum import Sum
from gossipfl.mixing.union import Union
from gossipfl.tensors import Tensor, torch

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
    "Sum",
    "Union",
]  # fmt: skip


class Aggregator(Protocol):
    """A function that combines a peer's own replica with those of its neighbours."""

    @property
    def preserves(self) -> Property: ...

    def __call__(self, own: Tensor, received: Received) -> Tensor:
        """A(r_i, {r_j}): (n, d) from (n, d) and the messages. Row i depends on r_i and on row i's messages only."""


class Channel(Protocol):
    """How a row crosses an edge. Both ends run the same `receive`, so they hold the same replica.

    `blocks` are the widths of the tensors that lie side by side in a row. Random numbers depend only on `round` (and a seed).
    """

    @property
    def preserves(self) -> Property: ...
    @property
    def remembers(self) -> bool:
        """Whether a message depends on the replica. If so, each neighbour must hear every message."""

    def init(self, x: Tensor) -> Tensor:
        """The replica before the first message, (n, d), for rows shaped like x."""

    def send(self, x: Tensor, replica: Tensor, round: int, blocks: Sequence[int]) -> Payload:
        """The payload that sends x (n, d) to neighbours that hold `replica`, which counts only for a channel that remembers."""

    def receive(self, payload: Payload, replica: Tensor, round: int, blocks: Sequence[int]) -> Tensor:
        """The new replica, (n, d). Raises BadMessage if the payload is invalid."""


class Mixing(NamedTuple):
    """One exchange through `channel`, combined by `aggregator`, with step size `gamma`.

    With `steps` a round has several exchanges along the same links, one for each step size in `steps`. Then the round moves x
    by the part `gamma` of the way to their result. This needs a channel without memory.
    """

    aggregator: Aggregator = Average()
    channel: Channel = Direct()
    gamma: float = 1.0
    steps: tuple[float, ...] = ()

    @property
    def exchanges(self) -> int:
        """The number of exchanges in a round."""
        return max(1, len(self.steps))

    @property
    def preserves(self) -> Property:
        return self.aggregator.preserves & self.channel.preserves

    def combine(self, x: Tensor, own: Tensor, received: Received, k: int = 0) -> Tensor:
        """x + gamma (A(own, received) - own), (n, d); with `steps`, steps[k] replaces gamma. `own` is x or the replica of x."""
        mixed, part = self.aggregator(own, received), self.steps[k] if self.steps else self.gamma
        if own is x:
            return mixed if part == 1.0 else torch.lerp(x, mixed, part)
        return x + part * (mixed - own)

    def part(self, k: int) -> float:
        """The step size of exchange k in the result of the round: it adds part(k) (A(own, received) - own) to x."""
        return self.gamma * (self.steps[k] if self.steps else 1.0)

    def conclude(self, x: Tensor, mixed: Tensor) -> Tensor:
        """The result of a round that began at x (n, d) and whose last exchange gave `mixed`."""
        return torch.lerp(x, mixed, self.gamma) if self.steps and self.gamma != 1.0 else mixed
