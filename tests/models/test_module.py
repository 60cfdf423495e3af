"""Any torch module as a problem, compared with plain torch and with the closed form."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from gossipfl import rng
from gossipfl.errors import BadData
from gossipfl.models.linear import Linear
from gossipfl.models.losses import LOSSES
from gossipfl.models.module import Module
from gossipfl.models.problem import Problem

SIZES = (9, 4, 9, 6)
RANDOM = np.random.default_rng(3)


def regression(sizes: tuple[int, ...] = SIZES, p: int = 5) -> list[tuple[Any, Any]]:
    return [(RANDOM.normal(size=(n, p)), RANDOM.normal(size=(n, 1))) for n in sizes]


def mlp() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()


def test_seed_case_is_plain_torch() -> None:
    data = [(x.astype(np.float32), y.astype(np.float32)) for x, y in regression((100, 100), 10)]
    torch.manual_seed(0)
    problem = Module(nn.Linear(10, 1), nn.MSELoss(), data)
    x = problem.initial().repeat(2, 1)
    for round in range(50):
        x = x - 0.01 * problem.grad(round)(x)
    for row, (features, y) in zip(x, data, strict=True):
        model = problem.module_from(problem.initial())
        optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(50):
            optimiser.zero_grad()
            nn.MSELoss()(model(torch.from_numpy(features)), torch.from_numpy(y)).backward()
            optimiser.step()
        plain = nn.utils.parameters_to_vector(model.parameters())
        assert (row - plain).norm() <= 1e-6 * plain.norm()
        assert row.dtype == torch.float32


@pytest.mark.parametrize("batch", [None, 3])
@pytest.mark.parametrize("l2", [0.0, 0.2])
def test_any_module_is_its_own_autograd(batch: int | None, l2: float) -> None:
    data = [(RANDOM.normal(size=(n, 5)), RANDOM.integers(0, 3, n)) for n in SIZES]
    module, loss = mlp(), nn.CrossEntropyLoss()
    rows = torch.tensor([7, 1, 0, 2])
    problem = Module(module, loss, data, l2=l2, mean_rows=5.0, batch=batch, seed=4, rows=rows)
    x = problem.initial() + 0.1 * torch.randn(len(SIZES), problem.width).double()
    for i, (features, y) in enumerate(data):
        model = problem.module_from(x[i])
        weights = sum((p**2).sum() for n, p in model.named_parameters() if not n.endswith("bias"))

        def objective(
            take: Any, model: Any = model, weights: Any = weights, a: Any = features, y: Any = y
        ) -> Any:
            value = loss(model(torch.from_numpy(a)[take]), torch.from_numpy(y)[take])
            return len(y) / 5.0 * (value + l2 / 2 * weights)

        everything = torch.arange(len(y))
        taken = everything
        if batch:
            taken = torch.from_numpy(rng.integers(4, "batch", rows.numpy(), 6, batch, np.array(SIZES)))[i]
        objective(taken).backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
        torch.testing.assert_close(problem.grad(6)(x)[i], gradient, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(problem.loss(x)[i], objective(everything).detach(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("batch", [None, 3])
def test_linear_module_is_the_linear_problem(batch: int | None) -> None:
    data = regression()
    module = Module(
        nn.Linear(5, 1).double(), lambda a, b: nn.functional.mse_loss(a, b) / 2, data, l2=0.3, batch=batch
    )
    linear = Linear([(x, y[:, 0]) for x, y in data], LOSSES["linear"](), l2=0.3, batch=batch)
    x = torch.randn(len(SIZES), 6).double()
    torch.testing.assert_close(module.grad(2)(x), linear.grad(2)(x), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(module.loss(x), linear.loss(x), rtol=1e-12, atol=1e-13)
    assert module.prox(x, 0.1) is x
    assert module.smoothness().isinf().all()


def test_the_users_module_is_left_alone() -> None:
    module = mlp()
    problem = Module(module, nn.CrossEntropyLoss(), [(RANDOM.normal(size=(4, 5)), RANDOM.integers(0, 3, 4))])
    before = problem.initial()
    copy = problem.module_from(before + 1)
    problem.grad(0)(before[None])
    assert torch.equal(problem.initial(), before)
    assert torch.equal(nn.utils.parameters_to_vector(copy.parameters()), before + 1)
    assert all(p.grad is None for p in module.parameters())


def test_one_peer_or_many_flat_targets_and_dtype() -> None:
    data, loss = regression(), nn.MSELoss()
    many = Module(nn.Linear(5, 1), loss, [(x, y[:, 0]) for x, y in data], dtype=torch.float64, mean_rows=6.0)
    x = many.initial() + torch.randn(len(SIZES), 6).double()
    for i, (features, y) in enumerate(data):
        one = Module(nn.Linear(5, 1).double(), loss, [(sparse.csr_array(features), y)], mean_rows=6.0)
        torch.testing.assert_close(
            many.grad(0)(x)[i : i + 1], one.grad(0)(x[i : i + 1]), rtol=1e-12, atol=1e-13
        )
        with torch.no_grad():
            torch.testing.assert_close(
                many.loss(x)[i : i + 1], one.loss(x[i : i + 1]), rtol=1e-12, atol=1e-13
            )


def test_both_are_problems() -> None:
    problems: list[Problem] = [
        Module(nn.Linear(5, 1), nn.MSELoss(), regression()),
        Linear([(x, y[:, 0]) for x, y in regression()], LOSSES["linear"]()),
    ]
    assert [problem.width for problem in problems] == [6, 6]


def test_unusable_rows_are_refused() -> None:
    with pytest.raises(BadData, match="Peer 1 has 0 rows"):
        Module(nn.Linear(5, 1), nn.MSELoss(), [*regression((3,)), (np.ones((0, 5)), np.ones((0, 1)))])
