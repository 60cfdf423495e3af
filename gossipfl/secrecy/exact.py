"""The exact sums of an agreement: rows of integers, one for each peer here; must not know how they are added up."""

import secrets
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gossipfl.errors import BadData, NetworkError
from gossipfl.secrecy.fixed import Hiding
from gossipfl.secrecy.wide import BITS, PLACES, scaled, split, unscaled, wide, wide_total

CONCLUDED = 2**57  # the first cycle after those of learning
NARROW = 128, 40  # bits and places of counts


class ExactSums:
    """Makes the rows of one sum after another, and reads their totals.

    Args:
        peers: that contribute.
        masks: of the single peer here; None: the rows of all peers are here, and nobody could look.
    """

    def __init__(self, peers: int, masks: Hiding | None = None) -> None:
        self.peers, self.masks, self.made = peers, masks, 0
        self._bits, self._places = BITS, PLACES

    def conclude(self) -> None:
        """Learning has ended: what is summed from now on comes after its sums, and is counts, which need fewer bits."""
        self.made = max(self.made, CONCLUDED)
        self._bits, self._places = NARROW

    def integers(self, numbers: Sequence[float]) -> list[int]:
        """Numbers as integers."""
        return [scaled(number, self._places) for number in numbers]

    def numbers(self, integers: Sequence[int]) -> list[float]:
        """The inverse, for totals."""
        return [unscaled(integer, self._places) for integer in integers]

    def rows(self, integers: Sequence[Sequence[int]]) -> npt.NDArray[np.int64]:
        """(n, W) from the integers of each peer here."""
        each = [wide(own, self.peers, self._bits) for own in integers]
        for residues in each:
            if self.masks is not None and residues[0]:  # zeros would show the others' total
                residues[2:] = [secrets.randbits(self._bits) for _ in residues[2:]]
        return self._masked(each)

    def flags(self, raised: Sequence[Sequence[bool]]) -> npt.NDArray[np.int64]:
        """(n, W) from the flags of each peer here. The total of a flag is 0 if nobody raises it, and else anything: it does not
        tell how many do."""
        return self._masked(
            [[0, 1, *(flag and secrets.randbits(self._bits) for flag in own)] for own in raised]
        )

    def _masked(self, each: Sequence[Sequence[int]]) -> npt.NDArray[np.int64]:
        rows = []
        for residues in each:
            mask = [0] * len(residues)
            if self.masks is not None:
                mask = self.masks.residues(self.made, 0, len(residues), self._bits)
            told = [(one + other) % (1 << self._bits) for one, other in zip(residues, mask, strict=True)]
            rows.append(split(told, self._bits))
        self.made += 1
        return np.stack(rows).view(np.int64)

    def read(self, row: npt.NDArray[np.int64]) -> tuple[int, ...]:
        """The totals.

        Raises:
            BadData: somebody had a number that is too large, or not finite.
            NetworkError: not all peers contributed, each once.
        """
        told = wide_total(row.view(np.uint64), self.peers, self._bits)
        if not told.complete:
            raise NetworkError(
                "a sum of the agreement does not have each peer once: somebody adds up wrongly, or with other keys"
            )
        if told.overflowed:
            raise BadData(
                "some peer has numbers above 1e14 in its columns, or such that are not finite, which secure sums cannot "
                "add up: look for them in your own rows"
            )
        return told.integers
