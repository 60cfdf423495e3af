"""The channel that sends numbers as they are; must not know how they travel."""

from typing import NamedTuple

from torch import Tensor

from gossipfl.mixing.properties import Property


class Direct(NamedTuple):
    """Whole rows at full precision: after each message the replica is exactly what was sent."""

    preserves: Property = Property.EXACT

    def init(self, x: Tensor) -> Tensor:
        return x

    def send(self, x: Tensor, replica: Tensor, key: int) -> Tensor:
        return x

    def receive(self, payload: Tensor, replica: Tensor) -> Tensor:
        return payload
