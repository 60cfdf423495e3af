"""The gradient of one peer's dense rows, in numpy; must not know other peers, nor how rows are drawn.

A live peer has few numbers in a round, and a call to torch costs more than the arithmetic on them.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import expit

from gossipfl.models.dense import Array, LoneRows
from gossipfl.models.losses import Logistic, Loss, Squared
from gossipfl.models.problem import ArrayGrad, Grad
from gossipfl.tensors import Tensor, torch

Slope = Callable[[Array, Array], Array]


def _residual(z: Array, y: Array) -> Array:
    z -= y
    return z


def _logistic(z: Array, y: Array) -> Array:
    expit(z, out=z)
    z -= y
    return z


# `Loss.slope` for one margin of each row, z (m,) and y (m,) -> (m,), in place of z.
SLOPES: dict[type[Loss], Slope] = {Squared: _residual, Logistic: _logistic}


def _halved_square(z: Array, y: Array) -> Array:
    z -= y
    z *= z
    z /= 2.0
    return z


# `Loss.value` likewise.
VALUES: dict[type[Loss], Slope] = {
    Squared: _halved_square,
    Logistic: lambda z, y: np.logaddexp(0.0, (1.0 - 2.0 * y) * z),
}


class Lone:
    """The loss of one peer, and its gradients.

    Args:
        kind: of loss, a key of `SLOPES`.
        ridge: (1, q), the factor of x in the gradient.
    """

    def __init__(self, kind: type[Loss], ridge: Tensor) -> None:
        self._slope, self._value, self._ridge = SLOPES[kind], VALUES[kind], ridge.numpy()[0]

    def loss(self, x: Tensor, rows: LoneRows, weights: Array) -> Tensor:
        """sum(weights * value(X x + offset, y)) + ridge x^2 / 2, (1, q) -> (1,)."""
        w = x.numpy()[0]
        with np.errstate(all="ignore"):
            z = rows.features.dot(w)
            if rows.offset is not None:
                z += rows.offset
            total = (weights * self._value(z, rows.target)).sum() + (self._ridge * w).dot(w) / 2
        return torch.from_numpy(np.array([total], x.numpy().dtype))

    def oracle(self, rows: LoneRows, weights: Array) -> ArrayGrad:
        """x -> X^T (weights * slope(X x + offset, y)) + ridge x, (1, q) -> (1, q); weights: (m,), or one for all.

        As in torch, what is not finite shows in the result alone: the caller has numpy ignore it.
        """
        (features, target, offset), slope, ridge = rows, self._slope, self._ridge

        def gradient(x: Array) -> Array:
            w = x.ravel()
            z = features.dot(w)
            if offset is not None:
                z += offset
            slopes = slope(z, target)
            slopes *= weights
            total: Array = slopes.dot(features)
            total += ridge * w
            return total.reshape(1, -1)

        return gradient


def in_torch(gradient: ArrayGrad) -> Grad:
    """The same gradient of tensors."""

    def of_tensor(x: Tensor) -> Tensor:
        with np.errstate(all="ignore"):
            return torch.from_numpy(gradient(x.numpy()))

    return of_tensor
