"""The smooth part of the pooled objective of all peers, with its derivatives; must not know what minimises it."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from gossipfl.models.linear import Linear
from gossipfl.tensors import Tensor, torch

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


class Pooled:
    """f(x) = (1/n) sum of the smooth objectives of the n rows, and its derivatives; x is (d,)."""

    def __init__(self, problem: Linear):
        features, targets = zip(*problem.data.shards(), strict=True)
        share = problem.share.cpu().numpy() / len(features)
        self.X: Any = (
            sparse.vstack(features, format="csr") if sparse.issparse(features[0]) else np.vstack(features)
        )
        self.y = torch.from_numpy(np.concatenate(targets))
        self.weights = np.concatenate([s * f for s, f in zip(share, problem.fractions, strict=True)])
        self.offset = problem.offset
        self.loss, self.outputs = problem.loss_of_row, problem.outputs
        penalised = problem.penalised.cpu().double().numpy()
        self.ridge, self.l1 = (share.sum() * strength * penalised for strength in (problem.l2, problem.l1))
        self.loose = (self.ridge + self.l1 == 0).reshape(-1, self.outputs)
        self.zero = np.zeros(problem.width)

    def margins(self, x: Array) -> Tensor:
        z = torch.from_numpy(self.X @ x.reshape(-1, self.outputs))
        return z if self.offset is None else z + self.offset

    def value(self, x: Array) -> float:
        return float(self.weights @ self.loss.value(self.margins(x), self.y).numpy() + self.ridge @ x**2 / 2)

    def slopes(self, x: Array) -> Array:
        slopes: Array = self.weights[:, None] * self.loss.slope(self.margins(x), self.y).numpy()
        return slopes

    def gradient(self, x: Array) -> Array:
        slopes = self.X.T @ self.slopes(x)
        if self.outputs > 1:  # softmax: zero up to rounding, which conjugate gradients would amplify
            slopes -= self.loose * slopes.mean(1, keepdims=True)
        gradient: Array = slopes.ravel() + self.ridge * x
        return gradient

    def cancelling(self, x: Array) -> float:
        """The norm that the gradient would have if nothing in it cancelled."""
        return float(
            np.linalg.norm((abs(self.X).T @ abs(self.slopes(x))).ravel() + self.ridge * abs(x) + self.l1)
        )

    def curves(self, x: Array, damping: float) -> Array:
        """Each row's weighted second derivative, (rows, outputs, outputs), plus `damping` times the largest."""
        curves: Array = self.loss.curve(self.margins(x), self.y).numpy()
        if damping:
            curves = curves + damping * self.loss.curvature * np.eye(self.outputs)
        return self.weights[:, None, None] * curves

    def hessian(self, curves: Array, free: Indices) -> Array:
        """The Hessian of the parameters `free`, which are sorted by output first."""
        columns = [self.X[:, free[free % self.outputs == j] // self.outputs] for j in range(self.outputs)]
        ends = np.cumsum([0, *(a.shape[1] for a in columns)])
        hessian = np.zeros((len(free), len(free)))
        for j, a in enumerate(columns):
            mine = slice(ends[j], ends[j + 1])
            for k, b in enumerate(columns[: j + 1]):
                bent = (
                    sparse.diags_array(curves[:, j, k]) @ b
                    if sparse.issparse(b)
                    else curves[:, j, k, None] * b
                )
                block = a.T @ bent
                block = block.toarray() if sparse.issparse(block) else block
                theirs = slice(ends[k], ends[k + 1])
                hessian[mine, theirs], hessian[theirs, mine] = block, block.T
        return hessian + np.diag(self.ridge[free])

    def shifts(self, free: Indices) -> Indices:
        """The parameters that may shift together for all outputs without any effect, by their places in `free`.

        (k, outputs): the rows of coefficients without a penalty, for softmax; none with one output.
        """
        if self.outputs == 1:
            return np.zeros((0, 1), dtype=np.intp)
        order = np.argsort(free, kind="stable")
        loose = self.loose.ravel()[free[order]]
        places: Indices = order[loose].reshape(-1, self.outputs)
        return places

    def product(self, curves: Array, free: Indices) -> LinearOperator:
        """The same Hessian as a product with a vector."""

        def times(v: Array) -> Array:
            x = self.zero.copy()
            x[free] = v.ravel()
            z = np.einsum("rjk,rk->rj", curves, self.X @ x.reshape(-1, self.outputs))
            result: Array = ((self.X.T @ z).ravel() + self.ridge * x)[free]
            return result

        return LinearOperator((len(free), len(free)), matvec=times, dtype=np.float64)
