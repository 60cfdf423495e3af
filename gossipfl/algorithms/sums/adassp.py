"""Ridge regression from one noised total of products of clipped rows; must not know rows, noise or network."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from gossipfl.algorithms.sums.certificate import Evidence, nothing
from gossipfl.algorithms.sums.dp_gd import UNKNOWN, Clipped
from gossipfl.algorithms.sums.objective import Objective
from gossipfl.algorithms.sums.products import asked, damped, read
from gossipfl.models.shard import Shard
from gossipfl.secrecy.promise import Query
from gossipfl.tensors import Tensor, torch

WIDEST = 3.0  # deviations of the target at which it is cut, in a row of usual length
SHARE = 1.0  # of the noise's norm, which is lent to the curvature


class Solving(NamedTuple):
    """The progress: x (d,), the model; and whether the one sum is there."""

    x: Tensor
    evidence: Evidence
    finished: Tensor


@dataclass(frozen=True)
class SufficientStatistics:
    """w = (A'A + (lambda + l2 mean(diag(A'A))) I)^-1 A'b, from one noised total of A'A and A'b; intercepts have no l2.

    A row (x, y) becomes f (x, y), f = min(1, C / |x|): rows that are far out count less, whatever their target, which does not
    bend the fit. b is cut at r C, r = 3 deviations / sqrt(d), and sent in units of r. lambda = max(0, e - max(0, the smallest
    eigenvalue of the total)), e the usual norm of the noise of A'A: no noise makes the model long.

    Numbers beside the diagonal count 7/5, nearly sqrt(2), so that the noise is the same in all directions. A row changes the
    total by 5 sqrt(2) C^2 at most. All numbers are integers times 2^-24, whatever the order of additions.

    Wang, "Revisiting differentially private linear regression", UAI 2018, with Gaussian noise, and the smallest eigenvalue read
    off the total.
    """

    objective: Objective
    fixed: Clipped = UNKNOWN

    @staticmethod
    def asks(columns: int, _: int, clip: float) -> Query:
        """As `ClippedDescent.asks`."""
        return asked(1, columns, clip)

    def init(self, x: Tensor) -> Solving:
        return Solving(x, nothing(x), x.new_tensor(0.0))

    def contribute(self, s: Solving, rows: Shard) -> Tensor:
        target = rows.target if rows.offset is None else rows.target - rows.offset[:, 0]
        return rows.products(self.fixed.clip, self._most(s.x), target)

    def update(self, s: Solving, total: Tensor) -> Solving:
        if s.finished:
            return s
        matrix, products = read(total, len(s.x))
        penalty = self.objective.ridge * matrix.diagonal().mean().clamp(min=0)
        x = damped(matrix, self._most(s.x) * products, penalty, self.fixed.noise, SHARE)
        return Solving(x, s.evidence, torch.ones_like(s.finished))

    def _most(self, x: Tensor) -> float:
        """r."""
        return WIDEST * self.objective.units.spread / math.sqrt(len(x))
