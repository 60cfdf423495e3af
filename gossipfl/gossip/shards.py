"""The rows of each peer; must not know who learns from them, nor when."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy.typing as npt

from gossipfl.errors import BadData
from gossipfl.tensors import Tensor, torch


class Shards(NamedTuple):
    """The rows of all peers, one peer after the other. The last feature is the constant 1."""

    x: Tensor  # (rows, d)
    y: Tensor  # (rows,), 0 or 1 if the loss needs labels
    starts: Tensor  # (n,) int64, the position of each peer's first row
    sizes: Tensor  # (n,) int64, each at least 1

    @staticmethod
    def of(
        rows: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]], dtype: "torch.dtype | None" = None
    ) -> "Shards":
        """From each peer's (x, y), x (n_i, p) and y (n_i,); d = p + 1. The dtype is float32 by default.

        Raises:
            BadData: a peer has no rows, another number of features than the first peer, or not one target for each row.
        """
        dtype = dtype or torch.float32
        if not rows:
            raise BadData("Nobody learns: there are no peers")
        features = rows[0][0].shape[1]
        for peer, (x, y) in enumerate(rows):
            if not len(x) or x.shape[1] != features or len(y) != len(x):
                raise BadData(
                    f"Peer {peer} has {x.shape[0]} rows of {x.shape[1]} features and {len(y)} targets: each peer needs at "
                    f"least one row, {features} features and one target for each row"
                )
        sizes = torch.tensor([len(x) for x, _ in rows])
        stacked = torch.cat([torch.as_tensor(x, dtype=dtype) for x, _ in rows])
        return Shards(
            torch.cat((stacked, torch.ones(len(stacked), 1, dtype=dtype)), 1),
            torch.cat([torch.as_tensor(y, dtype=dtype) for _, y in rows]),
            sizes.cumsum(0) - sizes,
            sizes,
        )
