"""The minimum of a quadratic with an l1 penalty, to full precision; must not know where it comes from."""

import numpy as np
import numpy.typing as npt

from gossipfl.tensors import Tensor, torch

Array = npt.NDArray[np.float64]

SWEEPS = 20  # of coordinate descent, at most
PATTERNS = 200  # of signs that are tried
ROUNDING = 1e-13


def lasso_step(x: Tensor, gradient: Tensor, hessian: Tensor, lasso: Tensor) -> Tensor:
    """argmin_p  g'p + p'Hp/2 + sum_j l_j |x_j + p_j|, (d,), H positive semidefinite.

    Coordinate descent finds the signs. Then the minimum among these signs is exact. The objective falls all the way (Lee,
    Battle, Raina, Ng, "Efficient sparse coding algorithms", NeurIPS 2006: feature-sign search).
    """
    g, h = gradient.numpy(), hessian.numpy()
    diagonal = np.diag(h)
    live = np.flatnonzero(diagonal > 0)
    if not len(live):
        return torch.zeros_like(x)
    unit = 1 / np.sqrt(diagonal[live])
    scaled = unit[:, None] * h[np.ix_(live, live)] * unit
    start = x.numpy()[live] / unit
    found = _minimum(start, scaled, unit * g[live] - scaled @ start, unit * lasso.numpy()[live])
    step = np.zeros(len(g))
    step[live] = unit * found - x.numpy()[live]
    return torch.from_numpy(step)


def _minimum(z: Array, h: Array, c: Array, lasso: Array) -> Array:
    """argmin_z  c'z + z'Hz/2 + sum_j l_j |z_j|, where H has diagonal 1."""
    z = z.copy()
    for _ in range(SWEEPS):
        signs = np.sign(z)
        _sweep(z, h, c, lasso, range(len(z)))
        if (np.sign(z) == signs).all():
            break
    for _ in range(PATTERNS):
        if not _settle(z, h, c, lasso):
            continue
        v = c + h @ z
        wrong = np.flatnonzero((z == 0) & (abs(v) > lasso * (1 + 1e-10) + ROUNDING * abs(c).max()))
        if not len(wrong):
            break
        _sweep(z, h, c, lasso, wrong.tolist())
    return z


def _sweep(z: Array, h: Array, c: Array, lasso: Array, places: range | list[int]) -> None:
    """Minimise along these coordinates, one after the other."""
    v = c + h @ z
    for j in places:
        w = z[j] - v[j]
        new = w - min(max(w, -lasso[j]), lasso[j])
        if new != z[j]:
            v += h[:, j] * (new - z[j])
            z[j] = new


def _settle(z: Array, h: Array, c: Array, lasso: Array) -> bool:
    """Move to the minimum among the signs of z, or to where the first of them becomes 0; whether the minimum was reached."""
    free = np.flatnonzero((z != 0) | (lasso == 0))
    if not len(free):
        return True
    sign = np.sign(z[free]) * (lasso[free] > 0)
    matrix = h[np.ix_(free, free)]
    moved = z[free]
    for _ in range(2):  # the second time for the rounding error of the first
        moved = moved - _solved(matrix, c[free] + matrix @ moved + lasso[free] * sign)
    crossing = np.flatnonzero(moved * sign < 0)
    if not len(crossing):
        z[free] = moved
        return True
    reach = z[free][crossing] / (z[free] - moved)[crossing]
    z[free] += reach.min() * (moved - z[free])
    z[free[crossing[reach == reach.min()]]] = 0.0
    return False


def _solved(matrix: Array, vector: Array) -> Array:
    """H^-1 v. Where H is singular, the parts of v along flat directions that are not rounding make a very long step."""
    try:
        factor = np.linalg.cholesky(matrix)
        if np.diag(factor).min() ** 2 > 10 * len(vector) * np.finfo(np.float64).eps:
            from scipy.linalg import cho_solve

            solved: Array = cho_solve((factor, True), vector)
            return solved
    except np.linalg.LinAlgError:
        pass
    values, bases = np.linalg.eigh(matrix)
    least = 10 * len(vector) * np.finfo(np.float64).eps * values[-1]
    parts = bases.T @ vector
    flat = values <= least
    parts[flat & (abs(parts) <= 1e-10 * np.linalg.norm(vector))] = 0.0
    step: Array = bases @ (parts / np.maximum(values, least))
    return step
