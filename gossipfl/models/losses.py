"""Losses of a linear model in closed form, by rows of margins; must not know where margins come from.

A margin `z` is (..., outputs). A target `y` is (...): the class index, the 0/1 label, the number or the count, in the dtype of
z. Everything is pointwise over the leading axes, and stable for large margins.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal, Protocol

from gossipfl.tensors import Tensor, torch

Task = Literal["regression", "binary", "multiclass", "count"]


class Loss(Protocol):
    """The loss of a linear model on one row; convex in z.

    task: what targets must be: any number; 0 or 1; 0, 1, ... classes - 1; a count from 0.
    curvature: the supremum of the second derivative (of the Hessian's norm); inf if there is none.
    """

    @property
    def task(self) -> Task: ...
    @property
    def curvature(self) -> float: ...
    def value(self, z: Tensor, y: Tensor) -> Tensor:
        """The loss, (...)."""

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        """d value / d z, (..., outputs), a new tensor; one subgradient at a kink."""

    def curve(self, z: Tensor, y: Tensor) -> Tensor:
        """d slope / d z, (..., outputs, outputs); one of the one-sided derivatives at a kink of the slope."""

    def outputs(self, classes: int) -> int:
        """Margins of a row, given the number of classes."""


class Single:
    """A loss of one margin."""

    def outputs(self, classes: int) -> int:
        return 1


def _sign(y: Tensor) -> Tensor:
    """Labels 0/1 as -1/+1, with the axis of the outputs."""
    return (2 * y - 1).unsqueeze(-1)


@dataclass(frozen=True)
class Squared(Single):
    """(z - y)^2 / 2, least squares; ridge with l2."""

    task: ClassVar[Task] = "regression"
    curvature: ClassVar[float] = 1.0

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        return (z.squeeze(-1) - y).square() / 2

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        return z - y.unsqueeze(-1)

    def curve(self, z: Tensor, y: Tensor) -> Tensor:
        return torch.ones_like(z).unsqueeze(-1)


@dataclass(frozen=True)
class Logistic(Single):
    """log(1 + exp z) - y z, the negative log likelihood of P(y = 1) = 1 / (1 + exp -z)."""

    task: ClassVar[Task] = "binary"
    curvature: ClassVar[float] = 0.25

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        # softplus(-m), because softplus(z) - y z cancels for large z; torch's softplus is inexact above 20.
        m = _sign(y).neg().mul(z).squeeze(-1)
        return torch.logaddexp(m, torch.zeros_like(m))

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        return torch.sigmoid(z) - y.unsqueeze(-1)

    def curve(self, z: Tensor, y: Tensor) -> Tensor:
        return (torch.sigmoid(z) * torch.sigmoid(-z)).unsqueeze(-1)


@dataclass(frozen=True)
class Softmax:
    """log sum_c exp z_c - z_y, multinomial logistic. The Hessian diag(p) - p p^T has norm at most 1/2.

    unseen: the number of classes, the last ones, that have no rows. They are left out of the sum, so that an optimum exists.
    """

    unseen: int = 0
    task: ClassVar[Task] = "multiclass"
    curvature: ClassVar[float] = 0.5

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        return self._seen(z).logsumexp(-1) - z.gather(-1, y.long().unsqueeze(-1)).squeeze(-1)

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        return self._chances(z) - (y.unsqueeze(-1) == torch.arange(z.shape[-1], device=z.device)).to(z.dtype)

    def curve(self, z: Tensor, y: Tensor) -> Tensor:
        p = self._chances(z)
        return torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)

    def _seen(self, z: Tensor) -> Tensor:
        return z[..., : z.shape[-1] - self.unseen]

    def _chances(self, z: Tensor) -> Tensor:
        return (
            torch.nn.functional.pad(self._seen(z).softmax(-1), (0, self.unseen))
            if self.unseen
            else z.softmax(-1)
        )

    def outputs(self, classes: int) -> int:
        return classes


@dataclass(frozen=True)
class Hinge(Single):
    """max(0, 1 - m), m = (2y - 1) z: the linear support vector machine. At the kink m = 1 the slope is 0."""

    task: ClassVar[Task] = "binary"
    curvature: ClassVar[float] = inf

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        return (1 - _sign(y) * z).clamp(min=0).squeeze(-1)

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        t = _sign(y)
        return -t * (t * z < 1)

    def curve(self, z: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(z).unsqueeze(-1)


@dataclass(frozen=True)
class SquaredHinge(Single):
    """max(0, 1 - m)^2, m = (2y - 1) z, as in scikit-learn's LinearSVC."""

    task: ClassVar[Task] = "binary"
    curvature: ClassVar[float] = 2.0

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        return (1 - _sign(y) * z).clamp(min=0).square().squeeze(-1)

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        t = _sign(y)
        return -2 * t * (1 - t * z).clamp(min=0)

    def curve(self, z: Tensor, y: Tensor) -> Tensor:
        return (2 * (_sign(y) * z < 1)).to(z.dtype).unsqueeze(-1)


@dataclass(frozen=True)
class Huber(Single):
    """r^2 / 2 where |r| = |z - y| <= delta, else delta (|r| - delta / 2), so the slope of an outlier is at most delta.

    delta: in units of the target.
    """

    delta: float = 1.0
    task: ClassVar[Task] = "regression"
    curvature: ClassVar[float] = 1.0

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        r = (z.squeeze(-1) - y).abs()
        inner = r.clamp(max=self.delta)
        return inner * (r - inner / 2)

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        return (z - y.unsqueeze(-1)).clamp(-self.delta, self.delta)

    def curve(self, z: Tensor, y: Tensor) -> Tensor:
        return ((z - y.unsqueeze(-1)).abs() <= self.delta).to(z.dtype).unsqueeze(-1)


@dataclass(frozen=True)
class Poisson(Single):
    """exp(z) - y z, the negative log likelihood of a count with mean exp(z), without the constant log y!."""

    task: ClassVar[Task] = "count"
    curvature: ClassVar[float] = inf

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        z = z.squeeze(-1)
        return z.exp() - y * z

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        return z.exp() - y.unsqueeze(-1)

    def curve(self, z: Tensor, y: Tensor) -> Tensor:
        return z.exp().unsqueeze(-1)


# Names of the experiment file -> constructors.
LOSSES: dict[str, Callable[..., Loss]] = {
    "linear": Squared,
    "logistic": Logistic,
    "softmax": Softmax,
    "svm": Hinge,
    "squared-svm": SquaredHinge,
    "huber": Huber,
    "poisson": Poisson,
}
