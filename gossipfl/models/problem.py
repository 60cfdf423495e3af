"""What an algorithm may ask of the learning problem; must not know any particular model."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy.typing as npt

from gossipfl.tensors import Tensor

Grad = Callable[[Tensor], Tensor]
ArrayGrad = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]  # the same in numpy


class Problem(Protocol):
    """n local objectives f_i(x_i) of d parameters, one a row; row i of every result depends only on row i.

    A problem may also have `in_numpy(round) -> ArrayGrad | None`: the gradient of one row in numpy, whose calls take a fraction
    of the time of those of torch where there are few numbers.
    """

    @property
    def width(self) -> int:
        """The number of parameters, d."""

    def loss(self, x: Tensor) -> Tensor:
        """Each peer's own objective on all its data, with penalties: (n, d) -> (n,)."""

    def grad(self, round: int) -> Grad:
        """The gradient oracle of that round, (n, d) -> (n, d): of the smooth part, on the rows of that round."""

    def prox(self, x: Tensor, step: float) -> Tensor:
        """argmin_u |u - x|^2 / 2 + step * (n_i / n_mean) l1 |w(u)|_1, the part without a gradient: (n, d) -> (n, d)."""

    def smoothness(self) -> Tensor:
        """Each peer's Lipschitz constant of the gradient, (n,) float64; inf if there is none."""
