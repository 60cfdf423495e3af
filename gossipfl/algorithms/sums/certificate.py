"""How far a model is from the optimum of all data, from totals alone; must not know rows or peers.

With the gradient g and the Hessian H of the pooled objective at x, the Newton step s = H^+ g is the distance to the optimum,
as far as the objective is quadratic that far. Two guards tell whether it is.
"""

import math
from enum import IntEnum
from typing import NamedTuple

from gossipfl.tensors import Tensor, torch

LEAST = 1e-3  # of the spread of the target: slopes below this size are measured in these units
CONSISTENT = 1e-6  # guard A: |g - H s| / |g|
CONTRACTION = 0.5  # guard B: |H^+ g(x - s)| / |s|
STILL = 1e-13  # a step that is shorter moves nothing, so that guard B does not apply
FINE = 1e-6  # a certificate above this is not at rounding
TAIL = 1e-3  # sqrt(g's) below which Newton's steps should contract, where there is an optimum
SHRINKING = 0.5  # of the length of the last step; on an exponential tail steps keep their length
STEPS = 5  # in a row that do not shrink, where there is no optimum


class Units(NamedTuple):
    """The units in which distances of parameters count.

    deviation, mean: (p,) of the features over all rows.
    spread: the standard deviation of the target; 1 where the model gives margins or logarithms.
    outputs: margins of a row.
    """

    deviation: Tensor
    mean: Tensor
    spread: float = 1.0
    outputs: int = 1


def distance(step: Tensor, x: Tensor, units: Units) -> float:
    """The relative size of a step (d,) from x (d,): that of the slopes, or that of the intercept, whichever is larger.

    Slopes count times the deviation of their feature, relative to those of x; slopes smaller than 1e-3 of the spread of the
    target count as of that size. The intercept counts at the mean row, relative to that of x or to the spread, if that is
    larger: a target may be centred.
    """
    p = len(units.deviation)
    (ds, db), (ws, wb) = (_parts(v.view(-1, units.outputs), p, units) for v in (step, x))
    return max(_ratio(ds, ws, LEAST * units.spread), _ratio(db, wb, units.spread))


def _parts(w: Tensor, p: int, units: Units) -> tuple[Tensor, Tensor]:
    slopes = w[:p] * units.deviation[:, None]
    return slopes, w[p:].sum(0) + units.mean @ w[:p] if len(w) > p else slopes[:0]


def _ratio(step: Tensor, x: Tensor, floor: float) -> float:
    size = float(torch.linalg.vector_norm(step))
    return size / max(float(torch.linalg.vector_norm(x)), floor) if size else 0.0


class Verdict(IntEnum):
    """Whether there is an optimum, and why not."""

    OPEN = 0
    SEPARATED = 1  # without a penalty, and all rows on their side of 0: a proof
    ONE_SIDED = 2  # one class only, or counts that are all 0, with a free intercept: a proof
    RECEDING = 3  # full Newton steps do not shrink, though the objective hardly falls


class Evidence(NamedTuple):
    """What certificates have shown so far; every field is ().

    certificate: the predicted distance to the optimum; nan if a guard says that it means nothing, inf if there was none.
    contraction: of the last full step; inf if there was none.
    best, stalled: the smallest certificate so far, and which share of the patience is used up since.
    tail: the full steps in a row after which an optimum should have been near, and was not.
    verdict: a `Verdict`.
    """

    certificate: Tensor
    contraction: Tensor
    best: Tensor
    stalled: Tensor
    tail: Tensor
    verdict: Tensor


def nothing(like: Tensor) -> Evidence:
    """Before the first certificate."""
    inf, zero = like.new_tensor(math.inf), like.new_tensor(0.0)
    return Evidence(inf, inf, inf, zero, zero, zero)


def certified(
    before: Evidence,
    length: float,
    residual: float,
    contraction: float,
    decrement: float = math.inf,
    shrinking: float = 0.0,
    patience: int = 2,
) -> Evidence:
    """The evidence after one more certificate.

    Args:
        before: so far.
        length: of the Newton step s, by `distance`.
        residual: |g - H s| / |g|.
        contraction: |H^+ g(x - s)| / |s| of the step that led here; inf if unknown.
        decrement: sqrt(g's).
        shrinking: |s| relative to the step that led here, if that was a full Newton step.
        patience: how many certificates in a row may be not below half of the best one.
    """
    sound = (
        residual <= CONSISTENT and (contraction <= CONTRACTION or length <= STILL) and math.isfinite(length)
    )
    best, stalled = float(before.best), float(before.stalled)
    if sound and length < best / 2:
        best, stalled = length, 0.0
    elif best <= FINE:
        stalled += 1.0 / patience
    lost = decrement < TAIL and shrinking > SHRINKING and length > TAIL
    tail = float(before.tail) + 1.0 if lost else 0.0
    verdict = float(before.verdict) or (Verdict.RECEDING if tail >= STEPS else Verdict.OPEN)
    numbers = length if sound else math.nan, contraction, best, stalled, tail, verdict
    return Evidence(*(before.best.new_tensor(float(number)) for number in numbers))


def decided(before: Evidence, sides: Tensor, penalised: bool, free: bool) -> Evidence:
    """The evidence after the numbers of `Shard.sides` (3,), summed over all rows.

    Args:
        penalised: there is an l1 or l2 penalty.
        free: there is an intercept.
    """
    astray, low, high = sides.tolist()
    if free and (low == 0 or high == 0):
        return before._replace(verdict=before.best.new_tensor(float(Verdict.ONE_SIDED)))
    if not penalised and astray == 0:
        return before._replace(verdict=before.best.new_tensor(float(Verdict.SEPARATED)))
    return before


def at_rounding(evidence: Evidence) -> bool:
    """Whether certificates have stopped falling: none was below half of the best one, which is below 1e-6."""
    return float(evidence.stalled) >= 1


def reached(evidence: Evidence, tolerance: float) -> bool:
    """Whether the distance to the optimum is at most the tolerance."""
    return predicted(evidence) <= tolerance


def predicted(evidence: Evidence) -> float:
    """The distance to the optimum: the certificate or, at rounding, the best one; nan or inf if there is none."""
    if evidence.verdict:
        return math.nan
    return float(evidence.best) if at_rounding(evidence) else float(evidence.certificate)


def over(evidence: Evidence, tolerance: float) -> bool:
    """Whether further steps would not make the model better: the tolerance is met, or rounding, or there is no optimum."""
    return reached(evidence, tolerance) or at_rounding(evidence) or float(evidence.verdict) > 0
