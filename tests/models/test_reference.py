"""The pooled optimum, compared with closed forms, scikit-learn and scipy."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.optimize import minimize

from gossipfl.errors import BadExperiment, Incompatible
from gossipfl.models.linear import Linear
from gossipfl.models.losses import LOSSES, Huber
from gossipfl.models.pooled import Pooled
from gossipfl.models.reference import pooled_optimum

RANDOM = np.random.default_rng(7)
N, P, CLASSES = 90, 5, 3
X = RANDOM.normal(size=(N, P)) @ np.diag([1, 0.5, 2, 1, 3])
Z = X @ np.array([1.0, -1.0, 0.0, 0.3, 0.0]) + 0.4
TARGETS: dict[str, Any] = {
    "regression": Z + RANDOM.standard_t(2, size=N),
    "binary": (RANDOM.random(N) < 1 / (1 + np.exp(-Z))).astype(float),
    "multiclass": RANDOM.integers(0, CLASSES, N) * (Z > 0) + (Z <= 0),
    "count": RANDOM.poisson(np.exp(Z / 3)).astype(float),
}
CUTS = (12, 30, 77)
SMOOTH = [name for name in LOSSES if name != "svm"]


def linear(name: str, x: Any = X, y: Any = None, **options: Any) -> Linear:
    """The rows x, y divided among four peers of different sizes."""
    loss = LOSSES[name]()
    y = TARGETS[loss.task] if y is None else y
    edges = [0, *(c for c in CUTS if c < len(y)), len(y)]
    data = [(x[a:b], y[a:b]) for a, b in pairwise(edges)]
    return Linear(data, loss, outputs=loss.outputs(CLASSES), **options)


def weights(problem: Linear) -> tuple[Any, Any]:
    """(coefficients, intercept) in the form of scikit-learn."""
    x = pooled_optimum(problem).view(-1, problem.outputs).numpy()
    return x[:-1].T.squeeze(), x[-1].squeeze()


def same(ours: tuple[Any, Any], fitted: Any, tolerance: float) -> None:
    np.testing.assert_allclose(ours[0], fitted.coef_.squeeze(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(ours[1], np.squeeze(fitted.intercept_), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_gradient_vanishes(name: str, l2: float, kind: str) -> None:
    problem = linear(name, X if kind == "dense" else sparse.csr_array(X), l2=l2)
    x = pooled_optimum(problem).expand(4, -1)
    assert problem.grad(0)(x).mean(0).norm() < 1e-13
    if name == "softmax":
        assert x[0].view(-1, CLASSES)[-1].sum().abs() < 1e-12


def test_ridge_in_closed_form() -> None:
    a = np.c_[X, np.ones(N)]
    closed = np.linalg.solve(a.T @ a / N + 0.1 * np.diag([1] * P + [0]), a.T @ TARGETS["regression"] / N)
    np.testing.assert_allclose(pooled_optimum(linear("linear", l2=0.1)), closed, rtol=1e-13)


def test_least_norm_where_many_optima() -> None:
    wide, y = RANDOM.normal(size=(20, 40)), RANDOM.normal(size=20)
    problem = linear("linear", wide, y, intercept=False)
    np.testing.assert_allclose(pooled_optimum(problem), np.linalg.lstsq(wide, y)[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("l2", [0.01, 1.0])
def test_scikit_learn(l2: float) -> None:
    from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

    same(weights(linear("linear", l2=l2)), Ridge(alpha=N * l2).fit(X, TARGETS["regression"]), 1e-11)
    for name in ("logistic", "softmax"):
        y = TARGETS[LOSSES[name]().task]
        model = LogisticRegression(C=1 / (N * l2), tol=1e-12, solver="newton-cholesky", max_iter=1000)
        same(weights(linear(name, l2=l2)), model.fit(X, y), 1e-7)
    model = PoissonRegressor(alpha=l2, tol=1e-12, solver="newton-cholesky", max_iter=1000)
    same(weights(linear("poisson", l2=l2)), model.fit(X, TARGETS["count"]), 1e-7)


@pytest.mark.parametrize("l2", [0.0, 0.2])
@pytest.mark.parametrize("l1", [0.02, 0.3])
def test_elastic_net(l1: float, l2: float) -> None:
    from sklearn.linear_model import ElasticNet

    model = ElasticNet(alpha=l1 + l2, l1_ratio=l1 / (l1 + l2), tol=1e-14, max_iter=100000)
    same(weights(linear("linear", l1=l1, l2=l2)), model.fit(X, TARGETS["regression"]), 1e-8)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("l1", [0.03, 5.0])
def test_l1_optimality(name: str, l1: float) -> None:
    problem = linear(name, l1=l1, l2=0.01)
    x = pooled_optimum(problem)
    g = problem.grad(0)(x.expand(4, -1)).mean(0) / l1
    penalised, zero = problem.penalised.bool(), x == 0
    assert torch.allclose(g[penalised & ~zero], -x.sign()[penalised & ~zero], atol=1e-11)
    assert (g[penalised & zero].abs() <= 1 + 1e-9).all()
    assert torch.allclose(g[~penalised], torch.zeros(1).double(), atol=1e-11)
    assert l1 < 1 or zero.any()


@pytest.mark.parametrize("name", ["huber", "squared-svm"])
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_scipy(name: str, l2: float) -> None:
    problem = linear(name, l2=l2)

    def mean(x: Any) -> tuple[float, Any]:
        rows = torch.from_numpy(x).expand(4, -1)
        return problem.loss(rows).mean().item(), problem.grad(0)(rows).mean(0).numpy()

    found = minimize(mean, np.zeros(problem.width), jac=True, method="BFGS", options={"gtol": 1e-10})
    np.testing.assert_allclose(pooled_optimum(problem), found.x, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("delta", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_huber_far_from_its_target(delta: float, offset: float) -> None:
    problem = Linear([(X, offset + 20 * TARGETS["regression"])], Huber(delta), l2=1e-3)
    x = pooled_optimum(problem)[None]
    assert problem.grad(0)(x).norm() < 1e-11 * (1 + delta)


def test_unscaled_features() -> None:
    scale = np.array([1e-3, 1.0, 1e4, 10.0, 0.1])
    ours, scaled = (pooled_optimum(linear("logistic", x)).numpy() for x in (X, X * scale))
    np.testing.assert_allclose(scaled[:-1] * scale, ours[:-1], rtol=1e-9)


@pytest.mark.parametrize("name", ["linear", "logistic", "softmax", "huber"])
def test_conjugate_gradients_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = linear(name, l2=0.05)
    exact = pooled_optimum(problem)
    monkeypatch.setattr("gossipfl.models.reference._EXACT", 0)
    np.testing.assert_allclose(pooled_optimum(problem), exact, rtol=1e-10, atol=1e-12)


def test_hinge_is_refused() -> None:
    with pytest.raises(Incompatible, match="squared-svm"):
        pooled_optimum(linear("svm"))


SEPARABLE = (X[:, 0] > 0).astype(float)
NEARLY = np.c_[np.arange(N) >= 80, X]  # the first feature is 1 only for some rows of class 1: quasi-separable


ENDLESS = {
    "separable": ("logistic", X, SEPARABLE, 0.0),
    "separable-classes": ("softmax", X, SEPARABLE, 0.0),
    "quasi-separable": ("logistic", NEARLY, np.where(np.arange(N) >= 80, 1.0, TARGETS["binary"]), 0.0),
    "one-class": ("logistic", X, np.ones(N), 0.1),
    "no-counts": ("poisson", X, np.zeros(N), 0.1),
}


@pytest.mark.parametrize("case", ENDLESS)
@pytest.mark.parametrize("exact", [1000, 0])
def test_no_finite_optimum(case: str, exact: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gossipfl.models.reference._EXACT", exact)
    name, x, y, l2 = ENDLESS[case]
    with pytest.raises(BadExperiment, match="no finite optimum"):
        pooled_optimum(linear(name, x, y, l2=l2))


@pytest.mark.parametrize("few", [False, True])
def test_the_hessian_is_that_of_the_products(few: bool) -> None:
    """Block by block, of a part of the parameters, against products with unit vectors."""
    x = np.random.default_rng(3).normal(size=(20, 3))
    rows = (sparse.csr_array(x) if few else x, np.arange(20.0) % 3)
    pooled = Pooled(Linear([rows], LOSSES["softmax"](), outputs=3, l2=0.1))
    free = np.array([0, 3, 9, 1, 10, 5, 8, 11])  # sorted by output
    curves = pooled.curves(np.linspace(-1, 1, 12), 0.0)
    np.testing.assert_allclose(
        pooled.hessian(curves, free), pooled.product(curves, free) @ np.eye(8), atol=1e-15
    )
    assert free[pooled.shifts(free)].tolist() == [[9, 10, 11]]
