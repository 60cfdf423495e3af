"""The batch of linear problems, compared with autograd and a loop over rows in numpy; and row i depends only on row i."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor

from gossipfl import rng
from gossipfl.errors import BadData
from gossipfl.models.linear import Linear, scores
from gossipfl.models.losses import LOSSES

SIZES, P, CLASSES = (7, 3, 12), 4, 3
Shard = tuple[Any, Any]


def shards(name: str, kind: str = "dense", sizes: tuple[int, ...] = SIZES, p: int = P) -> list[Shard]:
    random = np.random.default_rng(1)

    def targets(n: int) -> Any:
        return {
            "regression": random.normal(size=n),
            "binary": random.integers(0, 2, n),
            "multiclass": random.integers(0, CLASSES, n),
            "count": random.poisson(2.0, n),
        }[LOSSES[name]().task]

    made = []
    for n in sizes:
        x = random.normal(size=(n, p)) * (random.random((n, p)) < 0.6)
        made.append((sparse.csr_array(x) if kind == "sparse" else x, targets(n)))
    return made


def linear(name: str, kind: str = "dense", data: list[Shard] | None = None, **options: Any) -> Linear:
    loss = LOSSES[name]()
    return Linear(
        data or shards(name, kind), loss, outputs=loss.outputs(CLASSES), **{"l2": 0.3, "seed": 5, **options}
    )


def point(problem: Linear, n: int = len(SIZES), scale: float = 0.5) -> Tensor:
    random = torch.Generator().manual_seed(2)
    return scale * torch.randn(n, problem.width, dtype=torch.float64, generator=random)


def close(a: Tensor, b: Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


each = pytest.mark.parametrize(
    ("name", "kind", "intercept", "l2"), list(product(LOSSES, ("dense", "sparse"), (True, False), (0.0, 0.3)))
)
each_loss = pytest.mark.parametrize(("name", "kind"), list(product(LOSSES, ("dense", "sparse"))))


def twin(
    problem: Linear, data: list[Shard], x: Tensor, picks: list[Any], mean_rows: float
) -> tuple[Any, Any]:
    """Objective and gradient as written on paper, one row at a time."""
    values, slopes = [], []
    for i, (features, y) in enumerate(data):
        a = features.toarray() if sparse.issparse(features) else features
        w = x[i].view(-1, problem.outputs).numpy()
        intercept = len(w) > a.shape[1]
        value, slope = 0.0, np.zeros_like(w)
        for r in picks[i]:
            row = np.append(a[r], 1.0) if intercept else a[r]
            z, t = torch.from_numpy(row @ w), torch.tensor(float(y[r]), dtype=torch.float64)
            value += problem.loss_of_row.value(z, t).item() / len(picks[i])
            slope += np.outer(row, problem.loss_of_row.slope(z, t).numpy()) / len(picks[i])
        free = w.copy()
        if intercept:
            free[-1] = 0
        share = len(y) / mean_rows
        values.append(share * (value + problem.l2 / 2 * (free**2).sum() + problem.l1 * np.abs(free).sum()))
        slopes.append((share * (slope + problem.l2 * free)).ravel())
    return torch.tensor(values), torch.from_numpy(np.stack(slopes))


@each
def test_gradient_is_that_of_the_loss(name: str, kind: str, intercept: bool, l2: float) -> None:
    problem = linear(name, kind, intercept=intercept, l2=l2)
    x = point(problem).requires_grad_()
    dense = linear(name, intercept=intercept, l2=l2)  # the same data; autograd through CSR is not tested here
    (gradient,) = torch.autograd.grad(dense.loss(x).sum(), x)
    close(problem.grad(0)(x.detach()), gradient)
    assert problem.grad(0) is problem.grad(1)


@each
def test_twin_on_full_data_and_on_batches(name: str, kind: str, intercept: bool, l2: float) -> None:
    data = shards(name, kind)
    options = {"intercept": intercept, "l2": l2, "l1": 0.2, "mean_rows": 5.5}
    problem = linear(name, kind, **options)
    value, gradient = twin(problem, data, x := point(problem), [range(n) for n in SIZES], 5.5)
    close(problem.loss(x), value)
    close(problem.grad(0)(x), gradient)
    problem = linear(name, kind, batch=6, **options)
    rows, sizes = np.arange(3), np.array(SIZES)
    for round in (0, 1, 127, 128, 5):
        picks = rng.integers(5, "batch", rows, round, 6, sizes).tolist()
        close(problem.grad(round)(x), twin(problem, data, x, picks, 5.5)[1])


@each_loss
@pytest.mark.parametrize("batch", [None, 256])
def test_row_law(name: str, kind: str, batch: int | None) -> None:
    data = shards(name, kind)
    together = linear(name, kind, batch=batch, mean_rows=6.0, l1=0.1, rows=torch.tensor([8, 0, 3]))
    x = point(together)
    for i, row in enumerate((8, 0, 3)):
        alone = linear(name, data=[data[i]], batch=batch, mean_rows=6.0, l1=0.1, rows=torch.tensor([row]))
        close(together.loss(x)[i : i + 1], alone.loss(x[i : i + 1]))
        close(together.grad(9)(x)[i : i + 1], alone.grad(9)(x[i : i + 1]))
        close(together.smoothness()[i : i + 1], alone.smoothness())


@each_loss
def test_average_over_peers_is_the_pooled_problem(name: str, kind: str) -> None:
    data = shards(name, kind)
    stack = sparse.vstack if kind == "sparse" else np.concatenate
    whole = stack([x for x, _ in data]), np.concatenate([y for _, y in data])
    peers, pooled = linear(name, kind, l1=0.1), linear(name, data=[whole], l1=0.1)
    x = point(pooled, 1)
    same = x.expand(len(SIZES), -1)
    close(peers.loss(same).mean(0, keepdim=True), pooled.loss(x))
    close(peers.grad(0)(same).mean(0, keepdim=True), pooled.grad(0)(x))


def hessian_norms(problem: Linear, scale: float) -> Tensor:
    hessian = torch.func.jacrev(lambda x: problem.grad(0)(x).sum(0))(point(problem, scale=scale))
    return torch.linalg.eigvalsh(hessian.transpose(0, 1)).amax(-1)


@each_loss
def test_smoothness_bounds_the_hessian(name: str, kind: str) -> None:
    problem = linear(name, kind)
    bound = problem.smoothness()
    if problem.loss_of_row.curvature == float("inf"):
        assert bound.isinf().all()
        return
    for scale in (0.0, 1.0, 10.0):
        assert (hessian_norms(linear(name), scale) <= bound * (1 + 1e-12)).all()
    if name == "linear":
        close(linear(name, kind, l2=0.0).smoothness(), hessian_norms(linear(name, l2=0.0), 1.0))


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_smoothness_of_many_features(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = shards("linear", kind, sizes=(30,), p=40)
    exact = linear("linear", data=data).smoothness()
    monkeypatch.setattr("gossipfl.models.linear._GRAM", 5)
    close(linear("linear", data=data).smoothness(), exact)


@each_loss
@pytest.mark.parametrize("batch", [None, 256])
def test_float32(name: str, kind: str, batch: int | None) -> None:
    double, single = (linear(name, kind, batch=batch, dtype=d) for d in (torch.float64, torch.float32))
    x = point(double)
    assert single.grad(0)(x.float()).dtype == single.loss(x.float()).dtype == torch.float32
    close(single.grad(0)(x.float()).double(), double.grad(0)(x), 1e-5)
    close(single.loss(x.float()).double(), double.loss(x), 1e-5)
    close(single.smoothness(), double.smoothness(), 1e-5)


@pytest.mark.parametrize("name", ["linear", "softmax"])
@pytest.mark.parametrize("intercept", [True, False])
def test_prox_minimises_and_leaves_the_intercept(name: str, intercept: bool) -> None:
    problem = linear(name, intercept=intercept, l1=0.4)
    x = point(problem)
    w = problem.prox(x, 0.5).view(3, -1, problem.outputs)
    threshold = torch.sign(x) * (x.abs() - 0.2 * problem.share[:, None]).clamp(min=0)
    assert len(set(problem.share.tolist())) > 1, "peers of different sizes"
    close(w[:, :P], threshold.view(w.shape)[:, :P])
    assert torch.equal(w[:, P:], x.view(w.shape)[:, P:])
    unpenalised = linear(name, intercept=intercept)
    assert unpenalised.prox(x, 0.5) is x


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("intercept", [0, 1])
def test_scores(kind: str, outputs: int, intercept: int) -> None:
    (features, _), *_ = shards("linear", kind)
    x = torch.randn(2, (P + intercept) * outputs).double()
    dense = features.toarray() if kind == "sparse" else features
    ones = torch.from_numpy(np.c_[dense, np.ones((len(dense), intercept))])
    z = scores(x, features, outputs)
    close(z, torch.stack([ones @ row.view(-1, outputs) for row in x]))
    close(scores(x[1], features, outputs), z[1])
    assert scores(x.float(), features, outputs).dtype == torch.float32


def test_a_block_of_rounds_is_its_rounds() -> None:
    rows, below = np.array([3, 9]), np.array([7, 100])
    block = rng.integers(5, "batch", rows, range(4, 9), 6, below)
    assert np.array_equal(block, np.stack([rng.integers(5, "batch", rows, r, 6, below) for r in range(4, 9)]))


def test_unusable_rows_are_refused() -> None:
    with pytest.raises(BadData, match="Peer 4 has features"):
        linear(
            "linear",
            data=[(np.ones((2, 3)), np.ones(2)), (np.ones((0, 3)), np.ones(0))],
            rows=torch.tensor([1, 4]),
        )
    with pytest.raises(BadData, match="row of 3 features"):
        linear("linear", data=[(np.ones((2, 3)), np.ones(2)), (np.ones((2, 4)), np.ones(2))])
    with pytest.raises(BadData, match="No peer"):
        Linear([], LOSSES["linear"]())


@pytest.mark.parametrize("name", ["linear", "logistic", "softmax", "squared-svm", "poisson", "huber"])
def test_hessian_is_the_second_derivative(name: str) -> None:
    draw = np.random.default_rng(3)
    sizes, width, classes = (5, 9), 3, 3
    loss = LOSSES[name]()
    shards = [
        (draw.normal(size=(n, width)), draw.integers(0, 3 if name == "softmax" else 2, n) * 1.0)
        for n in sizes
    ]
    problem = Linear(shards, loss, outputs=loss.outputs(classes), l2=0.3)
    x = torch.from_numpy(draw.normal(size=(len(sizes), problem.width)))
    expected = torch.stack(
        [
            torch.autograd.functional.hessian(lambda row, i=i: problem.loss(_with_row(x, i, row))[i], x[i])  # type: ignore[no-untyped-call]
            for i in range(len(sizes))
        ]
    )
    if name == "softmax":  # and the shift of all intercepts, along which the loss is constant
        expected[:, -classes:, -classes:] += 1 / classes
    torch.testing.assert_close(problem.hessian(x), expected, rtol=1e-10, atol=1e-12)


def _with_row(x: torch.Tensor, i: int, row: torch.Tensor) -> torch.Tensor:
    return torch.cat((x[:i], row[None], x[i + 1 :]))
