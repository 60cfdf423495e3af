"""Sparse features are divided by their root mean square over the rows of all peers, and stay sparse."""

import json

import numpy as np
import pytest
from runs import carry_out, settings
from scipy import sparse
from sklearn.datasets import dump_svmlight_file
from sklearn.linear_model import LogisticRegression, Ridge

from gossipfl.errors import BadExperiment
from gossipfl.trained import load

SIZES = np.array([1.0, 1e4, 0.0, 1.0, 1e-3])  # of the columns; one of them is empty
L2 = 0.01


@pytest.fixture
def rows(tmp_path):
    """A file, and its features and margins: columns of very different sizes, half of them 0."""
    random = np.random.default_rng(0)
    x = random.normal(1.0, 1.0, (400, 5)) * (random.random((400, 5)) < 0.5) * SIZES
    x[0, 4] = SIZES[4]  # the file has the last column
    return tmp_path / "rows.svm", x, x @ (random.normal(size=5) / np.where(SIZES > 0, SIZES, 1.0))


def scaled(x):
    root = np.sqrt((x**2).mean(0))
    return x / np.where(root > 0, root, 1.0), np.where(root > 0, root, 1.0)


@pytest.mark.parametrize("engine", ["simulator", pytest.param("peers", marks=pytest.mark.slow)])
def test_the_model_is_that_of_the_scaled_rows_in_the_units_of_the_raw_ones(engine, rows, tmp_path):
    file, x, margins = rows
    y = (margins + np.random.default_rng(1).normal(size=400) > 0.5).astype(int)
    dump_svmlight_file(sparse.csr_array(x), y, str(file), zero_based=False)
    summary, _ = carry_out(engine, settings(
        reference=True, data={"source": str(file), "test": 0.0, "partition": {"scheme": "sorted"}},
        model={"kind": "logistic", "l2": L2}, algorithm={"kind": "newton", "averaging": "tree"},
        stop={"rounds": 400, "tolerance": 1e-12},
    ), tmp_path / "run")  # fmt: skip
    assert summary["distance_to_optimum"] <= 1e-11
    assert summary["standardised"] == "gossip: scaled, not centred"
    told = json.loads((tmp_path / "run" / "model.json").read_text())
    assert told["standardisation"]["how"] == "gossip: scaled, not centred"
    assert told["formula"].endswith("intercept + sum_j coefficient_j x_j / deviation_j")
    near, root = scaled(x)
    twin = LogisticRegression(C=1 / (L2 * 400), tol=1e-14, max_iter=10**5).fit(near, y)
    model = load(tmp_path / "run")
    slopes, intercept = model.original
    sign = 1 if model.classes[1] == "1" else -1
    assert np.linalg.norm(sign * slopes[:, 0] * root - twin.coef_[0]) <= 1e-5 * np.linalg.norm(twin.coef_)
    assert abs(sign * intercept[0] - twin.intercept_[0]) <= 1e-5
    margins = model.predict(file).margins[:, 0]
    assert np.abs(margins - (x @ slopes[:, 0] + intercept[0])).max() <= 1e-12 * np.abs(margins).max()


@pytest.mark.parametrize("kind", ["exact-diffusion", "lbfgs"])
def test_every_method_learns_from_scaled_rows(kind, rows, tmp_path):
    file, x, margins = rows
    y = margins + 3.0
    dump_svmlight_file(sparse.csr_array(x), y, str(file), zero_based=False)
    carry_out("simulator", settings(
        data={"source": str(file), "test": 0.0}, model={"kind": "linear", "l2": L2}, algorithm={"kind": kind},
        topology__graph="ring:4", stop={"rounds": 3000, "tolerance": 1e-10},
    ), tmp_path / "run")  # fmt: skip
    near, root = scaled(x)
    twin = Ridge(L2 * 400, tol=1e-14).fit(near, y)
    slopes, _ = load(tmp_path / "run").original
    assert np.linalg.norm(slopes[:, 0] * root - twin.coef_) <= 1e-8 * np.linalg.norm(twin.coef_)


def test_penalties_are_chosen_on_scaled_rows(rows, tmp_path):
    """Whatever the sizes of columns are, the curve is the same."""
    file, x, margins = rows
    curves = []
    for factor in (1.0, 10.0 ** np.arange(5)):
        dump_svmlight_file(sparse.csr_array(x * factor), margins.round(6), str(file), zero_based=False)
        summary, _ = carry_out("simulator", settings(
            data={"source": str(file), "test": 0.0}, model={"kind": "linear", "l2": "cv"}, algorithm={"kind": "auto"},
            topology__graph="ring:4", stop={"rounds": 400, "tolerance": 1e-10},
        ), tmp_path / str(len(curves)))  # fmt: skip
        curves.append(summary["selection"]["mean"])
    assert np.allclose(*curves, rtol=1e-9)


def test_sparse_rows_are_learned_by_newton_where_an_average_would_be_shorter(rows, tmp_path):
    """Exact averages send Hessians of dense rows alone, and sums along the tree those of sparse ones, too."""
    file, x, margins = rows
    dump_svmlight_file(sparse.csr_array(x), margins.round(6), str(file), zero_based=False)
    summary, _ = carry_out("simulator", settings(
        data={"source": str(file), "test": 0.0}, model={"kind": "linear", "l2": L2}, algorithm={"kind": "auto"},
        topology__graph="ring:16", stop={"rounds": 400, "tolerance": 1e-10},
    ), tmp_path / "run")  # fmt: skip
    assert (summary["algorithm"], summary["stopped"]) == ("newton", "tolerance")


def test_no_peer_scales_sparse_rows_by_its_own_ones(rows, tmp_path):
    file, x, margins = rows
    dump_svmlight_file(sparse.csr_array(x), margins, str(file), zero_based=False)
    raw = settings(data={"source": str(file), "standardise": "local"}, model={"kind": "linear", "l2": L2})
    with pytest.raises(BadExperiment, match=r'set data\.standardise = "gossip", which scales them'):
        carry_out("simulator", raw, tmp_path / "run")
