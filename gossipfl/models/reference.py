"""The optimum on the pooled data of all peers, to compare with; must not know how peers find it.

Damped Newton (Boyd and Vandenberghe 2004, section 9.5) with the exact Hessian, semi-smooth for Huber and squared hinge. With
l1, FISTA (Beck and Teboulle 2009) runs until the signs are right, then Newton on the support.
"""

import math
from contextlib import suppress

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.linalg import cg

from gossipfl.errors import BadExperiment, Incompatible
from gossipfl.models.linear import Linear
from gossipfl.models.losses import Hinge, Huber, SquaredHinge
from gossipfl.models.pooled import Array, Indices, Pooled
from gossipfl.tensors import Tensor, torch

_EXACT = 1000  # parameters up to which the Hessian is factorised
_RANK = 1e-13  # eigenvalues below this share of the largest are treated as zero
_PIVOT = 1e-9  # pivots below this mean that the rank may not be full
_STEP = 1e-10  # the square of a Newton step this small, relative to x, is below rounding
_ROUNDING = 1e-14  # a gradient this small, relative to what cancels in it, is rounding


def pooled_optimum(problem: Linear) -> Tensor:
    """The minimiser of the sum of all rows' objectives, (d,) float64 on the CPU, to near machine precision.

    If it is not unique (softmax, or fewer rows than features and no l2), it is the minimiser of least norm, or close to it.
    The intercepts of softmax sum to zero.

    Raises:
        Incompatible: the loss is the hinge, whose kinks Newton cannot handle.
        BadExperiment: there is no finite optimum, for example for separable classes without l2.
    """
    if isinstance(problem.loss_of_row, Hinge):
        raise Incompatible(
            "There is no reference for model.kind = 'svm', because the hinge has kinks; use 'squared-svm', or "
            "set reference = false."
        )
    pooled = Pooled(problem)
    x = _composite(pooled) if problem.l1 else _smooth(pooled)
    if x is None:
        raise BadExperiment(
            "the pooled problem has no finite optimum, or none that double precision can find (if a plane separates the "
            "classes, or all targets are the same, parameters grow without limit): set model.l2 above 0"
        )
    return torch.from_numpy(x)


def _smooth(pooled: Pooled) -> Array | None:
    """argmin of f(x). For Huber delta decreases step by step, because far from the optimum its slope is constant."""
    everything, x, loss = np.arange(len(pooled.zero)), pooled.zero, pooled.loss
    if isinstance(loss, Huber):
        widest = float(pooled.y.abs().max()) / loss.delta
        for power in range(math.ceil(math.log(1 + widest, 4)), 0, -1):
            pooled.loss = Huber(loss.delta * 4**power)
            nearer = _newton(pooled, x, pooled.l1, everything)
            x = x if nearer is None else nearer
        pooled.loss = loss
    return _newton(pooled, x, pooled.l1, everything)


def _newton(pooled: Pooled, x: Array, tilt: Array, free: Indices) -> Array | None:
    """argmin of f(x) + tilt @ x over the parameters `free`; None if Newton finds none."""
    free = free[np.argsort(free % pooled.outputs, kind="stable")]
    piecewise = isinstance(pooled.loss, Huber | SquaredHinge)
    first = 0.0
    # In an exponential tail, an optimum at infinity recedes by 1 in each step; after 36 it is below rounding.
    for _ in range(60 if piecewise else 30):
        gradient = (pooled.gradient(x) + tilt)[free]
        norm = float(np.linalg.norm(gradient))
        if norm == 0:
            return x
        first = first or norm
        # Rows on a flat piece have no curvature: add some, less and less, to keep the Hessian's rank.
        curves = pooled.curves(x, 1e-3 * min(1.0, norm / first) if piecewise else 0.0)
        if len(free) > _EXACT:
            rtol = min(0.1, max(norm / first, 1e-12))
            step = cg(pooled.product(curves, free), gradient, rtol=rtol, maxiter=10 * len(free))[0]
        else:
            hessian = pooled.hessian(curves, free)
            if not np.isfinite(hessian).all():
                return None
            step = _solve(hessian, gradient, pooled.shifts(free))
        change = np.linalg.norm(step) / (np.linalg.norm(x) + 1e-4)
        if change <= _STEP or (change <= 1e-4 and norm <= _ROUNDING * pooled.cancelling(x)):
            return _moved(x, free, step)
        moved = _search(pooled, x, tilt, free, step)
        if moved is None:
            return None
        x = moved
    return None


def _solve(hessian: Array, gradient: Array, shifts: Indices) -> Array:
    """The Newton step, by Cholesky if the Hessian has full rank but for `shifts`; otherwise the step of least norm.

    A shift gets a curvature, which changes nothing, since the gradient has no part along it; the step gets none either.
    """
    diagonal = np.sqrt(np.diag(hessian))
    flat = diagonal == 0  # constant columns
    size = np.where(flat, 1.0, diagonal)
    full = hessian / np.outer(size, size) + np.diag(flat.astype(float))
    for same in shifts[~flat[shifts].any(1)]:
        full[np.ix_(same, same)] += np.outer(size[same], size[same]) / (size[same] @ size[same])
    with suppress(np.linalg.LinAlgError):
        factor = cho_factor(full, lower=True)
        if np.diag(factor[0]).min() ** 2 > _PIVOT:
            solved: Array = cho_solve(factor, np.where(flat, 0.0, gradient / size)) / size
            solved[shifts] -= solved[shifts].mean(1, keepdims=True)
            return solved
    for scale in (1 / size, np.ones(len(gradient))):
        values, vectors = np.linalg.eigh(scale[:, None] * hessian * scale)
        keep = values > _RANK * values[-1]
        if keep.all():
            break
    vectors = vectors[:, keep]
    step: Array = scale * (vectors @ ((vectors.T @ (scale * gradient)) / values[keep]))
    return step


def _search(pooled: Pooled, x: Array, tilt: Array, free: Indices, step: Array) -> Array | None:
    """The point after the first of the steps 1, 1/2, 1/4, ... that Armijo's rule accepts, up to rounding of the value."""
    value, descent = pooled.value(x) + tilt @ x, (pooled.gradient(x) + tilt)[free] @ step
    for halvings in range(60):
        moved = _moved(x, free, step * 0.5**halvings)
        limit = value - 1e-4 * 0.5**halvings * descent + 1e-14 * abs(value)
        if pooled.value(moved) + tilt @ moved <= limit:  # false for nan
            return moved
    return None


def _moved(x: Array, free: Indices, step: Array) -> Array:
    moved = x.copy()
    moved[free] -= step
    return moved


def _composite(pooled: Pooled) -> Array | None:
    """argmin of f(x) + l1 |w|_1: FISTA finds a support, Newton its optimum, and the subgradient decides."""
    x, lipschitz = pooled.zero, 1e-6
    for _ in range(100):
        x, lipschitz = _fista(pooled, x, lipschitz)
        x, settled = _orthant(pooled, x)
        zero = (x == 0) & (pooled.l1 > 0)
        if settled and (abs(pooled.gradient(x)) <= (1 + 1e-9) * pooled.l1)[zero].all():
            return x
    return None


def _orthant(pooled: Pooled, x: Array) -> tuple[Array, bool]:
    """Moves towards the optimum among the signs of x, and drops signs that would change; also, whether it was reached.

    The objective decreases all the way (Lee, Battle, Raina and Ng 2007, feature-sign search).
    """
    while True:
        sign = np.sign(x) * (pooled.l1 > 0)
        target = _newton(pooled, x, pooled.l1 * sign, np.flatnonzero((sign != 0) | (pooled.l1 == 0)))
        if target is None:
            return x, False
        crossing = np.flatnonzero(target * sign < 0)
        if len(crossing) == 0:
            return target, True
        reach = x[crossing] / (x - target)[crossing]
        x = x + reach.min() * (target - x)
        x[crossing[reach == reach.min()]] = 0.0


def _fista(pooled: Pooled, x: Array, lipschitz: float, iterations: int = 200) -> tuple[Array, float]:
    """Accelerated proximal gradient with backtracking, from x and a lower bound of the Lipschitz constant."""
    ahead, momentum = x, 1.0
    for _ in range(iterations):
        value, gradient = pooled.value(ahead), pooled.gradient(ahead)
        while True:
            w = ahead - gradient / lipschitz
            new = w - np.clip(w, -pooled.l1 / lipschitz, pooled.l1 / lipschitz)
            change = new - ahead
            bound = value + gradient @ change + lipschitz / 2 * change @ change + 1e-14 * abs(value)
            if pooled.value(new) <= bound:
                break
            lipschitz *= 2
        restart = (ahead - new) @ (new - x) > 0
        following = 1.0 if restart else (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new if restart else new + (momentum - 1) / following * (new - x)
        x, momentum = new, following
    return x, lipschitz
