"""Live peers from Python: from a script without a guard, from standard input, from workers of a pool."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import random_array
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

import gossipfl as gf
from gossipfl.data import Table, framed
from gossipfl.data.store import restore, save
from gossipfl.errors import BadData
from gossipfl.interface.fitting import ENGINES

SCRIPT = """
import numpy, gossipfl as gf
X = numpy.random.default_rng(1).normal(size=(60, 3))
y = X[:, 0] + X[:, 1] > 0
models = [gf.GossipClassifier(peers=3, standardise=True, engine=engine).fit(X, y) for engine in ("simulator", "peers")]
print(abs(models[0].coef_ - models[1].coef_).max() < 1e-8, len(models[1].history_) > 1, models[1].peers_)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["script", "standard input"])
def test_a_script_needs_no_guard(how, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    arguments = ["script.py"] if how == "script" else ["-"]
    done = subprocess.run(
        [sys.executable, *arguments], input=SCRIPT, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.stdout, done.stderr) == ("True True ['0', '1', '2']\n", "")


@pytest.mark.slow
def test_both_engines_learn_one_model_of_weighed_sparse_rows_of_three_classes():
    rng = np.random.default_rng(3)
    X = random_array((90, 6), density=0.3, format="csr", rng=rng)
    y = np.array(["a", "b", "c"])[(2.9 * X.sum(1)).astype(int) % 3]
    weight = rng.integers(0, 4, 90) / 2
    found = [
        gf.GossipClassifier(peers=3, l2=0.01, engine=engine).fit(X, y, sample_weight=weight)
        for engine in ENGINES
    ]
    np.testing.assert_allclose(found[1].coef_, found[0].coef_, atol=1e-8)
    np.testing.assert_allclose(found[1].intercept_, found[0].intercept_, atol=1e-8)
    theirs = LogisticRegression(C=1 / (0.01 * weight.sum()), tol=1e-12, max_iter=10_000).fit(X, y, weight)
    np.testing.assert_allclose(found[1].predict_proba(X), theirs.predict_proba(X), atol=1e-6)


@pytest.mark.slow
def test_a_grid_search_of_two_workers_runs_live_peers():
    X, y = load_breast_cancer(return_X_y=True)
    model = gf.GossipClassifier(peers=2, standardise=True, engine="peers")
    search = GridSearchCV(model, {"l2": [1e-3, 1.0]}, cv=2, n_jobs=2, refit=False).fit(X, y)
    assert (search.cv_results_["mean_test_score"] > 0.9).all()


@pytest.mark.slow
def test_what_a_peer_cannot_do_is_said():
    X = np.ones((30, 2)) * 1e300
    with pytest.raises(ValueError, match="round"):
        gf.GossipRegressor(peers=2, engine="peers", algorithm="d-psgd", step=1e10).fit(X, X[:, 0])


def test_a_file_of_tables_gives_them_back(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({
        "number": [1, 2, np.nan, 4.5], "code": ["x", None, "007", "y"],
        "level": pd.Categorical(["p", "q", "p", "q"]), "y": [1, 0, 1, 0],
    })  # fmt: skip
    whole = framed(frame, "y", verbatim={"code", "level"})
    whole = replace(whole, weights=np.array([1.0, 0.5, 0.0, 3.0]), offset=np.array([0.1, -2.0, 0.0, 1e-300]))
    part = whole.take(np.array([3, 1]), "peer 1")
    sparse = Table.of(random_array((4, 5), density=0.4, format="csr", rng=1), [1.0, 2, 3, 4])
    save([whole, part, sparse], tmp_path / "rows.npz")
    again = restore(tmp_path / "rows.npz")
    for a, b in zip([whole, part], again[:2], strict=True):
        pd.testing.assert_frame_equal(a.features, b.features, check_index_type=False)
        pd.testing.assert_series_equal(a.target, b.target, check_index_type=False)
        assert (a.where, a.columns, a.wordy, a.test.tolist()) == (
            b.where,
            b.columns,
            b.wordy,
            b.test.tolist(),
        )
        np.testing.assert_array_equal([a.weights, a.offset], [b.weights, b.offset])
    assert (again[2].features != sparse.features).nnz == 0
    assert (again[2].weights, again[2].offset) == (None, None)
    (tmp_path / "other.npz").write_bytes(b"no tables")
    with pytest.raises(BadData, match="holds no tables"):
        restore(tmp_path / "other.npz")
