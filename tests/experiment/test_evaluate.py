"""The metrics are scikit-learn's, which a run does not import."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import mean_poisson_deviance, roc_auc_score

from gossipfl.experiment.evaluation.evaluate import metrics


@pytest.mark.parametrize("seed", range(4))
def test_the_area_under_the_curve_counts_ties_half(seed):
    draw = np.random.default_rng(seed)
    y, z = draw.integers(0, 2, 60).astype(float), draw.integers(-4, 5, (60, 1)) / 4
    assert metrics("logistic", z, y)["auc"] == pytest.approx(roc_auc_score(y, z[:, 0]), abs=1e-14)


def test_the_area_of_several_classes_is_the_mean_over_the_classes():
    draw = np.random.default_rng(0)
    y, z = draw.integers(0, 4, 80).astype(float), draw.normal(size=(80, 4))
    chance = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    assert metrics("softmax", z, y)["auc"] == pytest.approx(
        roc_auc_score(y, chance, multi_class="ovr"), abs=1e-14
    )


def test_the_area_of_one_class_is_not_defined():
    assert metrics("logistic", np.ones((3, 1)), np.ones(3))["auc"] is None


def test_the_deviance_of_counts():
    draw = np.random.default_rng(0)
    y, z = draw.poisson(1.5, 50).astype(float), draw.normal(size=(50, 1))
    assert (y == 0).any()
    twin = mean_poisson_deviance(y, np.exp(z[:, 0]))
    assert metrics("poisson", z, y)["deviance"] == pytest.approx(twin, rel=1e-14)


LIGHT = """
import sys
from gossipfl.cli import main
assert main(["simulate", sys.argv[1], "--quiet"]) == 0
heavy = {"sklearn", "zmq", "matplotlib", "multiprocessing.forkserver"} & set(sys.modules)
assert not heavy, heavy
"""
EXPERIMENT = """
data = { source = "iris", test = 0.3 }
topology = { graph = "ring:3" }
model = { kind = "softmax" }
stop = { rounds = 2 }
"""


def test_a_simulation_imports_neither_scikit_learn_nor_the_live_peers(tmp_path):
    """They cost more than a short run. The data are split by class, and the metrics have an area."""
    file = tmp_path / "iris.toml"
    file.write_text(EXPERIMENT)
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, str(file)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
