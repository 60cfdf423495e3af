"""A mini-batch of rows that are too wide to be copied; must not know losses, penalties or peers' names."""

from typing import NamedTuple

import torch
from torch import Tensor

WIDE = 2**15  # numbers in a row above which copying it costs more than a call of its own


class Wide(NamedTuple):
    """Rows of n peers, m of each, left where they lie: the two products of `Block` read them once each."""

    features: Tensor  # (all rows, q)
    positions: Tensor  # (n, m) int64
    target: Tensor  # (n, m)

    def times(self, w: Tensor) -> Tensor:
        """Margins, (n, q, outputs) -> (n, m, outputs)."""
        margins = [
            torch.dot(self.features[place], column)
            for columns, places in zip(w.mT.contiguous(), self.positions.tolist(), strict=True)
            for place in places
            for column in columns
        ]
        return torch.stack(margins).view(*self.positions.shape, -1)

    def back(self, slopes: Tensor) -> Tensor:
        """X_i^T s_i, (n, m, outputs) -> (n, q, outputs)."""
        sums = slopes.new_zeros(len(slopes), slopes.shape[2], self.features.shape[1])
        for of_peer, places, weights in zip(sums, self.positions.tolist(), slopes.tolist(), strict=True):
            for place, weight in zip(places, weights, strict=True):
                for of_output, number in zip(of_peer, weight, strict=True):
                    of_output.add_(self.features[place], alpha=number)
        return sums.mT
