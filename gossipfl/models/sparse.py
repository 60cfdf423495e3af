"""Sparse features of several peers as one block-diagonal matrix; must not know losses, penalties or names."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from gossipfl.tensors import Tensor, torch


class Matrix(NamedTuple):
    """All M rows of n peers; two CSR products, with the matrix and with its transpose."""

    features: Tensor  # (M, n * q) CSR
    adjoint: Tensor  # (n * q, M) CSR
    target: Tensor  # (M,)
    owner: Tensor  # (M,) int64, the row's peer, 0 to n - 1
    peers: int
    offset: Tensor | None = None  # (M, 1)

    def times(self, x: Tensor) -> Tensor:
        """X_i x_i, (n, q * outputs) -> (M, outputs): the margins without the offset."""
        return self.features @ x.reshape(self.features.shape[1], -1)

    def back(self, slopes: Tensor) -> Tensor:
        """X_i^T s_i, (M, outputs) -> (n, q * outputs)."""
        return (self.adjoint @ slopes).view(self.peers, -1)

    def total(self, values: Tensor) -> Tensor:
        """Sum of each peer's rows, (M,) -> (n,)."""
        return values.new_zeros(self.peers).index_add_(0, self.owner, values)


class Entries(NamedTuple):
    """The non-zeros of a mini-batch of B rows; the cost is their number, plus the n * q of a gradient."""

    row: Tensor  # (nonzeros,) in 0 .. B - 1
    column: Tensor  # (nonzeros,) in 0 .. n * q - 1
    value: Tensor  # (nonzeros, 1)
    target: Tensor  # (B,)
    shape: tuple[int, int]  # n, q
    offset: Tensor | None = None  # (B, 1)

    def times(self, x: Tensor) -> Tensor:
        """X_i x_i, (n, q * outputs) -> (B, outputs)."""
        w = x.reshape(self.shape[0] * self.shape[1], -1)
        margins = w.new_zeros(len(self.target), w.shape[1])
        return margins.index_add_(0, self.row, self.value * w[self.column])

    def back(self, slopes: Tensor) -> Tensor:
        """X_i^T s_i, (B, outputs) -> (n, q * outputs)."""
        gradient = slopes.new_zeros(self.shape[0] * self.shape[1], slopes.shape[-1])
        gradient.index_add_(0, self.column, self.value * slopes[self.row])
        return gradient.view(self.shape[0], -1)


class Sparse:
    """The shards of n peers, features as scipy CSR. See `Dense` for the arguments."""

    def __init__(
        self,
        shards: Sequence[tuple[Any, npt.NDArray[Any]]],
        ones: bool,
        dtype: "torch.dtype",
        device: str,
        offsets: Sequence[npt.NDArray[Any]] | None = None,
    ):
        columns = [sparse.hstack([x, np.ones((len(y), int(ones)))], format="csr") for x, y in shards]
        self._shape = (len(shards), columns[0].shape[1])
        self._stacked = sparse.block_diag(columns, format="csr")
        self.sizes = torch.tensor([len(y) for _, y in shards])
        self.numbers = 1 + 2 * self._stacked.nnz // self._stacked.shape[0]
        target = torch.from_numpy(np.concatenate([y for _, y in shards])).to(device, dtype)
        self._owner = torch.arange(len(shards)).repeat_interleave(self.sizes).to(device)
        self.starts = (self.sizes.cumsum(0) - self.sizes).to(device)
        features = _csr(self._stacked, dtype, device)
        adjoint = _csr(self._stacked.T.tocsr(), dtype, device)
        offset = None if offsets is None else self.laid(offsets).to(dtype)
        self.full = Matrix(features, adjoint, target, self._owner, len(shards), offset)

    def spread(self, weights: Tensor) -> Tensor:
        """Weights of rows from weights of peers: (n,) -> (M, 1)."""
        return weights[self._owner, None]

    def laid(self, values: Sequence[npt.NDArray[Any]]) -> Tensor:
        """Numbers of rows, from those of each peer, (n_i,): (M, 1) float64."""
        return torch.from_numpy(np.concatenate(values)).double()[:, None].to(self._owner.device)

    def gather(self, positions: Tensor) -> list[Entries]:
        """The mini-batches at positions (rounds, n * batch), with equally many rows of each peer."""
        return [self._entries(of_round) for of_round in positions]

    def _entries(self, positions: Tensor) -> Entries:
        features = self.full.features
        first = features.crow_indices()[positions]
        count = features.crow_indices()[positions + 1] - first
        row = torch.arange(len(positions), device=positions.device).repeat_interleave(count)
        # The k-th non-zero of a drawn row is k places after the first one of that row.
        start = count.cumsum(0) - count
        place = torch.arange(len(row), device=row.device) + (first - start)[row]
        column, value = features.col_indices()[place], features.values()[place]
        offset = None if self.full.offset is None else self.full.offset[positions]
        return Entries(row, column, value[:, None], self.full.target[positions], self._shape, offset)

    def shards(self) -> Iterator[tuple[Any, npt.NDArray[np.float64]]]:
        """Each peer's features, with the column of ones, and targets, as float64."""
        target = self.full.target.cpu().double().numpy()
        for i, (start, size) in enumerate(zip(self.starts.tolist(), self.sizes.tolist(), strict=True)):
            rows, q = slice(start, start + size), self._shape[1]
            yield self._stacked[rows, i * q : (i + 1) * q], target[rows]


def _csr(matrix: Any, dtype: "torch.dtype", device: str) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse (CSR|invariant)", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data).to(dtype),
            matrix.shape,
            device=device,
        )
