"""Sums over the rows of one peer, as they are added up over all peers; must not know network or optimiser.

The rows are not padded and lie in memory of their own, so that a sum has the same bits wherever it is computed.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from gossipfl.models.losses import Huber, Logistic, Loss, Poisson, Softmax
from gossipfl.tensors import Tensor, torch

CHUNK = 1024  # rows whose gradients are held at once
ROUNDING = 1e-9  # of a norm, and more
DIAGONAL, OFF = 5, 7  # how often products count on the diagonal, and beside it
FINE = 12  # binary places of numbers that are multiplied


@dataclass(frozen=True)
class Shard:
    """The rows of one peer in float64, without penalties; x (d,) lies as in `Linear`.

    features: (m, q) Tensor or csr_array, with the column of ones, if there is an intercept.
    target, weights: (m,).
    offset: (m, 1), or None.
    """

    features: Any
    target: Tensor
    weights: Tensor
    loss: Loss
    outputs: int
    offset: Tensor | None = None

    @property
    def size(self) -> Tensor:
        """The sum of the weights."""
        return self.weights.sum()

    def in_units(self, unit: float) -> "Shard":
        """The same rows with targets and offsets in other units, a power of two; for losses of residuals."""
        loss = replace(self.loss, delta=self.loss.delta / unit) if isinstance(self.loss, Huber) else self.loss
        offset = None if self.offset is None else self.offset / unit
        return replace(self, target=self.target / unit, loss=loss, offset=offset)

    def margins(self, x: Tensor) -> Tensor:
        """(m, outputs)."""
        z = self._times(x.view(-1, self.outputs))
        return z if self.offset is None else z + self.offset

    def losses(self, points: Tensor) -> Tensor:
        """The sums of the losses at several points, (k, d) -> (k,)."""
        return torch.stack([self._loss(self.margins(x)) for x in points])

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the losses, (), and its gradient, (d,)."""
        z = self.margins(x)
        slopes = self.weights[:, None] * self.loss.slope(z, self.target)
        return self._loss(z), self._back(slopes)

    def clipped(self, x: Tensor, most: float, places: int) -> Tensor:
        """The sum over rows of their gradients, each clipped to the norm `most` and rounded to binary places, (d,).

        The sum of so rounded numbers is exact.
        """
        slopes = self.loss.slope(self.margins(x), self.target)
        total = torch.zeros_like(x)
        for k in range(0, len(slopes), CHUNK):
            each = (self._dense(k)[:, :, None] * slopes[k : k + CHUNK, None, :]).flatten(1)
            size = torch.linalg.vector_norm(each, dim=1, keepdim=True) * (1 + ROUNDING)
            each = (each * (most / size.clamp(min=most))).nan_to_num(0.0, 0.0, 0.0)
            total += torch.ldexp(
                torch.ldexp(each, torch.tensor(places)).round().sum(0), torch.tensor(-places)
            )
        return total

    def products(self, most: float, cut: float, target: Tensor, bend: Tensor | None = None) -> Tensor:
        """The sums over rows f (x, y) of the products of columns, upper triangle, each times the square of `bend` (m,), and of
        columns with the target over `cut`, (q (q + 3) / 2,), f = min(1, most / |x|). For one margin; `bend` is in 0 .. 1.

        The target over `cut` is `most` at most. Numbers are rounded to 12 binary places, and clipped before, so that no norm
        exceeds `most`. On the diagonal products count 5 times, beside it 7, and those with the target 5: a row changes the sums
        by at most 5 sqrt(2) most^2, by the norm. The sums are exact.
        """
        q = self.features.shape[1]
        most = max(0.0, most - math.sqrt(q) * 2.0 ** -(FINE + 1))
        total = torch.zeros(q, q + 1, dtype=torch.float64)
        for k in range(0, len(target), CHUNK):
            rows = self._dense(k)
            size = torch.linalg.vector_norm(rows, dim=1) * (1 + ROUNDING)
            factor = most / size.clamp(min=most)
            row = rows * factor[:, None]
            bent = _rounded(row if bend is None else row * bend[k : k + CHUNK, None])
            each = _rounded((target[k : k + CHUNK] * factor / cut).clamp(-most, most))
            total[:, :q] += bent.T @ bent
            total[:, q] += _rounded(row).T @ each
        matrix = OFF * total[:, :q] + (DIAGONAL - OFF) * torch.diag(total.diagonal())
        return torch.cat((packed(matrix), DIAGONAL * total[:, q]))

    def hessian(self, x: Tensor, free: Tensor | None = None, lent: float = 0.0) -> Tensor:
        """The upper triangle of the second derivative by the parameters `free` (k,), (k (k + 1) / 2,); None: by all.

        With `lent`, each row has that share of the loss's largest curvature in addition.
        """
        curve = self.loss.curve(self.margins(x), self.target)
        if lent:
            curve = curve + lent * self.loss.curvature * torch.eye(self.outputs, dtype=curve.dtype)
        curve = self.weights[:, None, None] * curve
        free = torch.arange(len(x)) if free is None else free
        places = [(free % self.outputs == a).nonzero()[:, 0] for a in range(self.outputs)]
        columns = [self._columns(free[place] // self.outputs) for place in places]
        hessian = x.new_empty(len(free), len(free))
        for a, left in enumerate(columns):
            for b, right in enumerate(columns):
                hessian[places[a][:, None], places[b]] = _gram(left, curve[:, a, b], right)
        return packed(hessian)

    def sides(self, x: Tensor) -> Tensor:
        """[rows not strictly on their side of 0, weight of one class, weight of the other], (3,).

        A sum of 0 over all peers means that there may be no optimum. Losses for which that cannot be have 1.
        """
        z, y = self.margins(x), self.target
        low = high = wrong = torch.ones_like(y)
        match self.loss:
            case Logistic():
                wrong, low, high = (2 * y - 1) * z[:, 0] <= 0, 1 - y, y
            case Softmax(unseen=unseen):
                seen, own = z[:, : self.outputs - unseen], y.long()[:, None]
                wrong = (
                    seen.scatter(1, own, -torch.inf).amax(1, keepdim=True) >= seen.gather(1, own)
                ).squeeze(1)
            case Poisson():
                low = y
        return torch.stack([(self.weights * each).sum() for each in (wrong, low, high)])

    def _dense(self, k: int) -> Tensor:
        """The features of a chunk of rows, from row k on."""
        rows = self.features[k : k + CHUNK]
        return rows if isinstance(rows, Tensor) else torch.from_numpy(rows.toarray())

    def _loss(self, z: Tensor) -> Tensor:
        return (self.weights * self.loss.value(z, self.target)).sum()

    def _times(self, w: Tensor) -> Tensor:
        if isinstance(self.features, Tensor):
            return self.features @ w
        return torch.from_numpy(self.features @ w.numpy())

    def _back(self, slopes: Tensor) -> Tensor:
        if isinstance(self.features, Tensor):
            return (self.features.T @ slopes).flatten()
        return torch.from_numpy(self.features.T @ slopes.numpy()).flatten()

    def _columns(self, columns: Tensor) -> Any:
        if len(columns) == self.features.shape[1]:
            return self.features
        if isinstance(self.features, Tensor):
            return self.features[:, columns]
        return self.features[:, columns.numpy()]


def _rounded(numbers: Tensor) -> Tensor:
    """To 12 binary places; 0 for what is no number."""
    places = torch.tensor(FINE)
    return torch.ldexp(torch.ldexp(numbers, places).round().nan_to_num(0.0, 0.0, 0.0), -places)


def _gram(left: Any, weights: Tensor, right: Any) -> Tensor:
    """A' diag(w) B."""
    if isinstance(left, Tensor):
        dense: Tensor = left.T @ (right * weights[:, None])
        return dense
    return torch.from_numpy((left.T @ (sparse.diags_array(weights.numpy()) @ right)).toarray())


def shard(
    x: Any,
    y: npt.NDArray[Any],
    loss: Loss,
    outputs: int = 1,
    weights: npt.NDArray[Any] | None = None,
    offset: npt.NDArray[Any] | None = None,
) -> Shard:
    """The rows x (m, q), dense or CSR, y (m,) of one peer, copied."""
    features = sparse.csr_array(x, dtype=np.float64) if sparse.issparse(x) else _copied(x)
    ones = np.ones(len(y)) if weights is None else weights
    return Shard(
        features,
        _copied(y),
        _copied(ones),
        loss,
        outputs,
        None if offset is None else _copied(offset)[:, None],
    )


def _copied(array: npt.NDArray[Any]) -> Tensor:
    return torch.empty(array.shape, dtype=torch.float64).copy_(torch.from_numpy(np.ascontiguousarray(array)))


def packed(matrix: Tensor) -> Tensor:
    """The upper triangle of a symmetric matrix, (d, d) -> (d (d + 1) / 2,)."""
    rows, columns = torch.triu_indices(*matrix.shape)
    return matrix[rows, columns]


def unpacked(triangle: Tensor, d: int) -> Tensor:
    """The symmetric matrix with this upper triangle, (d (d + 1) / 2,) -> (d, d)."""
    rows, columns = torch.triu_indices(d, d)
    matrix = triangle.new_empty(d, d)
    matrix[rows, columns] = triangle
    matrix[columns, rows] = triangle
    return matrix
