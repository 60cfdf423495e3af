"""The channel that sends numbers unchanged; must not know how they travel."""

from collections.abc import Sequence
from typing import NamedTuple

from gossipfl.mixing.compressor import Payload
from gossipfl.mixing.properties import Property
from gossipfl.tensors import Tensor, torch


class Direct(NamedTuple):
    """Complete rows at full precision. After each message the replica equals what was sent."""

    preserves: Property = Property.EXACT
    remembers: bool = False

    def init(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def send(self, x: Tensor, replica: Tensor, round: int, blocks: Sequence[int]) -> Payload:
        return (x,)

    def receive(self, payload: Payload, replica: Tensor, round: int, blocks: Sequence[int]) -> Tensor:
        return payload[0]
