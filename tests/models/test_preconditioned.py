"""Better conditioned coordinates: compared with dense matrices, and the same optimum in fewer rounds."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from gossipfl.algorithms import ExactDiffusion
from gossipfl.engine import relative_distance
from gossipfl.mixing import Mixing
from gossipfl.models import LOSSES, Linear, Preconditioned, pooled_optimum
from gossipfl.models.preconditioned import Preconditioner, curvature, nystrom, probes
from gossipfl.simulator import Simulator
from gossipfl.topology import load, schedule

PEERS, WIDTH = 6, 8


def problem(kind: str = "linear", as_sparse: bool = False) -> Linear:
    draw = np.random.default_rng(2)
    x: Any = draw.normal(size=(PEERS, 20, WIDTH)) * np.logspace(0, -1.5, WIDTH)
    z = x @ draw.normal(size=WIDTH) + 0.1 * draw.normal(size=(PEERS, 20))
    y = z if kind == "linear" else (z > 0) * 1.0 if kind == "logistic" else np.digitize(z, (-0.5, 0.5)) * 1.0
    loss = LOSSES[kind]()
    shards = [(sparse.csr_array(a) if as_sparse else a, b) for a, b in zip(x, y, strict=True)]
    return Linear(shards, loss, outputs=loss.outputs(3), l2=1e-3)


def preconditioned(of: Linear, rank: int) -> Preconditioned:
    directions = probes(torch.ones(of.width, dtype=torch.float64), rank, 0)
    told = curvature(of, directions).mean(0).view(rank, of.width).T
    return Preconditioned(of, nystrom(directions, told))


@pytest.mark.parametrize("kind", ["linear", "logistic", "softmax"])
@pytest.mark.parametrize("as_sparse", [False, True])
def test_curvature_is_the_hessian_times_a_vector(kind: str, as_sparse: bool) -> None:
    of, dense = problem(kind, as_sparse), problem(kind)
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(PEERS, of.width)))
    v = torch.from_numpy(np.random.default_rng(3).normal(size=(PEERS, of.width)))
    if (
        kind == "softmax"
    ):  # its dense Hessian has curvature along the shift of the intercepts, the loss has none
        v[:, -3:] -= v[:, -3:].mean(1, keepdim=True)
    expected = (dense.hessian(x) @ v[:, :, None])[:, :, 0]
    torch.testing.assert_close(of.hessian_times(x, v), expected, rtol=1e-11, atol=1e-12)
    bound = (v * of.bound_times(v)).sum(1) - (v * expected).sum(1)
    assert (bound >= -1e-12).all()


def test_with_all_directions_the_curvature_is_the_same_along_each() -> None:
    of = problem()
    hessian = of.hessian(torch.zeros(PEERS, of.width, dtype=torch.float64)).mean(0)
    made = preconditioned(of, of.width).by
    matrix = made(torch.eye(of.width, dtype=torch.float64))
    flat = matrix @ hessian @ matrix
    torch.testing.assert_close(
        flat, float(made.curvatures[-1]) * torch.eye(of.width, dtype=torch.float64), rtol=1e-6, atol=1e-8
    )


def test_its_gradient_is_that_of_its_loss_and_its_smoothness_no_less_than_the_truth() -> None:
    made = preconditioned(problem("logistic"), 3)
    z = torch.from_numpy(np.random.default_rng(4).normal(size=(PEERS, made.width))).requires_grad_()
    (expected,) = torch.autograd.grad(made.loss(z).sum(), z)
    torch.testing.assert_close(made.grad(0)(z.detach()), expected, rtol=1e-10, atol=1e-12)
    eye = torch.eye(made.width, dtype=torch.float64)
    bounds = torch.stack([made.by(made.problem.bound_times(made.by(e.expand(PEERS, -1)))) for e in eye], 2)
    assert (made.smoothness() >= torch.linalg.eigvalsh(bounds)[:, -1]).all()


def rounds(of: Linear | Preconditioned, by: Preconditioner | None) -> int:
    optimum = pooled_optimum(of if isinstance(of, Linear) else of.problem)
    algorithm = ExactDiffusion(1 / float(of.smoothness().max()))
    simulator = Simulator(algorithm, of, schedule(load("full:6")), Mixing(gamma=0.5))
    run = simulator.init(torch.zeros(PEERS, of.width, dtype=torch.float64))
    for count in range(1, 40_000):
        run = simulator.step(run)
        x = by(run.state.x) if by else run.state.x
        if float(relative_distance(x, optimum[None]).max()) < 1e-9:
            return count
    raise AssertionError("it never came near")


def test_the_same_optimum_in_far_fewer_rounds() -> None:
    of = problem()
    made = preconditioned(of, of.width)
    assert 5 * rounds(made, made.by) < rounds(of, None)
