"""The certificate of a model that another method found, as sum methods; must not know rows, peers or that method."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from gossipfl.algorithms.newton import solve
from gossipfl.algorithms.sums.certificate import (
    CONSISTENT,
    CONTRACTION,
    FINE,
    Evidence,
    at_rounding,
    decided,
    distance,
    nothing,
    predicted,
)
from gossipfl.algorithms.sums.newton import DampedNewton, Stepping
from gossipfl.algorithms.sums.objective import Objective
from gossipfl.models.losses import Huber, Loss, SquaredHinge
from gossipfl.models.shard import Shard, unpacked
from gossipfl.tensors import Tensor, torch

LARGEST = 1000  # parameters of a Hessian
MOST = 30  # sums of one certificate
SHORT = 1e-2  # a Newton step below this tells the distance well; of a longer one the descent tells more
AGAIN = 2  # steps in a row that are not below half of the first one: it is at rounding
KNOWN = 0.01  # of a distance: what is left of the way to the optimum may be ignored
BALANCED = 0.1  # of the gradient's norm: that of the intercepts must be below this for a bound


class Probing(NamedTuple):
    """The progress of a probe.

    x (d,): the model in question. newton: a descent from there. sums: so far. first: the length of the Newton step at x; inf
    where guard A does not hold. close: how many steps after it, in a row, were not below half of it.
    """

    x: Tensor
    newton: Stepping
    sums: Tensor
    first: Tensor
    close: Tensor
    evidence: Evidence
    finished: Tensor


@dataclass(frozen=True)
class Probe:
    """The distance of x to the optimum: the length of the Newton step at x, if the step after it is at most half as long.

    Otherwise it may say nothing. The descent then goes on, for 30 sums at most, and its end tells the distance, or that there
    is no optimum. If the probe is not thorough, the second sum has a gradient alone, for the next step by the same Hessian, and
    the descent goes on only while more and more speaks against an optimum.

    newton: the descent. thorough: go on until the distance is known, and is met by the descent's tolerance.
    """

    newton: DampedNewton
    thorough: bool = False

    def init(self, x: Tensor) -> Probing:
        zero = x.new_tensor(0.0)
        return Probing(x, self._plain(x), zero, zero + math.inf, zero, nothing(x), zero)

    def contribute(self, s: Probing, rows: Shard) -> Tensor:
        if self._compares(s):
            f, g = rows.gradient(s.newton.x + s.newton.p)
            return torch.cat((rows.size[None], f[None], g))
        return self.newton.contribute(self._descent(s), rows)

    def update(self, s: Probing, total: Tensor) -> Probing:
        if s.finished:
            return s
        if self._compares(s):
            return self._compared(s, total)
        before = self._descent(s)
        after = self.newton.update(before, total)
        s = s._replace(newton=after, sums=s.sums + 1)
        if s.sums == 1:
            s = s._replace(first=s.first.new_tensor(self._first(after)))
            if self.thorough and not math.isfinite(float(s.first)):  # x may be far out: begin at 0
                s = s._replace(newton=self.newton.init(torch.zeros_like(s.x)))
        s = self._judged(s)
        known, over = _known(s.evidence), bool(s.evidence.verdict) or float(s.sums) >= MOST
        if self.thorough:
            met = known and (after.finished or float(s.evidence.certificate) <= self.newton.tolerance)
            over = over or bool(met)
            lends = isinstance(self.newton.loss, Huber | SquaredHinge) and math.isfinite(float(s.first))
            if lends and not known and s.sums == 2:  # curvature, to flat pieces
                s = s._replace(newton=self.newton.init(s.x))
        else:
            mounting = after.evidence.tail > before.evidence.tail or bool(s.close)
            over = over or known or (float(s.sums) > 1 and not mounting)
        return s._replace(finished=torch.full_like(s.sums, over))

    def _compares(self, s: Probing) -> bool:
        """Whether the next sum is for guard B alone."""
        return not self.thorough and float(s.sums) == 1 and math.isfinite(float(s.first))

    def _compared(self, s: Probing, total: Tensor) -> Probing:
        """The state after the sum of [weight, f, g] at the end of the first step."""
        contraction = self.newton.contraction(s.newton, total[2:] / total[0])
        s = s._replace(sums=s.sums + 1)
        if contraction > CONTRACTION:
            return s
        evidence = s.evidence._replace(contraction=s.first.new_tensor(contraction))
        return s._replace(
            evidence=evidence._replace(certificate=s.first, best=s.first), finished=torch.ones_like(s.sums)
        )

    def _judged(self, s: Probing) -> Probing:
        """The state with what the last sum says of the distance."""
        after, first = s.newton, float(s.first)
        found, evidence = after.evidence, s.evidence._replace(verdict=after.evidence.verdict)
        if _known(evidence):
            return s._replace(evidence=evidence)
        near = first <= SHORT or (not self.thorough and math.isfinite(first))
        content = s.sums == 1 and bool(after.finished) and math.isfinite(first)
        if first == 0 or content or (s.sums == 2 and near and found.contraction <= CONTRACTION):
            length = first
        elif s.sums > 1 and first <= FINE and not after.searching:
            short = not after.finished and distance(after.p, after.x, self.newton.objective.units) < first / 2
            close = s.close * 0 if short else s.close + 1
            if close >= AGAIN:
                evidence = evidence._replace(best=s.first, stalled=torch.ones_like(s.first))
                evidence = evidence._replace(certificate=s.first)
            return s._replace(close=close, evidence=evidence)
        else:
            length = self._reached(s)
        certificate = s.first.new_tensor(length)
        told = evidence._replace(certificate=certificate, contraction=found.contraction, best=certificate)
        return s._replace(evidence=told)

    def _reached(self, s: Probing) -> float:
        """The distance of x to the end of the descent; inf where there is none yet."""
        after = s.newton
        length = distance(after.x + after.p - s.x, after.x, self.newton.objective.units)
        if at_rounding(after.evidence):
            return max(length, float(after.evidence.best))
        left = float(after.evidence.certificate)
        return length if left <= max(KNOWN * length, self.newton.tolerance) else math.inf

    def _first(self, after: Stepping) -> float:
        """The length of the Newton step at x, if H maps it to the gradient."""
        if after.finished:  # the descent is content at once, and has no step
            return predicted(after.evidence)
        objective = self.newton.objective
        sound = objective.residual(after.x, after.g, after.h, after.p) <= CONSISTENT
        return distance(after.p, after.x, objective.units) if sound else math.inf

    def _descent(self, s: Probing) -> Stepping:
        """The descent; it begins at x, once that is the mean model."""
        return s.newton if s.sums else self._plain(s.x)

    def _plain(self, x: Tensor) -> Stepping:
        """The beginning of the descent at x, with the curvature that there is."""
        start = self.newton.init(x)
        return start._replace(stage=torch.zeros_like(start.t), lent=torch.zeros_like(start.t))


class Bounding(NamedTuple):
    """The progress of a bound. x (d,): the model, whose intercepts move; moved: by how much, all in all."""

    x: Tensor
    sums: Tensor
    moved: Tensor
    evidence: Evidence
    finished: Tensor


@dataclass(frozen=True)
class Bound:
    """The distance of x to the optimum is at most |g| / (l2 |w|), where there are too many parameters for a Hessian.

    Newton steps of the intercepts alone make their part of the gradient short before: partly minimised, the objective has at
    least the curvature l2. [weight, f, g, Hessian of the intercepts] is one sum.
    """

    objective: Objective

    def init(self, x: Tensor) -> Bounding:
        zero = x.new_tensor(0.0)
        return Bounding(x, zero, zero, nothing(x), zero)

    def contribute(self, s: Bounding, rows: Shard) -> Tensor:
        f, g = rows.gradient(s.x)
        numbers = rows.size[None], f[None], rows.sides(s.x), g
        return torch.cat((*numbers, rows.hessian(s.x, self._free)) if self.objective.free else numbers)

    def update(self, s: Bounding, total: Tensor) -> Bounding:
        if s.finished:
            return s
        d, mean, free = len(s.x), total / total[0], self._free
        g, sums = self.objective.gradient(mean[5 : 5 + d], s.x), s.sums + 1
        evidence = decided(s.evidence, total[2:5], penalised=True, free=self.objective.free)
        of_intercepts = torch.linalg.vector_norm(g[free])
        balanced = of_intercepts <= BALANCED * torch.linalg.vector_norm(g)
        if balanced or evidence.verdict or sums >= MOST:
            size = torch.linalg.vector_norm(s.x[self.objective.penalised > 0]).clamp(min=1e-300)
            length = torch.linalg.vector_norm(g) / (self.objective.l2 * size) + s.moved
            if not balanced:
                length = length * math.nan
            return s._replace(
                sums=sums, evidence=evidence._replace(certificate=length, best=length), finished=sums * 0 + 1
            )
        h = self.objective.bent(unpacked(mean[5 + d :], len(free)), free)
        step = torch.zeros_like(s.x)
        step[free] = -solve(h[None], g[free][None])[0]
        moved = s.moved + distance(step, s.x, self.objective.units)
        return s._replace(x=s.x + step, sums=sums, moved=moved, evidence=evidence)

    @property
    def _free(self) -> Tensor:
        return (self.objective.penalised == 0).nonzero()[:, 0]


def probe(objective: Objective, loss: Loss, tolerance: float, thorough: bool) -> Probe | Bound | None:
    """How to certify a model of this objective; None where nothing bounds its distance to the optimum."""
    if len(objective.penalised) <= LARGEST:
        return Probe(DampedNewton(objective, loss, tolerance or FINE), thorough)
    return Bound(objective) if objective.l2 and not objective.l1 else None


def _known(evidence: Evidence) -> bool:
    return math.isfinite(float(evidence.certificate))
