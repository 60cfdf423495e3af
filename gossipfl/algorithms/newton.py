"""Newton's method with exact averages of gradients and Hessians; must not know any engine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from gossipfl.algorithms.algorithm import Account, Grad, Mix
from gossipfl.mixing import Property
from gossipfl.tensors import Tensor, torch

Hessian = Callable[[Tensor], Tensor]  # (n, d) -> (n, d, d), of each row's own objective
FLOOR = 1e3  # times machine epsilon: a gradient this short, relative to the longest one seen, is only rounding error
STRANGE = 1e3  # times the largest entry that a scaled mean of Hessians can have; leaves room for rounding


class Iterating(NamedTuple):
    """The progress of the averaging and of the descent.

    x (n, d): the point whose gradient and Hessian are being averaged. v (n, 2d + d(d + 1)/2): the averages so far. base (n, d):
    the last accepted point, with its direction p (n, d) and the norm of its gradient (n, 1). largest (n, 1): the largest norm
    seen. t (n, 1): the step length that led to x. done (n, 1): the number of exchanges done in this averaging.
    """

    x: Tensor
    v: Tensor
    base: Tensor
    p: Tensor
    norm: Tensor
    largest: Tensor
    t: Tensor
    done: Tensor


@dataclass(frozen=True)
class Newton:
    """[x, g, H] = mean over all peers of [x, grad(x), Hessian(x)], by `cycle` exchanges;  x' = x - H^+ g.

    If the links average exactly in `cycle` rounds, all peers take the same step as one machine that holds all data. Ridge
    regression needs one step, logistic regression about ten. If the gradient did not become shorter, the step from the last
    accepted x is halved instead, and again if needed. Sends 2d + d(d + 1)/2 numbers a round.

    Exact averages in as many rounds as the Laplacian has distinct non-zero eigenvalues: Sandryhaila, Kar, Moura,
    "Finite-time distributed consensus through graph filters", ICASSP 2014. Damping based on the gradient's norm: Nocedal,
    Wright, "Numerical optimization", 2nd ed. 2006, section 11.2.
    """

    cycle: int
    hessian: Hessian

    requires: ClassVar[Property] = Property.EXACT | Property.RELIABLE
    min_eigenvalue: ClassVar[float] = float("-inf")
    accounts: ClassVar[Mapping[str, Account]] = {}
    weighted: ClassVar[bool] = False

    def init(self, x: Tensor) -> Iterating:
        n, d = x.shape
        zero, one = x.new_zeros(n, 1), x.new_ones(n, 1)
        v = x.new_zeros(n, 2 * d + d * (d + 1) // 2)
        return Iterating(x, v, x, torch.zeros_like(x), one / 0, zero, one, zero)

    def round(self, s: Iterating, grad: Grad, mix: Mix) -> Iterating:
        v = s.v
        if s.done[0] == 0:  # an overflow becomes a number so large that every peer notices it
            v = torch.cat((s.x, grad(s.x), _packed(self.hessian(s.x))), 1).nan_to_num(*_huge(v))
        v, done = mix(v), s.done + 1
        return self._descend(s, v) if done[0] == self.cycle else s._replace(v=v, done=done)

    def _descend(self, s: Iterating, v: Tensor) -> Iterating:
        """The next x from the averages, which are the same at all peers. Each row is computed on its own."""
        d = s.x.shape[1]
        x, g, packed = torch.split(v, [d, d, v.shape[1] - 2 * d], 1)
        norm = torch.linalg.vector_norm(g, dim=1, keepdim=True)
        better = (norm < s.norm) | (norm <= FLOOR * torch.finfo(x.dtype).eps * s.largest)
        curved = torch.where(
            better[:, :, None], _unpacked(packed, d), torch.eye(d, dtype=x.dtype, device=x.device)
        )
        p = torch.where(better, -solve(curved, torch.where(better, g, 0.0)), s.p)
        base, norm = torch.where(better, x, s.base), torch.where(better, norm, s.norm)
        largest = torch.maximum(s.largest, norm)
        t = torch.where(better, 1.0, s.t / 2)
        return Iterating(base + t * p, v, base, p, norm, largest, t, torch.zeros_like(s.done))


def _packed(matrices: Tensor) -> Tensor:
    """The upper triangles of symmetric matrices, (n, d, d) -> (n, d (d + 1) / 2)."""
    rows, columns = torch.triu_indices(*matrices.shape[1:])
    return matrices[:, rows, columns]


def _unpacked(triangles: Tensor, d: int) -> Tensor:
    """The symmetric matrices with these upper triangles, (n, d (d + 1) / 2) -> (n, d, d)."""
    rows, columns = torch.triu_indices(d, d)
    matrices = triangles.new_empty(len(triangles), d, d)
    matrices[:, rows, columns] = triangles
    matrices[:, columns, rows] = triangles
    return matrices


def _huge(like: Tensor) -> tuple[float, float, float]:
    """The values that replace nan, inf and -inf: large, but a mean of them does not overflow."""
    huge = float(torch.finfo(like.dtype).max ** 0.5)
    return huge, huge, -huge


def solve(matrices: Tensor, vectors: Tensor) -> Tensor:
    """H^+ g for each row. H is scaled to have diagonal 1, so that the scale of the features does not matter.

    Where the diagonal is 0, so is the step: the parameter is of a feature that is 0 in all rows, or of rows on a flat piece.
    The result is 0 where H cannot be a mean of Hessians, because a scaled entry is far larger than the diagonal. Then a
    peer was missing from the averaging.
    """
    tiny = torch.finfo(matrices.dtype).tiny
    curvature = matrices.diagonal(dim1=1, dim2=2)
    flat = curvature == 0
    units = torch.where(flat, 0.0, curvature.clamp(min=tiny).rsqrt())
    scaled = units[:, :, None] * matrices * units[:, None, :] + torch.diag_embed(flat.to(units))
    strange = ~(scaled.abs() <= STRANGE).flatten(1).all(1)[:, None]
    scaled = torch.where(strange[:, :, None], torch.eye(scaled.shape[1]).to(scaled), scaled)
    return units * _scaled(scaled, torch.where(strange, 0.0, units * vectors))


def _scaled(matrices: Tensor, vectors: Tensor) -> Tensor:
    """H^+ g by Cholesky, or by eigenvalues if H is singular (for example when a column repeats another)."""
    factors, failed = torch.linalg.cholesky_ex(matrices)
    if not failed.any() and not _singular(factors):
        return torch.cholesky_solve(vectors[:, :, None], factors)[:, :, 0]
    values, bases = torch.linalg.eigh(matrices)
    small = values <= values.shape[1] * torch.finfo(values.dtype).eps * 10 * values[:, -1:]
    inverse = torch.where(small, 0.0, 1 / torch.where(small, 1.0, values))
    solved: Tensor = bases @ (inverse[:, :, None] * (bases.mT @ vectors[:, :, None]))
    return solved[:, :, 0]


def _singular(factors: Tensor) -> bool:
    """Whether a Cholesky factor has a pivot that is only rounding error, compared with the largest pivot."""
    pivots = factors.diagonal(dim1=1, dim2=2).square()
    floor = pivots.shape[1] * torch.finfo(pivots.dtype).eps * 10
    return bool((pivots.amin(1) <= floor * pivots.amax(1)).any())
