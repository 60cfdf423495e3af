"""Gradient descent on noised totals of clipped gradients; must not know rows, noise or network."""

from dataclasses import dataclass
from typing import NamedTuple

from gossipfl.algorithms.sums.certificate import Evidence, nothing
from gossipfl.algorithms.sums.objective import Objective
from gossipfl.models.losses import Loss
from gossipfl.models.shard import Shard
from gossipfl.secrecy.promise import PLACES, Query
from gossipfl.tensors import Tensor, torch

SUMS = 30
MOMENTUM = 0.9
STEP = 0.5  # over the curvature of the loss
CALM = 36.0  # times the norm of the noise in a total: with fewer rows, steps are shorter


class Clipped(NamedTuple):
    """What is public beforehand.

    rows: of all peers, an estimate. clip: the norm to which a row is clipped. noise: its deviation in each number of a total.
    """

    rows: float = 1.0
    clip: float = 1.0
    noise: float = 0.0


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
    """v' = .9 v + g, w' = w - step v'; g = total / n + l2 w, a noised mean of clipped gradients, 30 times.

    total = sum_r slope_r row_r min(1, C / (|slope_r| |row_r|)), and noise, which the carrier adds.

    The model is the mean of w in the last half of the steps. Each row is rounded after it is clipped, so that a row changes the
    total by at most C, and the rounding, whatever the order of additions. The step is shorter in proportion where rows are
    fewer than 36 times the norm of the noise: as many steps then end nearer to the start, and noise moves the model less.

    Abadi et al., "Deep learning with differential privacy", CCS 2016, with whole batches.
    """

    objective: Objective
    loss: Loss
    fixed: Clipped = UNKNOWN

    @staticmethod
    def asks(columns: int, outputs: int, clip: float) -> Query:
        """What is summed for a model of so many columns, with that of ones, and margins."""
        return Query(SUMS, columns * outputs, clip)

    def init(self, x: Tensor) -> Descending:
        zero = x.new_tensor(0.0)
        return Descending(x, x, torch.zeros_like(x), zero, nothing(x), zero)

    def contribute(self, s: Descending, rows: Shard) -> Tensor:
        return rows.clipped(s.w, self.fixed.clip, PLACES)

    def update(self, s: Descending, total: Tensor) -> Descending:
        if s.finished:
            return s
        v = MOMENTUM * s.v + self.objective.gradient(total / self.fixed.rows, s.w)
        w, sums = s.w - self.step * v, s.sums + 1
        averaged = sums - SUMS // 2
        x = w if averaged <= 1 else s.x + (w - s.x) / averaged
        return Descending(x, w, v, sums, s.evidence, (sums >= SUMS).to(sums))

    @property
    def step(self) -> float:
        """The length of a step, in units of its velocity."""
        noise = self.fixed.noise * len(self.objective.penalised) ** 0.5
        return STEP / self.loss.curvature * min(1.0, self.fixed.rows / (CALM * noise) if noise else 1.0)
