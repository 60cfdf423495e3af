"""The union of sets of words, with which peers agree on classes and category levels; must not know what they mean.

Like everything else, a set is sent as a row of numbers: its sorted words, joined by line feeds, as UTF-8 bytes (uint8),
padded with zeros.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gossipfl.mixing.properties import Property
from gossipfl.mixing.received import Received


def to_row(words: Iterable[str], width: int = 0) -> Tensor:
    """The row (max(width, its length),) uint8 that represents a set of words. Words are not empty, without line feed or NUL."""
    data = "\n".join(sorted(set(words))).encode()
    return torch.from_numpy(np.frombuffer(data.ljust(width, b"\0"), np.uint8).copy())


def to_set(row: Tensor) -> set[str]:
    """The set that a row represents. Raises ValueError if the row is invalid (any sender may have made it)."""
    data = row.numpy().tobytes().rstrip(b"\0")
    return set(data.decode().split("\n")) if data else set()


class Union(NamedTuple):
    """A(r_i, {r_j}) = the union of the sets that r_i and r_j represent. Rows must be wide enough for the whole union."""

    preserves: Property = Property.CONSENSUS

    def __call__(self, own: Tensor, received: Received) -> Tensor:
        values, rows = received.stack()
        sets = [to_set(row) for row in own]
        new = (values != own[rows]).any(1)  # most messages contain nothing new
        for value, row in zip(values[new], rows[new].tolist(), strict=True):
            sets[row] |= to_set(value)
        return torch.stack([to_row(words, own.shape[1]) for words in sets])
