"""The scores of all rows from two sums over each peer's rows are those of the rows together."""

import numpy as np
import pytest
from sklearn import metrics as truth

from gossipfl.models.losses import LOSSES
from gossipfl.models.scoring import Scoring, area

PARTS = 7


def rows(kind, n=4000, rare=0.3, seed=0):
    """Margins (n, outputs) and targets (n,) that agree in part."""
    rng = np.random.default_rng(seed)
    match LOSSES[kind]().task:
        case "binary":
            y = (rng.random(n) < rare).astype(float)
            return (1.5 * y - 2 + rng.normal(size=n))[:, None], y
        case "multiclass":
            y = rng.integers(0, 4, n)
            return rng.normal(size=(n, 4)) + 1.3 * np.eye(4)[y], y.astype(float)
        case "count":
            z = rng.normal(size=n)
            return z[:, None], rng.poisson(np.exp(z)).astype(float)
    z = rng.normal(size=n)
    return z[:, None], z + rng.normal(size=n)


def scored(kind, z, y, parts=PARTS):
    """Summed over peers, some of which have few rows or none."""
    scoring = Scoring(LOSSES[kind](), z.shape[1])
    cuts = np.sort(np.random.default_rng(1).integers(0, len(y) + 1, parts - 1))
    each = list(zip(np.split(z, cuts), np.split(y, cuts), strict=True))
    first = sum(scoring.first(*part) for part in each)
    return scoring.metrics(first, sum(scoring.second(*part, first) for part in each))


@pytest.mark.parametrize("kind", ["logistic", "svm", "squared-svm"])
@pytest.mark.parametrize("rare", [0.3, 0.01])
def test_two_classes(kind, rare):
    z, y = rows(kind, 20_000, rare)
    found = scored(kind, z, y)
    assert found["accuracy"] == truth.accuracy_score(y, z[:, 0] > 0)
    assert abs(found["auc"] - truth.roc_auc_score(y, z[:, 0])) <= found["auc_bound"] <= 1e-3
    if kind != "logistic":
        assert found["log_loss"] is None
        return
    chance = 1 / (1 + np.exp(-z[:, 0]))
    assert found["log_loss"] == pytest.approx(truth.log_loss(y, chance), rel=1e-12)
    assert found["brier"] == pytest.approx(truth.brier_score_loss(y, chance), rel=1e-12)


def test_several_classes():
    z, y = rows("softmax")
    found = scored("softmax", z, y)
    chances = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    assert found["accuracy"] == truth.accuracy_score(y, z.argmax(1))
    assert found["log_loss"] == pytest.approx(truth.log_loss(y, chances), rel=1e-12)
    assert found["brier"] == pytest.approx(
        np.square(chances - np.eye(4)[y.astype(int)]).sum(1).mean(), rel=1e-12
    )
    exact = truth.roc_auc_score(y, chances, multi_class="ovr")
    assert abs(found["auc"] - exact) <= found["auc_bound"] <= 1e-3


@pytest.mark.parametrize("shift", [0.0, 1e12])
def test_numbers(shift):
    z, y = rows("linear")
    found = scored("linear", z + shift, y + shift)
    digits = 1e-12 if not shift else 1e-3  # a target of 1e12 has four digits after the point
    assert found["r2"] == pytest.approx(truth.r2_score(y, z[:, 0]), rel=digits)
    assert found["rmse"] == pytest.approx(truth.root_mean_squared_error(y, z[:, 0]), rel=digits)


def test_counts():
    z, y = rows("poisson")
    assert scored("poisson", z, y)["deviance"] == pytest.approx(
        truth.mean_poisson_deviance(y, np.exp(z[:, 0])), rel=1e-12
    )


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6, 1e12])
def test_the_area_is_within_its_bound_for_margins_of_any_size(scale):
    z, y = rows("logistic", 3000)
    found = scored("svm", scale * z, y)
    assert abs(found["auc"] - truth.roc_auc_score(y, z[:, 0])) <= found["auc_bound"] + 1e-15
    assert scale > 1e8 or scale < 1e-8 or found["auc_bound"] <= 1e-3


def test_calibration_is_the_gap_between_chances_and_what_happens():
    y = np.array([1.0] * 6 + [0.0] * 4)
    assert scored("logistic", np.full((10, 1), np.log(0.9 / 0.1)), y, 3)["calibration"] == pytest.approx(0.3)


def test_what_is_not_defined_is_none():
    z, y = rows("logistic", 50, rare=0.0)
    assert scored("logistic", z, y)["auc"] is None
    assert scored("linear", z, y)["r2"] is None
    assert scored("logistic", z[:0], y[:0]) == {}
    assert area(np.zeros(4), np.ones(4)) is None
