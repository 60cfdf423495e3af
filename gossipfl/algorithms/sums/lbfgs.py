"""Limited-memory BFGS on totals over all peers, with l1 orthant-wise; must not know rows or network."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gossipfl.algorithms.newton import solve
from gossipfl.algorithms.sums.certificate import Evidence, certified, decided, distance, nothing, over
from gossipfl.algorithms.sums.newton import DECREASE, TRIALS, UNSEEN
from gossipfl.algorithms.sums.objective import Objective
from gossipfl.models.shard import Shard, unpacked

MEMORY = 60
SUPPORT = 1000  # parameters up to which Newton's method finishes on the support
HELD = 5  # sums for which the signs must have held before
FIRST = 4.0  # the ratio of trial steps in the first search
CURVED = 1e-10  # the cosine between a step and the change of the gradient, at least
PATIENCE = 64  # certificates in a row that are not below half of the best one
BALANCED = 0.1  # of the gradient's norm: that of the intercepts must be below this for a certificate


class Remembering(NamedTuple):
    """The progress of a descent.

    x (d,): the last accepted point, with objective f and gradient g of the smooth part. p, t, slope, searching, forced: as
    in `Stepping`; trial steps fall by `ratio`. steps, changes (60, d): the last changes of x and of g, the newest last, 0
    where there are fewer. held: for how many sums the signs of x have held. curved: 1 if the next sum has a Hessian, too.
    length: of the last step by it.
    """

    x: Tensor
    f: Tensor
    g: Tensor
    p: Tensor
    t: Tensor
    slope: Tensor
    searching: Tensor
    forced: Tensor
    ratio: Tensor
    steps: Tensor
    changes: Tensor
    held: Tensor
    curved: Tensor
    length: Tensor
    evidence: Evidence
    finished: Tensor


@dataclass(frozen=True)
class LBFGS:
    """x' = x - t B g, B from the last 60 changes of x and g by the two-loop recursion: [weight, f, g] is one sum.

    With l1 a step stays in the orthant of x and of the steepest descent (Andrew, Gao, "Scalable training of L1-regularized
    log-linear models", ICML 2007). Once the signs have held for 5 sums, the sum has the Hessian on the support, too, and
    Newton's method finishes. Without l1 the certificate is |g| / (l2 |w|), once Newton steps of the intercepts alone have
    made their gradient short: partly minimised, the objective has at least the curvature l2.

    Nocedal, Wright, "Numerical optimization", 2nd ed. 2006, algorithm 7.4.
    """

    objective: Objective
    tolerance: float = 0.0

    def init(self, x: Tensor) -> Remembering:
        zero = x.new_tensor(0.0)
        memory = x.new_zeros(MEMORY, len(x))
        return Remembering(
            x, zero, torch.zeros_like(x), torch.zeros_like(x), zero, zero, zero, zero + 1, zero + 0.5, memory, memory, zero,
            zero, zero + math.inf, nothing(x), zero,
        )  # fmt: skip

    def contribute(self, s: Remembering, rows: Shard) -> Tensor:
        if s.searching:
            return torch.cat((rows.size[None], rows.losses(self._point(s, _trials(s)[:, None]))))
        x = self._point(s, s.t)
        f, g = rows.gradient(x)
        numbers = rows.size[None], f[None], rows.sides(x), g
        return torch.cat((*numbers, rows.hessian(x, self._free(x))) if s.curved else numbers)

    def update(self, s: Remembering, total: Tensor) -> Remembering:
        mean = total / total[0]
        if s.searching:
            return self._found(s, mean[1:])
        d, x = len(s.x), self._point(s, s.t)
        f, g = mean[1] + self.objective.penalty(x), self.objective.gradient(mean[5 : 5 + d], x)
        drowned = -s.slope < UNSEEN * max(1.0, abs(float(s.f)))
        if not (s.forced or drowned or f <= s.f + DECREASE * self._descent(s, x)):
            return s._replace(searching=torch.ones_like(s.t))
        penalised = bool(self.objective.l1 or self.objective.l2)
        evidence = decided(s.evidence, total[2:5], penalised, self.objective.free)
        held = torch.where((x.sign() == s.x.sign())[self.objective.penalised > 0].all(), s.held + 1, 0.0)
        after = _remembered(s, x, g)._replace(
            x=x, f=f, g=g, held=held, evidence=evidence, forced=torch.zeros_like(f)
        )
        after = self._newton(after, mean[5 + d :]) if s.curved else self._quasi(after)
        finished = torch.full_like(f, over(after.evidence, self.tolerance))
        return after._replace(p=after.p * (1 - finished), finished=finished)

    def _quasi(self, s: Remembering) -> Remembering:
        """The next step by the memory."""
        down = -self._pseudo(s)
        p = _inverse(s, down)
        p = torch.where((p * down <= 0) & (self.objective.lasso > 0), 0.0, p)
        first = not s.changes[-1].any()
        if first and (size := torch.linalg.vector_norm(p)):
            p = p * (100 * torch.linalg.vector_norm(s.x).clamp(min=1) / size)
        one = torch.ones_like(s.t)
        s = s._replace(
            p=p, t=one, slope=-(down @ p), searching=one * first, ratio=one / (FIRST if first else 2.0)
        )
        if self.objective.l1:
            support = int(((s.x != 0) | (self.objective.lasso == 0)).sum())
            return s._replace(curved=one * (s.held >= HELD and support <= SUPPORT), length=one * math.inf)
        return self._bounded(s)

    def _bounded(self, s: Remembering) -> Remembering:
        """The certificate without a Hessian."""
        slopes = self.objective.penalised > 0
        of_slopes, of_intercepts = (float(torch.linalg.vector_norm(s.g[part])) for part in (slopes, ~slopes))
        if not self.objective.l2:
            return s
        size = max(float(torch.linalg.vector_norm(s.x[slopes])), 1e-300)
        length = math.hypot(of_slopes, of_intercepts) / (self.objective.l2 * size)
        balanced = of_intercepts <= BALANCED * of_slopes
        if not balanced and length <= 10 * max(self.tolerance, 1e-12):
            return s._replace(curved=torch.ones_like(s.t), p=torch.zeros_like(s.p))
        found = certified(s.evidence, length, 0.0, 0.0 if balanced else math.inf, patience=PATIENCE)
        return s._replace(evidence=found)

    def _newton(self, s: Remembering, triangle: Tensor) -> Remembering:
        """The next step by the Hessian of the parameters `_free`; with l1 as long as the signs hold."""
        free, down, one = self._free(s.x), -self._pseudo(s), torch.ones_like(s.t)
        p = torch.zeros_like(s.p)
        h = self.objective.bent(unpacked(triangle, len(free)), free)
        p[free] = solve(h[None], down[free][None])[0]
        s = s._replace(p=p, t=one, slope=-(down @ p), curved=one * 0)
        if not self.objective.l1:
            return s._replace(forced=one)
        length = distance(p, s.x, self.objective.units)
        zeros = torch.ones_like(p, dtype=torch.bool)
        zeros[free] = False
        turned = ((s.x + p).sign() != s.x.sign())[free] & (self.objective.lasso[free] > 0)
        if turned.any() or down[zeros].any():
            return self._quasi(s._replace(held=one * 0))
        residual = float(torch.linalg.vector_norm(h @ p[free] - down[free])) / max(
            float(torch.linalg.vector_norm(s.g)), 1e-300
        )
        contraction = length / float(s.length)
        found = certified(s.evidence, length, residual, contraction)
        return s._replace(curved=one, length=one * length, evidence=found)

    def _found(self, s: Remembering, losses: Tensor) -> Remembering:
        """After a search, as for Newton's method."""
        trials, zero = _trials(s), torch.zeros_like(s.t)
        points = self._point(s, trials[:, None])
        f = losses + self.objective.penalty(points)
        bound = s.f + DECREASE * torch.stack([self._descent(s, x) for x in points])
        best, place = torch.where(f <= bound, f, math.inf).min(0)
        if best < math.inf or trials[-1] < UNSEEN**2:
            return s._replace(t=trials[place], searching=zero, forced=zero + 1, ratio=zero + 0.5)
        return s._replace(t=trials[-1])

    def _point(self, s: Remembering, t: Tensor) -> Tensor:
        """x + t p; a coefficient with an l1 penalty that would leave its orthant is 0."""
        x = s.x + t * s.p
        if not self.objective.l1:
            return x
        orthant = torch.where(s.x != 0, s.x.sign(), -self._pseudo(s).sign())
        return torch.where((x.sign() != orthant) & (self.objective.lasso > 0), 0.0, x)

    def _descent(self, s: Remembering, x: Tensor) -> Tensor:
        """The fall of the objective from s.x to x, to first order."""
        return self._pseudo(s) @ (x - s.x)

    def _pseudo(self, s: Remembering) -> Tensor:
        """The subgradient of the objective of least norm, (d,)."""
        lasso = self.objective.lasso
        return torch.where(
            s.x != 0, s.g + lasso * s.x.sign(), s.g - torch.minimum(torch.maximum(s.g, -lasso), lasso)
        )

    def _free(self, x: Tensor) -> Tensor:
        """The parameters of the Hessian: intercepts and, with l1, the support of x."""
        chosen = self.objective.penalised == 0
        return (chosen | (x != 0) if self.objective.l1 else chosen).nonzero()[:, 0]


def _trials(s: Remembering) -> Tensor:
    """The trial steps, (8,): the first search, which has no idea of the length, begins with the step itself."""
    first = 0 if s.ratio < 0.5 and s.t == 1 else 1
    return s.t * s.ratio ** torch.arange(first, first + TRIALS, dtype=s.t.dtype)


def _remembered(s: Remembering, x: Tensor, g: Tensor) -> Remembering:
    """The memory with the step to x; a change without curvature is left out."""
    step, change = x - s.x, g - s.g
    if not s.t or step @ change <= CURVED * torch.linalg.vector_norm(step) * torch.linalg.vector_norm(change):
        return s
    return s._replace(
        steps=torch.cat((s.steps[1:], step[None])), changes=torch.cat((s.changes[1:], change[None]))
    )


def _inverse(s: Remembering, v: Tensor) -> Tensor:
    """B v by the two-loop recursion; v without a memory."""
    used = s.changes.any(1).nonzero()[:, 0].tolist()
    if not used:
        return v
    rho = {i: 1 / (s.steps[i] @ s.changes[i]) for i in used}
    alpha = {}
    for i in reversed(used):
        alpha[i] = rho[i] * (s.steps[i] @ v)
        v = v - alpha[i] * s.changes[i]
    newest = used[-1]
    v = v / (rho[newest] * s.changes[newest].square().sum())
    for i in used:
        v = v + (alpha[i] - rho[i] * (s.changes[i] @ v)) * s.steps[i]
    return v
