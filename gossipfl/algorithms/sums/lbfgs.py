"""Limited-memory BFGS on totals over all peers, with l1 orthant-wise; must not know rows or network."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from gossipfl.algorithms.newton import solve
from gossipfl.algorithms.sums.certificate import Evidence, certified, decided, distance, nothing, over
from gossipfl.algorithms.sums.newton import DECREASE, TRIALS, UNSEEN
from gossipfl.algorithms.sums.objective import Objective
from gossipfl.algorithms.sums.quadratic import lasso_step
from gossipfl.models.shard import Shard, unpacked
from gossipfl.tensors import Tensor, torch

MEMORY = 60
WORKING = 1000  # parameters that a Hessian may have
ROOM = 200  # of these, left for zeros that are to change
FIRST = 4.0  # the ratio of trial steps in the first search
CURVED = 1e-10  # the cosine between a step and the change of the gradient, at least
PATIENCE = 64  # certificates in a row that are not below half of the best one
LONG = 100.0  # times max(1, |x|): the longest step of the first search
NEAR = 10.0  # times the tolerance: the certificate from which on intercepts get Newton steps
BALANCED = 0.1  # of the gradient's norm: that of the intercepts must be below this for a certificate


class Remembering(NamedTuple):
    """The progress of a descent.

    x (d,): the last accepted point, with objective f and gradient g of the smooth part. p, t, slope, forced: as in `Stepping`.
    searching: the next sum has the losses of trial steps, in the first step alone. steps, changes (60, d): the last changes
    of x and of g, the newest last, 0 where there are fewer. curved: the next sum has a Hessian, too. length: of the last step
    by it.
    """

    x: Tensor
    f: Tensor
    g: Tensor
    p: Tensor
    t: Tensor
    slope: Tensor
    searching: Tensor
    forced: Tensor
    steps: Tensor
    changes: Tensor
    curved: Tensor
    length: Tensor
    evidence: Evidence
    finished: Tensor


@dataclass(frozen=True)
class LBFGS:
    """x' = x - t B g, g the mean gradient of all rows, B from the last 60 changes of x and g by the two-loop recursion.

    [weight, f, g] is one sum over all peers. With l1 it has the Hessian of a working set, too: of the parameters that are not 0
    and of zeros that are to change, those with the largest gradients first, 1,000 at most; and a step is a proximal Newton
    step of these. Where the support alone is larger, a step by the memory is of the support and of zeros that are to change. It
    stays in the orthant of x and of the steepest descent (Andrew, Gao, "Scalable training of L1-regularized log-linear models",
    ICML 2007); but only zeros need a direction that descends in each coordinate. Without l1 the certificate is
    |g| / (l2 |w|), once Newton steps of the intercepts alone have made their gradient short: partly minimised, the objective
    has at least the curvature l2.

    Nocedal, Wright, "Numerical optimization", 2nd ed. 2006, algorithm 7.4.
    """

    objective: Objective
    tolerance: float = 0.0

    def init(self, x: Tensor) -> Remembering:
        zero, nought, memory = x.new_tensor(0.0), torch.zeros_like(x), x.new_zeros(MEMORY, len(x))
        return Remembering(
            x, zero, nought, nought, zero, zero, zero, zero + 1, memory, memory, zero, zero + math.inf, nothing(x), zero
        )  # fmt: skip

    def contribute(self, s: Remembering, rows: Shard) -> Tensor:
        if s.searching:
            return torch.cat((rows.size[None], rows.losses(self._point(s, _trials(s)[:, None]))))
        x = self._point(s, s.t)
        f, g = rows.gradient(x)
        numbers = rows.size[None], f[None], rows.sides(x), g
        return torch.cat((*numbers, rows.hessian(x, self._free(x, s.g))) if s.curved else numbers)

    def update(self, s: Remembering, total: Tensor) -> Remembering:
        if s.finished:
            return s
        mean = total / total[0]
        if s.searching:
            return self._found(s, mean[1:])
        d, x, zero = len(s.x), self._point(s, s.t), torch.zeros_like(s.t)
        f, g = mean[1] + self.objective.penalty(x), self.objective.gradient(mean[5 : 5 + d], x)
        drowned = -s.slope < UNSEEN * max(1.0, abs(float(s.f)))
        if not (s.forced or drowned or f <= s.f + DECREASE * self._descent(s, x, s.t)):
            return s._replace(t=_shortened(s, f))
        penalised = bool(self.objective.l1 or self.objective.l2)
        evidence = decided(s.evidence, total[2:5], penalised, self.objective.free)
        after = _remembered(s, x, g)._replace(x=x, f=f, g=g, evidence=evidence, forced=zero)
        after = self._quasi(after)
        if s.curved:
            after = self._newton(after, self._free(x, s.g), mean[5 + d :], float(s.length))
        finished = torch.full_like(f, over(after.evidence, self.tolerance))
        return after._replace(p=after.p * (1 - finished), finished=finished)

    def _quasi(self, s: Remembering) -> Remembering:
        """The next step by the memory; the first one is to be shortened by a search."""
        down, one = -self._pseudo(s), torch.ones_like(s.t)
        if self.objective.l1:
            p = _inverse(_among(s, (s.x != 0) | (down != 0)), down)
            p = torch.where((s.x == 0) & (p * down <= 0) & (self.objective.lasso > 0), 0.0, p)
        else:
            p = _inverse(s, down)
        curved = bool(self.objective.l1) and self._fits(s.x, s.g)
        if curved and not s.curved:  # the next sum has the Hessian at x
            return s._replace(p=p * 0, t=one, slope=one * 0, forced=one, curved=one, length=one * math.inf)
        first = not s.changes[-1].any()
        if first and (size := torch.linalg.vector_norm(p)):
            p = p * (LONG * torch.linalg.vector_norm(s.x).clamp(min=1) / size)
        s = s._replace(p=p, t=one, slope=-(down @ p), searching=one * first, length=one * math.inf)
        if self.objective.l1:
            return s._replace(curved=one * curved)
        return self._bounded(s) if self.objective.l2 else s

    def _bounded(self, s: Remembering) -> Remembering:
        """The certificate without a Hessian. Near the tolerance the next sum has that of the intercepts."""
        slopes = self.objective.penalised > 0
        of_slopes, of_intercepts = (float(torch.linalg.vector_norm(s.g[part])) for part in (slopes, ~slopes))
        size = max(float(torch.linalg.vector_norm(s.x[slopes])), 1e-300)
        length = math.hypot(of_slopes, of_intercepts) / (self.objective.l2 * size)
        balanced = of_intercepts <= BALANCED * of_slopes
        found = certified(s.evidence, length, 0.0, 0.0 if balanced else math.inf, patience=PATIENCE)
        near = self.objective.free and length <= NEAR * self.tolerance
        return s._replace(evidence=found, curved=torch.full_like(s.t, near))

    def _newton(self, s: Remembering, free: Tensor, triangle: Tensor, before: float) -> Remembering:
        """The next step by the Hessian of the parameters `free`; `before` is the length of the last such step.

        Without l1 it is of the intercepts alone, if their gradient is long.
        """
        h = self.objective.bent(unpacked(triangle, len(free)), free)
        one, p = torch.ones_like(s.t), torch.zeros_like(s.p)
        if not self.objective.l1:
            if math.isfinite(float(s.evidence.certificate)):
                return s
            p[free] = -solve(h[None], s.g[free][None])[0]
            return s._replace(p=p, t=one, slope=s.g @ p, searching=one * 0, forced=one)
        lasso = self.objective.lasso
        p[free] = lasso_step(s.x[free], s.g[free], h, lasso[free])
        fixed = torch.ones_like(p, dtype=torch.bool)
        fixed[free] = False
        slope = s.g @ p + (lasso * ((s.x + p).abs() - s.x.abs())).sum()
        residual = self.objective.residual(s.x, s.g, h, p, free)
        length = math.inf if self._pseudo(s)[fixed].any() else distance(p, s.x, self.objective.units)
        contraction = length / before if before else math.inf
        found = certified(s.evidence, length, residual, contraction)
        return s._replace(
            p=p, t=one, slope=slope, searching=one * 0, length=one * distance(p, s.x, self.objective.units), evidence=found,
        )  # fmt: skip

    def _found(self, s: Remembering, losses: Tensor) -> Remembering:
        """After the first search: the trial step with the least objective, or shorter ones."""
        trials, zero = _trials(s), torch.zeros_like(s.t)
        points = self._point(s, trials[:, None])
        f = losses + self.objective.penalty(points)
        bound = s.f + DECREASE * torch.stack(
            [self._descent(s, x, t) for x, t in zip(points, trials, strict=True)]
        )
        best, place = torch.where(f <= bound, f, math.inf).min(0)
        if best < math.inf or trials[-1] < UNSEEN**2:
            return s._replace(t=trials[place], searching=zero, forced=zero + 1)
        return s._replace(t=trials[-1])

    def _point(self, s: Remembering, t: Tensor) -> Tensor:
        """x + t p. A coefficient with an l1 penalty that would leave its orthant is 0, but in Newton's steps."""
        x = s.x + t * s.p
        if not self.objective.l1 or s.length < math.inf:
            return x
        orthant = torch.where(s.x != 0, s.x.sign(), -self._pseudo(s).sign())
        return torch.where((x.sign() != orthant) & (self.objective.lasso > 0), 0.0, x)

    def _descent(self, s: Remembering, x: Tensor, t: Tensor) -> Tensor:
        """The fall of the objective from s.x to x = _point(s, t), to first order."""
        return t * s.slope if s.length < math.inf else self._pseudo(s) @ (x - s.x)

    def _pseudo(self, s: Remembering) -> Tensor:
        """The subgradient of the objective of least norm, (d,)."""
        lasso = self.objective.lasso
        return torch.where(
            s.x != 0, s.g + lasso * s.x.sign(), s.g - torch.minimum(torch.maximum(s.g, -lasso), lasso)
        )

    def _free(self, x: Tensor, g: Tensor) -> Tensor:
        """The parameters of the Hessian at x: intercepts; with l1 the support, too, and zeros that the gradient g changes."""
        chosen = self._support(x)
        excess = torch.where(chosen, 0.0, (g.abs() - self.objective.lasso) * (self.objective.l1 > 0))
        largest = excess.sort(descending=True, stable=True).indices[: max(0, WORKING - int(chosen.sum()))]
        chosen[largest[excess[largest] > 0]] = True
        return chosen.nonzero()[:, 0]

    def _support(self, x: Tensor) -> Tensor:
        """Which parameters are intercepts or, with l1, not 0, (d,)."""
        return (self.objective.penalised == 0) | ((x != 0) & (self.objective.l1 > 0))

    def _fits(self, x: Tensor, g: Tensor) -> bool:
        """Whether a working set has room for the support, and for zeros that are to change."""
        support = self._support(x)
        changing = int((~support & (g.abs() > self.objective.lasso)).sum())
        return int(support.sum()) + min(changing, ROOM) <= WORKING


def _trials(s: Remembering) -> Tensor:
    """The trial steps of the first search, (8,)."""
    return s.t * FIRST ** -torch.arange(TRIALS, dtype=s.t.dtype)


def _shortened(s: Remembering, f: Tensor) -> Tensor:
    """The step where the parabola through the objective f at x + t p has its minimum, from 0.1 t to 0.5 t."""
    least = -s.slope * s.t.square() / (2 * (f - s.f - s.slope * s.t))
    return torch.minimum(torch.maximum(least, 0.1 * s.t), 0.5 * s.t)


def _remembered(s: Remembering, x: Tensor, g: Tensor) -> Remembering:
    """The memory with the step to x; a change without curvature is left out."""
    step, change = x - s.x, g - s.g
    if not s.t or step @ change <= CURVED * torch.linalg.vector_norm(step) * torch.linalg.vector_norm(change):
        return s
    return s._replace(
        steps=torch.cat((s.steps[1:], step[None])), changes=torch.cat((s.changes[1:], change[None]))
    )


def _among(s: Remembering, free: Tensor) -> Remembering:
    """The memory of these parameters alone; a change without curvature is left out."""
    steps, changes = s.steps * free, s.changes * free
    sizes = torch.linalg.vector_norm(steps, dim=1) * torch.linalg.vector_norm(changes, dim=1)
    curved = (steps * changes).sum(1) > CURVED * sizes
    return s._replace(steps=steps * curved[:, None], changes=changes * curved[:, None])


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
