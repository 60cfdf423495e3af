"""The channel that sends numbers as they are; must not know how they travel."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gossipfl.mixing.compressor import Payload
from gossipfl.mixing.properties import Property


class Direct(NamedTuple):
    """Whole rows at full precision: after each message the replica is exactly what was sent."""

    preserves: Property = Property.EXACT
    remembers: bool = False

    def init(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def send(self, x: Tensor, replica: Tensor, round: int, blocks: Sequence[int]) -> Payload:
        return (x,)

    def receive(self, payload: Payload, replica: Tensor, round: int, blocks: Sequence[int]) -> Tensor:
        return payload[0]
