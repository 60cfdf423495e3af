"""Newton's method by exact averages, since the model is linear; must not know any engine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from gossipfl.algorithms.algorithm import Account, Grad, Mix
from gossipfl.mixing import Property

Hessian = Callable[[Tensor], Tensor]  # (n, d) -> (n, d, d), of each row's own objective
FLOOR = 1e3  # roundings: a gradient shorter than so many of the longest one seen is nothing but rounding
STRANGE = 1e3  # times what a mean of Hessians may hold, rounding included


class Iterating(NamedTuple):
    """Where a peer is: in the averaging, and in the descent.

    x (n, d), whose gradient and Hessian are being averaged;  v (n, 2d + d(d + 1)/2), how far that has come;  the last accepted
    base (n, d), its direction p (n, d), the gradient's norm there (n, 1), the largest norm seen (n, 1), the step length t
    that led to x (n, 1), and how many exchanges of the averaging are done (n, 1).
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

    With links that average exactly in `cycle` rounds, all peers take the same step as one that holds all data: ridge is
    solved by the first, logistic regression by some ten. If the gradient has not become shorter, x' is half-way (a
    quarter, ...) to the last x instead. Sends 2d + d(d + 1)/2 numbers a round.

    Exact averages in as many rounds as the Laplacian has distinct non-zero eigenvalues: Sandryhaila, Kar, Moura,
    "Finite-time distributed consensus through graph filters", ICASSP 2014. Damping on the gradient's norm: Nocedal,
    Wright, "Numerical optimization", 2nd ed. 2006, section 11.2.
    """

    cycle: int
    hessian: Hessian

    requires: ClassVar[Property] = Property.EXACT | Property.RELIABLE
    min_eigenvalue: ClassVar[float] = float("-inf")
    accounts: ClassVar[Mapping[str, Account]] = {}

    def init(self, x: Tensor) -> Iterating:
        n, d = x.shape
        zero, one = x.new_zeros(n, 1), x.new_ones(n, 1)
        v = x.new_zeros(n, 2 * d + d * (d + 1) // 2)
        return Iterating(x, v, x, torch.zeros_like(x), one / 0, zero, one, zero)

    def round(self, s: Iterating, grad: Grad, mix: Mix) -> Iterating:
        v = s.v
        if s.done[0] == 0:  # what has overflown is told as a number so large that all see it
            v = torch.cat((s.x, grad(s.x), _packed(self.hessian(s.x))), 1).nan_to_num(*_huge(v))
        v, done = mix(v), s.done + 1
        return self._descend(s, v) if done[0] == self.cycle else s._replace(v=v, done=done)

    def _descend(self, s: Iterating, v: Tensor) -> Iterating:
        """From the averages, at all peers the same, to the next x; each row for itself."""
        d = s.x.shape[1]
        x, g, packed = torch.split(v, [d, d, v.shape[1] - 2 * d], 1)
        norm = torch.linalg.vector_norm(g, dim=1, keepdim=True)
        better = (norm < s.norm) | (norm <= FLOOR * torch.finfo(x.dtype).eps * s.largest)
        curved = torch.where(
            better[:, :, None], _unpacked(packed, d), torch.eye(d, dtype=x.dtype, device=x.device)
        )
        p = torch.where(better, -_solve(curved, torch.where(better, g, 0.0)), s.p)
        base, norm = torch.where(better, x, s.base), torch.where(better, norm, s.norm)
        largest = torch.maximum(s.largest, norm)
        t = torch.where(better, 1.0, s.t / 2)
        return Iterating(base + t * p, v, base, p, norm, largest, t, torch.zeros_like(s.done))


def _packed(matrices: Tensor) -> Tensor:
    """The upper triangles, (n, d, d) -> (n, d (d + 1) / 2)."""
    rows, columns = torch.triu_indices(*matrices.shape[1:])
    return matrices[:, rows, columns]


def _unpacked(triangles: Tensor, d: int) -> Tensor:
    """The symmetric matrices of upper triangles, (n, d (d + 1) / 2) -> (n, d, d)."""
    rows, columns = torch.triu_indices(d, d)
    matrices = triangles.new_empty(len(triangles), d, d)
    matrices[:, rows, columns] = triangles
    matrices[:, columns, rows] = triangles
    return matrices


def _huge(like: Tensor) -> tuple[float, float, float]:
    """What stands for not a number, infinity and minus infinity: large, but not so large that a mean of them overflows."""
    huge = float(torch.finfo(like.dtype).max ** 0.5)
    return huge, huge, -huge


def _solve(matrices: Tensor, vectors: Tensor) -> Tensor:
    """H^+ g for each row, in units in which the diagonal of H is 1, so that the size of features does not matter.

    0 where H is no mean of Hessians, in which no entry is larger than its diagonal: somebody was missing in the averaging.
    """
    tiny = torch.finfo(matrices.dtype).tiny
    units = matrices.diagonal(dim1=1, dim2=2).clamp(min=tiny).rsqrt()
    scaled = units[:, :, None] * matrices * units[:, None, :]
    strange = ~(scaled.abs() <= STRANGE).flatten(1).all(1)[:, None]
    scaled = torch.where(strange[:, :, None], torch.eye(scaled.shape[1]).to(scaled), scaled)
    return units * _scaled(scaled, torch.where(strange, 0.0, units * vectors))


def _scaled(matrices: Tensor, vectors: Tensor) -> Tensor:
    """H^+ g by Cholesky; where H is singular, as where a column repeats another, by its eigenvalues."""
    factors, failed = torch.linalg.cholesky_ex(matrices)
    if not failed.any() and not _singular(factors):
        return torch.cholesky_solve(vectors[:, :, None], factors)[:, :, 0]
    values, bases = torch.linalg.eigh(matrices)
    small = values <= values.shape[1] * torch.finfo(values.dtype).eps * 10 * values[:, -1:]
    inverse = torch.where(small, 0.0, 1 / torch.where(small, 1.0, values))
    solved: Tensor = bases @ (inverse[:, :, None] * (bases.mT @ vectors[:, :, None]))
    return solved[:, :, 0]


def _singular(factors: Tensor) -> bool:
    """Whether a Cholesky factor has a pivot that is rounding beside the largest."""
    pivots = factors.diagonal(dim1=1, dim2=2).square()
    floor = pivots.shape[1] * torch.finfo(pivots.dtype).eps * 10
    return bool((pivots.amin(1) <= floor * pivots.amax(1)).any())
