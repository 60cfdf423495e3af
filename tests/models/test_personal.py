"""A peer's own model: the minimiser near the shared one, and the strength that its folds choose."""

import math

import numpy as np
import pytest
import torch

from gossipfl.models.losses import Huber, Logistic, Poisson, Softmax, Squared, SquaredHinge
from gossipfl.models.personal import STRENGTHS, Part, path, personal

LOSSES = {
    "linear": (Squared(), 1), "logistic": (Logistic(), 1), "softmax": (Softmax(), 3), "huber": (Huber(0.5), 1),
    "poisson": (Poisson(), 1), "squared-svm": (SquaredHinge(), 1), "a class without rows": (Softmax(unseen=1), 4),
}  # fmt: skip


def part(outputs, classes, rows=60):
    r = np.random.default_rng(1)
    x = np.column_stack([r.normal(size=(rows, 3)), np.ones(rows)])
    w = r.random(rows)
    y = r.integers(0, classes, rows)
    return Part(
        *(torch.from_numpy(np.asarray(a, float)) for a in (x, r.normal(size=(rows, outputs)), y, w / w.sum()))
    )


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_pulls_at_the_minimiser(name):
    """The gradient of loss and penalty is 0; the problem is strictly convex, so there is one such point."""
    loss, outputs = LOSSES[name]
    rows = part(outputs, 3 if outputs > 1 else 2)
    for strength, v in zip((3.0, 0.01), path(loss, rows, (3.0, 0.01)), strict=True):
        slope = loss.slope(rows.z + rows.x @ v, rows.y)
        gradient = rows.x.T @ (rows.weight[:, None] * slope) + strength * v
        assert float(gradient.abs().max()) < 1e-9


def test_least_squares_has_a_closed_form():
    rows = part(1, 5)
    (v,) = path(Squared(), rows, (0.3,))
    x, w = rows.x.numpy(), rows.weight.numpy()[:, None]
    closed = np.linalg.solve(x.T @ (w * x) + 0.3 * np.eye(4), x.T @ (w * (rows.y[:, None] - rows.z).numpy()))
    np.testing.assert_allclose(v, closed, atol=1e-12)


def test_folds_choose_by_what_the_rows_say():
    """Rows like the shared model keep it or stay near; rows of another model leave it; few rows keep it."""
    r = np.random.default_rng(2)
    x = np.column_stack([r.normal(size=(200, 3)), np.ones(200)])
    shared = x @ [1.0, -1.0, 0.5, 2.0]
    noise = r.normal(size=200)
    like = personal(Squared(), x, shared + noise, shared[:, None])
    other = personal(Squared(), x, -shared + 0.01 * noise, shared[:, None])
    few = personal(Squared(), x[:9], -shared[:9], shared[:9, None])
    assert like.strength >= 0.1
    assert other.strength == STRENGTHS[-1]
    np.testing.assert_allclose(other.change[:, 0], [-2.0, 2.0, -1.0, -4.0], atol=0.05)
    assert math.isinf(few.strength)
    assert not few.change.any()
