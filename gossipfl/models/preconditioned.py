"""A problem in coordinates that make it better conditioned; must not know how peers agree on the coordinates."""

from dataclasses import dataclass

import numpy as np

from gossipfl import rng
from gossipfl.errors import Incompatible
from gossipfl.models.linear import Linear
from gossipfl.models.problem import Grad
from gossipfl.tensors import Tensor, torch

ITERATIONS = 60  # of the power method for the smoothness constant
MARGIN = 1.1  # the factor that its result is multiplied by


@dataclass(frozen=True)
class Preconditioner:
    """x = P z with P = I + U diag(sqrt(s_r / s) - 1) U^T.

    Along the directions U (d, r) the pooled objective has the curvatures s (r,), descending, in x; in z it has s_r.
    """

    directions: Tensor
    curvatures: Tensor

    def __call__(self, z: Tensor) -> Tensor:
        """P z, (n, d) -> (n, d); P is symmetric."""
        shrink = (self.curvatures[-1] / self.curvatures).sqrt() - 1
        x: Tensor = z + ((z @ self.directions) * shrink) @ self.directions.T
        return x


def probes(free: Tensor, rank: int, seed: int) -> Tensor:
    """The directions along which all peers send their curvature, orthonormal, (d, r), drawn from the seed.

    `free` (d,) is 1, or 0 for a parameter that stays 0 whatever is learned: directions have no part in it. The rank is at most
    the number of free parameters.
    """
    rank = min(rank, int(free.sum()))
    drawn = torch.from_numpy(rng.uniform(seed, "preconditioner", np.arange(rank), 0, len(free))).T - 0.5
    basis: Tensor = torch.linalg.qr(free[:, None] * drawn).Q * free[:, None]
    return basis


def curvature(problem: Linear, directions: Tensor) -> Tensor:
    """H_i Q at x = 0, which each peer sends, (n, d r) from Q (d, r)."""
    zero = directions.new_zeros(problem.share.shape[0], problem.width)
    return torch.cat([problem.hessian_times(zero, q.expand_as(zero)) for q in directions.T], 1)


def nystrom(directions: Tensor, products: Tensor) -> Preconditioner:
    """The leading directions and curvatures of H from Q and Y = H Q, both (d, r): H is about Y (Q^T Y)^-1 Y^T.

    A shift keeps it stable: Tropp, Yurtsever, Udell, Cevher, "Fixed-rank approximation of a positive-semidefinite matrix from
    streaming data", NeurIPS 2017, algorithm 3. For preconditioning: Frangella, Tropp, Udell, "Randomized Nystrom
    preconditioning", SIAM J. Matrix Analysis and Applications 44(2), 2023.
    """
    shift = torch.finfo(products.dtype).eps * len(products) ** 0.5 * torch.linalg.matrix_norm(products)
    shifted = products + shift * directions
    core = directions.T @ shifted
    factor, failed = torch.linalg.cholesky_ex((core + core.T) / 2)
    if failed or not products.any():
        raise Incompatible(
            "the loss has no curvature at 0, so there is nothing to precondition: leave out algorithm.precondition"
        )
    half = torch.linalg.solve_triangular(factor, shifted.T, upper=False).T
    found, values, _ = torch.linalg.svd(half, full_matrices=False)
    curvatures = (values.square() - shift).clamp(min=float(shift))
    return Preconditioner(found, curvatures)


class Preconditioned:
    """f(P z) as a function of z, for a linear problem f (a `Problem`)."""

    def __init__(self, problem: Linear, by: Preconditioner) -> None:
        self.problem, self.by, self.width, self.outputs = problem, by, problem.width, problem.outputs

    def loss(self, x: Tensor) -> Tensor:
        return self.problem.loss(self.by(x))

    def grad(self, round: int) -> Grad:
        inner = self.problem.grad(round)
        return lambda z: self.by(inner(self.by(z)))

    def prox(self, x: Tensor, step: float) -> Tensor:
        """The identity: there is no l1 penalty in these coordinates."""
        return x

    def smoothness(self) -> Tensor:
        """As `Linear.smoothness`, for P H_i P: by the power method, with a margin of a tenth."""
        v = torch.from_numpy(rng.uniform(0, "power", np.zeros(1, np.int64), 0, self.width) - 0.5)
        v = v.expand(len(self.problem.share), -1).to(self.problem.penalised)
        size = torch.ones_like(v[:, :1])
        for _ in range(ITERATIONS):
            v = v / size
            v = self.by(self.problem.bound_times(self.by(v)))
            size = torch.linalg.vector_norm(v, dim=1, keepdim=True)
        return MARGIN * size[:, 0].double()
