"""Newton's method on totals over all peers; must not know rows or network."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from gossipfl.algorithms.newton import solve
from gossipfl.algorithms.sums.certificate import Evidence, certified, decided, distance, nothing, over
from gossipfl.algorithms.sums.objective import Objective
from gossipfl.algorithms.sums.quadratic import lasso_step
from gossipfl.models.losses import Huber, Loss, SquaredHinge
from gossipfl.models.shard import Shard, unpacked
from gossipfl.tensors import Tensor, torch

TRIALS = 8  # steps whose losses ride in one sum, each half as long as the one before
DECREASE = 1e-4  # Armijo's share
UNSEEN = 1e-12  # of the objective: a decrease below this drowns in the rounding of the losses
FAR = 2.0**20  # times the objective: a loss this large at any peer refuses a step, however large it is
LENT = 1e-3  # of the largest curvature, for rows on a flat piece, while the gradient is long
WIDENING = 4.0  # the factor between Huber's deltas
STAGES = 4  # of wider deltas before Huber's own


class Stepping(NamedTuple):
    """The progress of a descent.

    x (d,): the last accepted point, with objective f, gradient g of the smooth part, and its curvature h (d, d). p (d,): the
    step from there, along which the objective falls by `slope` at first. The next sum is taken at x + t p; or, `searching`,
    at shorter steps. forced: take what comes as the next point. stage: how often Huber's delta is to be narrowed. lent: the
    curvature lent to rows on a flat piece. first: the first norm of the gradient. finished: further steps gain nothing.
    """

    x: Tensor
    f: Tensor
    g: Tensor
    h: Tensor
    p: Tensor
    t: Tensor
    slope: Tensor
    searching: Tensor
    forced: Tensor
    stage: Tensor
    lent: Tensor
    first: Tensor
    evidence: Evidence
    finished: Tensor


@dataclass(frozen=True)
class DampedNewton:
    """x' = x + t p with p = argmin_p g'p + p'Hp/2 + l1 |x + p|_1: without l1, p = -H^+ g.

    [weight, f, g, H] at x + p is one sum. If the objective has not fallen enough, the losses of 8 shorter steps are one more.
    Ridge and lasso need two sums, of which the second one is the certificate. Losses in pieces lend curvature to rows on a flat
    piece while the gradient is long, and Huber's loss begins with wide deltas.

    Boyd, Vandenberghe, "Convex optimization", 2004, section 9.5; with l1: Lee, Sun, Saunders, "Proximal Newton-type methods for
    minimizing composite functions", SIAM J. Optimization 24(3), 2014.

    loss: of the rows. tolerance: the distance to the optimum at which x moves no more.
    """

    objective: Objective
    loss: Loss
    tolerance: float = 0.0

    def init(self, x: Tensor) -> Stepping:
        zero, one, d = x.new_tensor(0.0), x.new_tensor(1.0), len(x)
        stages = x.new_tensor(float(STAGES if isinstance(self.loss, Huber) else 0))
        lent = x.new_tensor(LENT if isinstance(self.loss, Huber | SquaredHinge) else 0.0)
        return Stepping(
            x, zero, torch.zeros_like(x), x.new_zeros(d, d), torch.zeros_like(x), zero, zero, zero, one, stages, lent,
            zero, nothing(x), zero,
        )  # fmt: skip

    def contribute(self, s: Stepping, rows: Shard) -> Tensor:
        rows = self._staged(s, rows)
        if s.searching:
            losses = rows.losses(s.x + _steps(s)[:, None] * s.p)
            far = FAR * (1.0 + s.f.abs()) * rows.size
            return torch.cat((rows.size[None], losses.nan_to_num(torch.inf).clamp(max=far)))
        x = s.x + s.t * s.p
        f, g = rows.gradient(x)
        return torch.cat((rows.size[None], f[None], rows.sides(x), g, rows.hessian(x, lent=float(s.lent))))

    def update(self, s: Stepping, total: Tensor) -> Stepping:
        if s.finished:
            return s
        if s.searching:
            return self._found(s, total[1:] / total[0])
        d, x, mean = len(s.x), s.x + s.t * s.p, total / total[0]
        g, h = self.objective.gradient(mean[5 : 5 + d], x), self.objective.bent(unpacked(mean[5 + d :], d))
        f = mean[1] + self.objective.penalty(x)
        drowned = -s.slope < UNSEEN * max(1.0, abs(float(s.f)))
        if not (s.forced or drowned or f <= s.f + DECREASE * s.t * s.slope):
            return s._replace(searching=torch.ones_like(s.t))
        evidence = decided(
            s.evidence, total[2:5], bool(self.objective.l1 or self.objective.l2), self.objective.free
        )
        return self._accepted(s._replace(evidence=evidence), x, f, g, h)

    def _found(self, s: Stepping, losses: Tensor) -> Stepping:
        """After a search: the step with the least objective among those that Armijo's rule accepts, or shorter ones."""
        steps = _steps(s)
        f = losses + self.objective.penalty(s.x + steps[:, None] * s.p)
        f = torch.where(f <= s.f + DECREASE * steps * s.slope, f, math.inf)
        best, place = f.min(0)
        if best < math.inf or steps[-1] < UNSEEN**2:
            zero = torch.zeros_like(s.t)
            return s._replace(t=steps[place], searching=zero, forced=zero + 1)
        return s._replace(t=steps[-1])

    def _accepted(self, s: Stepping, x: Tensor, f: Tensor, g: Tensor, h: Tensor) -> Stepping:
        p, norm = self._direction(x, g, h), torch.linalg.vector_norm(g)
        first = s.first if s.first else norm
        lent = torch.minimum(torch.ones_like(norm), norm / first) * LENT if s.lent else s.lent
        slope = g @ p + (self.objective.lasso * ((x + p).abs() - x.abs())).sum()
        evidence, zero = s.evidence, torch.zeros_like(f)
        if not s.stage:
            evidence = self._evidence(s, x, g, h, p, float(slope))
        finished = torch.full_like(f, over(evidence, self.tolerance))
        stage = (s.stage - 1).clamp(min=0)
        forced = (s.stage > 0).to(f)
        return Stepping(
            x,
            f,
            g,
            h,
            p * (1 - finished),
            zero + 1,
            slope,
            zero,
            forced,
            stage,
            lent,
            first,
            evidence,
            finished,
        )

    def _evidence(self, s: Stepping, x: Tensor, g: Tensor, h: Tensor, p: Tensor, slope: float) -> Evidence:
        """The certificate of x, whose Newton step is p; s is the state that led here."""
        units, residual = self.objective.units, self.objective.residual(x, g, h, p)
        length, contraction, shrinking = distance(p, x, units), math.inf, 0.0
        if s.t == 1 and (before := distance(s.p, x, units)):
            contraction, shrinking = distance(self._direction(x, g, s.h), x, units) / before, length / before
        decrement = math.sqrt(max(-slope, 0.0))
        return certified(s.evidence, length, residual, contraction, decrement, shrinking)

    def contraction(self, s: Stepping, of_loss: Tensor) -> float:
        """Guard B by the gradient of the loss (d,) after a full step: how much shorter the next one is by the same H."""
        x, units = s.x + s.p, self.objective.units
        step = self._direction(x, self.objective.gradient(of_loss, x), s.h)
        return distance(step, x, units) / distance(s.p, x, units)

    def _direction(self, x: Tensor, g: Tensor, h: Tensor) -> Tensor:
        if self.objective.l1:
            return lasso_step(x, g, h, self.objective.lasso)
        return -solve(h[None], g[None])[0]

    def _staged(self, s: Stepping, rows: Shard) -> Shard:
        if not s.stage or not isinstance(self.loss, Huber):
            return rows
        return replace(rows, loss=Huber(self.loss.delta * WIDENING ** float(s.stage)))


def _steps(s: Stepping) -> Tensor:
    """The trial steps, (8,)."""
    return s.t * 0.5 ** torch.arange(1, TRIALS + 1, dtype=s.t.dtype)
