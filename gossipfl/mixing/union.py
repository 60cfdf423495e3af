"""The union of sets of words, with which peers agree on classes and category levels; must not know what they mean.

Like everything else, a set is sent as a row of numbers: its sorted words, joined by line feeds, as UTF-8 bytes (uint8),
padded with zeros.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from gossipfl.mixing.properties import Property
from gossipfl.mixing.received import Received
from gossipfl.tensors import Tensor, torch

TOO_LONG = 0xFF  # no byte of UTF-8


def to_row(words: Iterable[str], width: int = 0) -> Tensor:
    """The row (max(width, its length),) uint8 that represents a set of words. Words are not empty, without line feed or NUL."""
    data = "\n".join(sorted(set(words))).encode()
    return torch.from_numpy(np.frombuffer(data.ljust(width, b"\0"), np.uint8).copy())


def to_set(row: Tensor) -> set[str]:
    """The set that a row represents. Raises ValueError if the row is invalid (any sender may have made it)."""
    data = row.numpy().tobytes().rstrip(b"\0")
    return set(data.decode().split("\n")) if data else set()


def too_long(row: Tensor) -> bool:
    """Whether the row stands for a set that is longer than the row."""
    return bool((row == TOO_LONG).all())


class Union(NamedTuple):
    """A(r_i, {r_j}) = the union of the sets that r_i and r_j represent; `TOO_LONG` in each byte if it is longer than the row.

    The union of anything with a set that is too long is too long. So after as many rounds as the graph's diameter, all
    peers hold the same row: that of the whole union, or the one that says that it is too long.
    """

    preserves: Property = Property.CONSENSUS

    def __call__(self, own: Tensor, received: Received) -> Tensor:
        values, rows = received.stack()
        heard: dict[int, set[bytes]] = {}
        new = (values != own[rows]).any(1)  # most messages contain nothing new
        for row, value in zip(rows[new].tolist(), values[new].numpy(), strict=True):
            heard.setdefault(row, {own[row].numpy().tobytes()}).add(value.tobytes())
        known: dict[frozenset[bytes], Tensor] = {}  # many peers hear the same
        mixed = own.clone()
        for row, found in heard.items():
            several = frozenset(found)
            if several not in known:
                known[several] = _union(several, own.shape[1])
            mixed[row] = known[several]
        return mixed


def _union(rows: Iterable[bytes], width: int) -> Tensor:
    each = [torch.frombuffer(bytearray(row), dtype=torch.uint8) for row in rows]
    if not any(map(too_long, each)):
        whole = to_row(set().union(*map(to_set, each)), width)
        if len(whole) == width:
            return whole
    return torch.full((width,), TOO_LONG, dtype=torch.uint8)
