"""Newton's method on noised totals of clipped rows; must not know rows, noise or network."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from gossipfl.algorithms.sums.certificate import Evidence, nothing
from gossipfl.algorithms.sums.dp_gd import UNKNOWN, Clipped
from gossipfl.algorithms.sums.objective import Objective
from gossipfl.algorithms.sums.products import asked, damped, read
from gossipfl.models.losses import Loss
from gossipfl.models.shard import Shard
from gossipfl.secrecy.promise import Query
from gossipfl.tensors import Tensor

SUMS = 3
WIDEST = 2.0  # slopes at which a slope is cut, in a row of usual length
SHARE = 2.0  # of the noise's norm, which is lent to the curvature


class Newtonian(NamedTuple):
    """The progress: x (d,), the model; weight (), the mean of the diagonal of the first Hessian."""

    x: Tensor
    weight: Tensor
    sums: Tensor
    evidence: Evidence
    finished: Tensor


@dataclass(frozen=True)
class ClippedNewton:
    """x' = x - (H + lambda I)^-1 g, three times; [g, H] a noised total of mean gradients and Hessians of rows, with l2.

    A row of features a counts f^2 times, f = min(1, C / |a|): rows that are far out count less, whatever their target, which
    does not bend the fit. Its slope, times f, is cut at r C, r = 2 / sqrt(d), and sent in units of r, its curvature in units
    of the largest one. lambda is as in `SufficientStatistics`, with 2 e, and so are numbers and norms.
    For a loss whose slope is 1 at most.

    Ganesh et al., "Faster differentially private convex optimization via second-order methods", NeurIPS 2023.
    """

    objective: Objective
    loss: Loss
    fixed: Clipped = UNKNOWN

    @staticmethod
    def asks(columns: int, _: int, clip: float) -> Query:
        """As `ClippedDescent.asks`."""
        return asked(SUMS, columns, clip)

    def init(self, x: Tensor) -> Newtonian:
        zero = x.new_tensor(0.0)
        return Newtonian(x, zero, zero, nothing(x), zero)

    def contribute(self, s: Newtonian, rows: Shard) -> Tensor:
        z = rows.margins(s.x)
        slopes = self.loss.slope(z, rows.target)[:, 0]
        bend = (self.loss.curve(z, rows.target)[:, 0, 0] / self.loss.curvature).clamp(0.0, 1.0).sqrt()
        return rows.products(self.fixed.clip, self._most(s.x), slopes, bend)

    def update(self, s: Newtonian, total: Tensor) -> Newtonian:
        if s.finished:
            return s
        matrix, products = read(total, len(s.x))
        weight = s.weight if s.sums else matrix.diagonal().mean().clamp(min=0)
        penalty = self.objective.ridge * weight / self.loss.curvature
        g = self._most(s.x) / self.loss.curvature * products + penalty * s.x
        x, sums = s.x - damped(matrix, g, penalty, self.fixed.noise, SHARE), s.sums + 1
        return Newtonian(x, weight, sums, s.evidence, (sums >= SUMS).to(sums))

    def _most(self, x: Tensor) -> float:
        """r."""
        return WIDEST / math.sqrt(len(x))
