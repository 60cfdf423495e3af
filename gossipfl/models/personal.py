"""A model of a peer's own near the shared one, from its own rows; must not know other peers.

The peer minimises mean_r loss(z_r + X_r v, y_r) + strength/2 |v|^2 over v, a ridge towards the shared model with margins z.
Its folds choose the strength: the one with the smallest mean loss on the rows that were left out, where an infinite strength
stands for the shared model itself. The rows that were left out had a part in the shared model, so the choice leans towards it,
the less the more peers there are.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gossipfl.models.losses import Loss
from gossipfl.tensors import Tensor, torch

STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
FOLDS = 5
MIN_ROWS = 2 * FOLDS  # with fewer rows a peer keeps the shared model
_STEPS = 50
_HALVINGS = 30
_SMALL = 1e-10  # a Newton step of this size is the last one
_ROUNDING = 1e-14  # of the objective, relative


class Personal(NamedTuple):
    """What is added to the shared model, (q, outputs), and how strongly it was held back; inf: nothing is added."""

    change: Tensor
    strength: float


class Part(NamedTuple):
    """Rows of one peer: features with a column of ones, shared margins, targets, and weights that sum to 1."""

    x: Tensor  # (m, q)
    z: Tensor  # (m, outputs)
    y: Tensor  # (m,)
    weight: Tensor  # (m,)

    def take(self, which: Tensor) -> "Part":
        weight = self.weight[which]
        return Part(self.x[which], self.z[which], self.y[which], weight / weight.sum().clamp(min=1e-300))


def personal(
    loss: Loss,
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    margins: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64] | None = None,
) -> Personal:
    """A peer's own change of the shared model.

    Args:
        loss: with a slope that is continuous; not the hinge.
        x: its training rows, (m, q), in their order, with a column of ones if there is an intercept.
        y: their targets, (m,).
        margins: of the shared model, with offsets, (m, outputs).
        weight: of the rows, (m,); None: 1.
    """
    m, nothing = len(y), torch.zeros(x.shape[1], margins.shape[1], dtype=torch.float64)
    own = np.ones(m) if weight is None else weight
    whole = Part(*(torch.tensor(part, dtype=torch.float64) for part in (x, margins, y, own / own.sum())))
    if m < MIN_ROWS:
        return Personal(nothing, math.inf)
    fold = torch.arange(m) * FOLDS // m  # rows in a row, as rows that follow each other in time are alike
    total = torch.zeros(1 + len(STRENGTHS), dtype=torch.float64)
    for k in range(FOLDS):
        train, rest = whole.take(fold != k), whole.take(fold == k)
        share = whole.weight[fold == k].sum()
        found = [nothing, *path(loss, train, STRENGTHS)]
        total += share * torch.stack([_mean_loss(loss, rest, v) for v in found])
    best = int(total.nan_to_num(nan=math.inf).argmin())
    if best == 0:
        return Personal(nothing, math.inf)
    return Personal([*path(loss, whole, STRENGTHS[:best])][-1], STRENGTHS[best - 1])


def path(loss: Loss, part: Part, strengths: Iterable[float]) -> Iterable[Tensor]:
    """The minimisers for strengths from the largest to the smallest, (q, outputs), each the start of the next."""
    v = torch.zeros(part.x.shape[1], part.z.shape[1], dtype=torch.float64)
    for strength in strengths:
        v = _newton(loss, part, strength, v)
        yield v


def _mean_loss(loss: Loss, part: Part, v: Tensor) -> Tensor:
    return part.weight @ loss.value(part.z + part.x @ v, part.y)


def _newton(loss: Loss, part: Part, strength: float, v: Tensor) -> Tensor:
    """Damped Newton; the penalty on all parameters makes the Hessian positive definite."""
    q, outputs = v.shape

    def value(v: Tensor) -> float:
        return float(_mean_loss(loss, part, v) + strength / 2 * v.square().sum())

    now = value(v)
    for _ in range(_STEPS):
        z = part.z + part.x @ v
        gradient = part.x.T @ (part.weight[:, None] * loss.slope(z, part.y)) + strength * v
        curve = part.weight[:, None, None] * loss.curve(z, part.y)
        blocks = [
            [(part.x * curve[:, a, b, None]).T @ part.x for b in range(outputs)] for a in range(outputs)
        ]
        hessian = torch.cat([torch.cat(row, 1) for row in blocks]) + strength * torch.eye(
            q * outputs, dtype=v.dtype
        )
        step = torch.linalg.solve(hessian, gradient.T.reshape(-1)).view(outputs, q).T
        slope, length = float((gradient * step).sum()), 1.0
        for _ in range(_HALVINGS):
            later = value(v - length * step)
            if later <= now - 1e-4 * length * slope + _ROUNDING * (1 + abs(now)):
                break
            length /= 2
        else:
            return v
        v, now = v - length * step, later
        if float(step.norm()) <= _SMALL * (1 + float(v.norm())):
            return v
    return v
