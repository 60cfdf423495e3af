"""What an algorithm may ask of the learning problem; must not know any particular model."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

Grad = Callable[[Tensor], Tensor]


class Problem(Protocol):
    """n local objectives f_i(x_i) of d parameters, one a row; row i of every result depends on row i only."""

    @property
    def width(self) -> int:
        """Numbers in a parameter vector, d."""

    def loss(self, x: Tensor) -> Tensor:
        """Each peer's own objective on its whole data, penalties included: (n, d) -> (n,)."""

    def grad(self, round: int) -> Grad:
        """The gradient oracle of that round, (n, d) -> (n, d): of the smooth part, on that round's rows."""

    def prox(self, x: Tensor, step: float) -> Tensor:
        """argmin_u |u - x|^2 / 2 + step * (n_i / n_mean) l1 |w(u)|_1, what the gradient leaves out: (n, d) -> (n, d)."""

    def smoothness(self) -> Tensor:
        """Each peer's Lipschitz constant of the gradient, (n,) float64; inf where there is none."""
