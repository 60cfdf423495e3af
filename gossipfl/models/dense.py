"""Dense features of several peers, padded to the largest; must not know losses, penalties or peers' names."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gossipfl.tensors import Tensor, torch

Array = npt.NDArray[Any]
WIDE = 2**15  # numbers in a row above which copying it costs more than a separate call

_matmul = np.errstate(all="ignore")(np.matmul)  # as torch: what is not finite shows in the result


class Block:
    """Rows of n peers, m of each: margins are a batched product, and its adjoint gives the gradient.

    Args:
        features: (n, m, q).
        target: (n, m).
        offset: (n, m, 1).
    """

    def __init__(self, features: Tensor, target: Tensor, offset: Tensor | None = None) -> None:
        self.features, self.target, self.offset = features, target, offset
        # For one output and several peers, numpy takes a tenth to a half of the time of `bmm`.
        self._rows = features.numpy() if len(features) > 1 and features.is_cpu else None

    def times(self, x: Tensor) -> Tensor:
        """X_i x_i, (n, q * outputs) -> (n, m, outputs): the margins without the offset."""
        q = self.features.shape[2]
        if self._rows is None or x.shape[1] > q or x.requires_grad:
            return torch.bmm(self.features, x.reshape(len(x), q, -1))
        return torch.from_numpy(_matmul(self._rows, x.numpy()[..., None]))

    def back(self, slopes: Tensor) -> Tensor:
        """X_i^T s_i, (n, m, outputs) -> (n, q * outputs)."""
        if self._rows is None or slopes.shape[2] > 1 or slopes.requires_grad:
            # twice as fast as (features.mT, slopes) at n = 1000
            return torch.bmm(slopes.mT, self.features).mT.flatten(1)
        return torch.from_numpy(_matmul(slopes.mT.numpy(), self._rows)[:, 0])

    def gram(self, weights: Tensor) -> Tensor:
        """X_i^T diag(w_i) X_i, (n, m) -> (n, q, q)."""
        return torch.bmm((self.features * weights.unsqueeze(-1)).mT, self.features)

    def total(self, values: Tensor) -> Tensor:
        """Sum of each peer's rows, (n, m) -> (n,)."""
        return values.sum(1)


class Wide(NamedTuple):
    """Rows of n peers, m of each, that are too wide to copy: each of the two products of `Block` reads them once, in place."""

    features: Tensor  # (all rows, q)
    positions: Tensor  # (n, m) int64
    target: Tensor  # (n, m)
    offset: Tensor | None = None  # (n, m, 1)

    def times(self, x: Tensor) -> Tensor:
        """X_i x_i, (n, q * outputs) -> (n, m, outputs)."""
        columns_of_peers = x.reshape(len(x), self.features.shape[1], -1).mT.contiguous()
        margins = [
            torch.dot(self.features[place], column)
            for columns, places in zip(columns_of_peers, self.positions.tolist(), strict=True)
            for place in places
            for column in columns
        ]
        return torch.stack(margins).view(*self.positions.shape, -1)

    def back(self, slopes: Tensor) -> Tensor:
        """X_i^T s_i, (n, m, outputs) -> (n, q * outputs)."""
        sums = slopes.new_zeros(len(slopes), slopes.shape[2], self.features.shape[1])
        for of_peer, places, weights in zip(sums, self.positions.tolist(), slopes.tolist(), strict=True):
            for place, weight in zip(places, weights, strict=True):
                for of_output, number in zip(of_peer, weight, strict=True):
                    of_output.add_(self.features[place], alpha=number)
        return sums.mT.flatten(1)


class LoneRows(NamedTuple):
    """Rows of one peer, for numpy."""

    features: Array  # (m, q)
    target: Array  # (m,)
    offset: Array | None  # (m,)


def _parted(rows: Array, q: int) -> LoneRows:
    """Rows whose last columns, after q features, are the target and the offset, if there is one."""
    return LoneRows(rows[:, :q], rows[:, q], rows[:, q + 1] if rows.shape[1] > q + 1 else None)


class OneByOne(Sequence[LoneRows]):
    """The mini-batches of one peer, each copied when it is used: then its numbers are still in the cache of the processor.

    Args:
        every: the peer's rows, with target and offset, if any, in the last columns.
        places: of the rows in `every`, (rounds, batch).
        q: the number of features.
    """

    def __init__(self, every: Array, places: Array, q: int) -> None:
        self._every, self._places, self._q = every, places, q

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, round: Any) -> Any:
        return _parted(self._every.take(self._places[round], 0), self._q)


class Dense:
    """The shards of n peers.

    Args:
        shards: each peer's (x, y), x (n_i, p).
        ones: append a column of ones to the features, for the intercept.
        offsets: each peer's offsets, (n_i,).
    """

    def __init__(
        self,
        shards: Sequence[tuple[Any, npt.NDArray[Any]]],
        ones: bool,
        dtype: "torch.dtype",
        device: str,
        offsets: Sequence[npt.NDArray[Any]] | None = None,
    ):
        self.sizes = torch.tensor([len(y) for _, y in shards])
        n, m, p = len(shards), int(self.sizes.max()), shards[0][0].shape[1]
        self._q = q = p + ones
        # Target and offset are the last columns, so that a mini-batch is one gather.
        self.numbers = q + 1 + (offsets is not None)
        joined = torch.zeros(n, m, self.numbers, dtype=dtype)
        for place, (x, y) in zip(joined, shards, strict=True):
            place[: len(y), :p] = torch.from_numpy(np.ascontiguousarray(x))
            place[: len(y), p:q] = 1
            place[: len(y), q] = torch.from_numpy(np.ascontiguousarray(y))
        self._real = (torch.arange(m) < self.sizes[:, None]).to(device)
        if offsets is not None:
            joined[..., -1:] = self.laid(offsets)
        self._joined = joined.to(device)
        self._rows = self._joined.flatten(0, 1)
        self.starts = (torch.arange(n) * m).to(device)
        # A copy of the targets: read from the joined rows, each would cost a cache line.
        features, target, offset = self._parts(self._joined)
        self.full = Block(features, target.contiguous(), offset)

    def _parts(self, joined: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Features, targets and offsets of joined rows."""
        q = self._q
        return joined[..., :q], joined[..., q], joined[..., q + 1 :] if self.numbers > q + 1 else None

    def spread(self, weights: Tensor) -> Tensor:
        """Weights of rows from weights of peers, zero on padding: (n,) -> (n, m, 1)."""
        return (self._real * weights[:, None]).unsqueeze(-1)

    def laid(self, values: Sequence[npt.NDArray[Any]]) -> Tensor:
        """Numbers of rows, from those of each peer, (n_i,), zero on padding: (n, m, 1) float64."""
        rows = torch.zeros(self._real.shape, dtype=torch.float64)
        rows[self._real.cpu()] = torch.from_numpy(np.concatenate(values)).double()
        return rows.unsqueeze(-1).to(self._real.device)

    def gather(self, positions: Tensor) -> list[Block] | list[Wide]:
        """The mini-batches at positions (rounds, n * batch), with equally many rows of each peer."""
        if self.numbers > WIDE and self._rows.is_cpu:
            features, target, offset = self._parts(self._rows)
            places = [of_round.view(len(self.sizes), -1) for of_round in positions]
            return [Wide(features, at, target[at], None if offset is None else offset[at]) for at in places]
        joined = self._rows.index_select(0, positions.flatten())
        features, target, offset = self._parts(joined.view(len(positions), len(self.sizes), -1, self.numbers))
        offsets = [None] * len(positions) if offset is None else offset.unbind()
        return [Block(*parts) for parts in zip(features.unbind(), target.unbind(), offsets, strict=True)]

    @property
    def lone(self) -> bool:
        """Whether these are the rows of one peer, and few numbers each, on the CPU: `rows` has them for numpy."""
        return len(self.sizes) == 1 and self.numbers <= WIDE and self._rows.is_cpu

    @property
    def alone(self) -> LoneRows:
        """All rows of the one peer."""
        return _parted(self._rows.numpy(), self._q)

    def rows(self, positions: Tensor) -> "OneByOne":
        """The mini-batches of the one peer at positions (rounds, batch)."""
        return OneByOne(self._rows.numpy(), positions.numpy(), self._q)

    def shards(self) -> Iterator[tuple[Any, npt.NDArray[np.float64]]]:
        """Each peer's features, with the column of ones, and targets, as float64."""
        for joined, size in zip(self._joined.cpu().double().numpy(), self.sizes.tolist(), strict=True):
            yield joined[:size, : self._q], joined[:size, self._q]
