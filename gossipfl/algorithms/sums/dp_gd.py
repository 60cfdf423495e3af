"""Gradient descent on noised totals of clipped gradients; must not know rows, noise or network."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gossipfl.algorithms.sums.certificate import Evidence, nothing
from gossipfl.algorithms.sums.objective import Objective
from gossipfl.models.losses import Loss
from gossipfl.models.shard import Shard

MOMENTUM = 0.9
STEP = 0.25  # over the curvature of the loss
PLACES = 24  # binary places to which each row is rounded


class Clipped(NamedTuple):
    """What is fixed beforehand: rows of all peers (an estimate), the norm to which a row is clipped, and the sums."""

    rows: float = 1.0
    clip: float = 1.0
    sums: int = 1


UNKNOWN = Clipped()


class Descending(NamedTuple):
    """The progress: x (d,) the model, the mean of the iterates of the last half; w (d,) the iterate, v its velocity."""

    x: Tensor
    w: Tensor
    v: Tensor
    sums: Tensor
    evidence: Evidence
    finished: Tensor


@dataclass(frozen=True)
class ClippedDescent:
    """v' = .9 v + g, w' = w - step v'; g = total / n + l2 w, a noised mean of clipped gradients.

    total = sum_r slope_r row_r min(1, C / (|slope_r| |row_r|)), and noise, which the carrier adds.

    The model is the mean of w in the last half of the steps. Each row is rounded after it is clipped, so that a row changes the
    total by at most C, and the rounding, whatever the order of additions.

    Abadi et al., "Deep learning with differential privacy", CCS 2016, with whole batches.
    """

    objective: Objective
    loss: Loss
    fixed: Clipped = UNKNOWN

    def init(self, x: Tensor) -> Descending:
        zero = x.new_tensor(0.0)
        return Descending(x, x, torch.zeros_like(x), zero, nothing(x), zero)

    def contribute(self, s: Descending, rows: Shard) -> Tensor:
        return rows.clipped(s.w, self.fixed.clip, PLACES)

    def update(self, s: Descending, total: Tensor) -> Descending:
        if s.finished:
            return s
        v = MOMENTUM * s.v + self.objective.gradient(total / self.fixed.rows, s.w)
        w, sums = s.w - STEP / self.loss.curvature * v, s.sums + 1
        averaged = sums - self.fixed.sums // 2
        x = w if averaged <= 1 else s.x + (w - s.x) / averaged
        return Descending(x, w, v, sums, s.evidence, (sums >= self.fixed.sums).to(sums))
