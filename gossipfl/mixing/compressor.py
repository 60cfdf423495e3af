"""What a compressor is; must not know any of them."""

from typing import Protocol

from torch import Tensor

Payload = tuple[Tensor, ...]  # axis 0 is the peers; shapes and types depend on the width alone


class Compressor(Protocol):
    """Fewer bytes for a row, at the price of an error.

    Chance comes from the round alone, so that all peers toss the same coins: those that agree go on agreeing, and
    coordinates that everybody knows need not be sent.
    """

    def compress(self, x: Tensor, round: int) -> Payload:
        """The payload of rows x (n, d)."""

    def decompress(self, payload: Payload, like: Tensor, round: int) -> Tensor:
        """The rows (n, d) that a payload stands for, of the shape and type of `like`.

        Raises:
            BadMessage: a field that a stranger may have made up is out of bounds.
        """
