"""The metrics on test rows, against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as twin

from gossipfl.experiment.evaluation.evaluate import metrics


@pytest.mark.parametrize("seed", range(5))
def test_auc_with_ties(seed):
    draw = np.random.default_rng(seed)
    y = draw.permutation(np.arange(60) % 3).astype(float)
    z = draw.integers(0, 6, (60, 3)) / 3
    e = np.exp(z - z.max(1, keepdims=True))
    chance = e / e.sum(1, keepdims=True)
    several = metrics("softmax", z, y)["auc"]
    assert several == pytest.approx(twin.roc_auc_score(y, chance, multi_class="ovr"), rel=1e-13)
    one = metrics("logistic", z[:, :1], (y > 0).astype(float))["auc"]
    assert one == pytest.approx(twin.roc_auc_score(y > 0, z[:, 0]), rel=1e-13)


def test_poisson_deviance():
    draw = np.random.default_rng(0)
    y, z = draw.poisson(1.0, 50).astype(float), draw.standard_normal((50, 1))
    assert (y == 0).any()
    found = metrics("poisson", z, y)["deviance"]
    assert found == pytest.approx(twin.mean_poisson_deviance(y, np.exp(z[:, 0])), rel=1e-13)
