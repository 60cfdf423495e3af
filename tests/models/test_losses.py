"""Each loss, compared with autograd and its own bound, also for margins so large that a naive formula overflows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gossipfl.models.losses import LOSSES, Huber, Loss

CASES = {**{name: make() for name, make in LOSSES.items()}, "huber-3": Huber(delta=3.0)}
each_loss = pytest.mark.parametrize("loss", CASES.values(), ids=CASES.keys())


def draw(loss: Loss, seed: int, scale: float) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    k = loss.outputs(4)
    z = scale * torch.randn(5, 6, k, dtype=torch.float64, generator=random)
    y = {
        "regression": torch.randn(5, 6, generator=random),
        "binary": torch.randint(2, (5, 6), generator=random),
        "multiclass": torch.randint(4, (5, 6), generator=random),
        "count": torch.randint(9, (5, 6), generator=random),
    }[loss.task]
    return z, y.double()


anything = given(seed=st.integers(0, 10**6), scale=st.sampled_from([0.1, 1.0, 5.0]))


@each_loss
@settings(max_examples=10, deadline=None)
@anything
def test_slope_is_the_derivative_of_value(loss: Loss, seed: int, scale: float) -> None:
    z, y = draw(loss, seed, scale)
    z.requires_grad_()
    value = loss.value(z, y)
    assert value.shape == y.shape
    (slope,) = torch.autograd.grad(value.sum(), z)
    torch.testing.assert_close(loss.slope(z.detach(), y), slope, rtol=1e-12, atol=1e-12)


@each_loss
@settings(max_examples=10, deadline=None)
@anything
def test_curve_is_the_derivative_of_slope_and_below_curvature(loss: Loss, seed: int, scale: float) -> None:
    z, y = draw(loss, seed, scale)
    curve = loss.curve(z, y)
    jacobian = torch.func.vmap(torch.func.jacrev(loss.slope))(z.flatten(0, 1), y.flatten())
    torch.testing.assert_close(curve.flatten(0, 1), jacobian, rtol=1e-12, atol=1e-12)
    norm = torch.linalg.eigvalsh(curve)
    assert norm.min() >= -1e-14
    assert norm.max() <= loss.curvature + 1e-14


@each_loss
def test_curvature_is_the_least_bound(loss: Loss) -> None:
    z = torch.linspace(-3, 3, 61, dtype=torch.float64)
    y = z.new_zeros(61)
    z = z[:, None] if loss.outputs(2) == 1 else torch.stack([z, -z], 1)
    if loss.curvature < float("inf"):
        assert torch.linalg.eigvalsh(loss.curve(z, y)).max() == pytest.approx(loss.curvature)


@pytest.mark.parametrize(
    "loss", [loss for name, loss in CASES.items() if name != "poisson"]
)  # exp(z) is the loss itself
def test_large_margins_stay_finite(loss: Loss) -> None:
    z = torch.tensor([-1e4, 1e4, 0.0], dtype=torch.float64)
    z = z[:, None] if loss.outputs(3) == 1 else z[None]
    for y in (torch.zeros(len(z)).double(), torch.ones(len(z)).double()):
        assert loss.value(z, y).isfinite().all()
        assert loss.slope(z, y).isfinite().all()
        assert loss.curve(z, y).isfinite().all()


def test_a_confident_right_answer_still_costs_something() -> None:
    cost = LOSSES["logistic"]().value(torch.tensor([[40.0]]).double(), torch.ones(1).double())
    assert cost.item() == pytest.approx(4.248354255291589e-18, rel=1e-12)
