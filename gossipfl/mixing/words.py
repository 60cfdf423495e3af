"""The channel for rows that represent sets of words; must not know what the words mean."""

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gossipfl.errors import BadMessage
from gossipfl.mixing.compressor import Payload
from gossipfl.mixing.properties import Property
from gossipfl.mixing.union import to_set, too_long
from gossipfl.tensors import Tensor, torch


class Words(NamedTuple):
    """Complete rows, as `Direct` sends them, of which each represents a set of words (see `Union`), each a JSON string.

    Args:
        read: reads a word; raises ValueError, TypeError or RecursionError for one that no peer says.
    """

    read: Callable[[str], object]
    preserves: Property = Property.EXACT
    remembers: bool = False

    def init(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def send(self, x: Tensor, replica: Tensor, round: int, blocks: Sequence[int]) -> Payload:
        return (x,)

    def receive(self, payload: Payload, replica: Tensor, round: int, blocks: Sequence[int]) -> Tensor:
        """The rows as they are. Raises BadMessage if one of those that are new represents no set of words."""
        rows = payload[0]
        new = rows[(rows != replica).any(1)]
        for row in {row.numpy().tobytes(): row for row in new}.values():
            if not too_long(row):
                self._check(row)
        return rows

    def _check(self, row: Tensor) -> None:
        try:
            for word in to_set(row):
                self.read(unquoted(word))
        except (ValueError, TypeError, RecursionError) as error:
            raise BadMessage(f"words that cannot be read: {error}") from error


def unquoted(word: str) -> str:
    """The word that a JSON string stands for. Raises ValueError."""
    if not word.startswith('"'):
        raise ValueError("a word without quotes")
    said = str(json.loads(word))
    said.encode()  # half of a surrogate pair cannot be written
    return said
