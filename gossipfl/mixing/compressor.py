"""The interface of a compressor; must not know any compressor."""

from typing import Protocol

from gossipfl.tensors import Tensor

Payload = tuple[Tensor, ...]  # axis 0 is the peers; shapes and types depend only on the width


class Compressor(Protocol):
    """Fewer bytes for a row, at the cost of an error.

    Random numbers depend only on the round (and a seed), so all peers draw the same ones. Peers that agree continue to agree,
    and randomly chosen coordinates need not be sent.
    """

    def compress(self, x: Tensor, round: int) -> Payload:
        """The payload of rows x (n, d)."""

    def decompress(self, payload: Payload, like: Tensor, round: int) -> Tensor:
        """The rows (n, d) that a payload represents, with the shape and type of `like`.

        Raises:
            BadMessage: a field is out of bounds; a sender may have made it up.
        """
