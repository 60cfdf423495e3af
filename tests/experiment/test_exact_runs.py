"""Whole runs by sums: lasso, elastic net, l1 on classes and sparse rows end at scikit-learn's optimum in a few exchanges."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from ports import free_ports
from runs import carry_out, settings
from safetensors.torch import load_file
from scipy import sparse
from sklearn.datasets import dump_svmlight_file, load_breast_cancer, load_diabetes
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression

from gossipfl.config.file import parse
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.learning.simulated import Simulated
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.study.make import study

UNLIKE = "from gossipfl.algorithms.sums import newton; s = newton.solve; newton.solve = lambda h, g: s(h, g) * (1 + 2**-50); "


def learned(**changes):
    """The session of an experiment in the simulator, at its end."""
    made = study(parse(settings(data__test=0.0, algorithm__kind="auto", **changes)))
    session = Session(made, tables(made), range(len(made.names)), Simulated(made))
    for _ in session:
        pass
    assert session.outcome.stopped == "tolerance"
    assert (session.models == session.models[0]).all()
    return session


def standardised(x):
    return (x - x.mean(0)) / x.std(0)


def lagged(path, rows=600, lags=12):
    """A smooth series and its past: neighbouring columns are nearly the same."""
    random = np.random.default_rng(0)
    series = np.convolve(random.normal(size=rows + 60), np.hanning(32), "valid")
    x = np.column_stack([series[lag : lag + rows] for lag in range(lags)])
    assert np.linalg.cond(standardised(x)) >= 1e4
    y = x @ random.normal(size=lags) + random.normal(size=rows)
    pd.DataFrame(np.column_stack((x, y))).rename(columns=lambda k: f"c{k}").to_csv(path, index=False)
    return x, y


@pytest.mark.parametrize("l2", [0.0, 0.1], ids=["lasso", "elastic"])
@pytest.mark.parametrize("source", ["diabetes", "lagged"])
def test_lasso_and_elastic_net_are_scikit_learn_s(source, l2, tmp_path):
    """Two sums, and the agreement; l1 = 60 leaves no coefficient."""
    data = {"source": "diabetes", "partition": {"scheme": "sorted"}, "test": 0.0}
    x, y = load_diabetes(return_X_y=True)
    if source == "lagged":
        x, y = lagged(tmp_path / "lagged.csv")
        data |= {"source": str(tmp_path / "lagged.csv"), "target": "c12"}
    for l1 in (0.01, 0.1, 1.0, 5.0, 60.0):
        session = learned(
            data=data, topology__graph="torus:4x4", model={"kind": "linear", "l1": l1, "l2": l2}, stop__tolerance=1e-10,
        )  # fmt: skip
        assert session.agreement.exchanges + session.outcome.rounds <= 48
        how = {"tol": 1e-14, "max_iter": 10**6}
        twin = ElasticNet(l1 + l2, l1_ratio=l1 / (l1 + l2), **how) if l2 else Lasso(l1, **how)
        twin.fit(standardised(x), y)
        w = session.models[0, :-1].numpy()
        assert ((w != 0) == (twin.coef_ != 0)).all()
        assert np.linalg.norm(w - twin.coef_) <= 1e-10 * np.linalg.norm(twin.coef_)
        assert w.any() or l1 >= 5


@pytest.mark.parametrize(
    "penalties", [(0.5, 0.1, 0.01, 1e-4), pytest.param((1e-3,), marks=pytest.mark.slow)], ids=str
)
def test_logistic_regression_with_l1(penalties):
    """The subgradient of least norm is 0; scikit-learn's model where it converges: 90,000 iterations at 1e-3."""
    x, y = load_breast_cancer(return_X_y=True)
    x = standardised(x)
    for l1 in penalties:
        session = learned(
            model={"kind": "logistic", "l1": l1, "l2": 0.0}, stop__rounds=400, stop__tolerance=1e-10
        )
        w, b = session.models[0, :-1].numpy(), float(session.models[0, -1])
        positive = session.prepared.schema.classes[1]
        y = (load_breast_cancer().target == (positive == "1")) if positive in "01" else y
        gradient = lambda w, b: x.T @ (1 / (1 + np.exp(-x @ w - b)) - y) / len(y)  # noqa: B023, E731
        g = gradient(w, b)
        least = np.where(w != 0, g + l1 * np.sign(w), np.sign(g) * np.maximum(abs(g) - l1, 0))
        assert np.linalg.norm(least) <= 1e-10 * np.linalg.norm(
            gradient(0 * w, np.log(y.mean() / (1 - y.mean())))
        )
        if l1 in (0.1, 0.01, 1e-3):
            twin = LogisticRegression(
                C=1 / (l1 * len(y)), l1_ratio=1.0, solver="saga", tol=1e-12, max_iter=10**5
            ).fit(x, y)
            assert ((w != 0) == (twin.coef_[0] != 0)).all()
            assert np.linalg.norm(w - twin.coef_[0]) <= 1e-8 * np.linalg.norm(w)


def test_newton_takes_sparse_rows_with_few_columns(tmp_path):
    random = np.random.default_rng(0)
    x = sparse.csr_array((random.random((500, 123)) < 0.1) * 1.0)
    y = (x @ random.normal(size=123) + random.normal(size=500) > 0).astype(int)
    dump_svmlight_file(x, y, str(tmp_path / "rows.svm"))
    summary, _ = carry_out("simulator", settings(
        reference=True, data={"source": str(tmp_path / "rows.svm"), "standardise": "none", "test": 0.0},
        model={"kind": "logistic", "l2": 1e-2}, algorithm={"kind": "auto"}, stop={"rounds": 400, "tolerance": 1e-12},
    ), tmp_path / "run")  # fmt: skip
    assert (summary["algorithm"], summary["stopped"]) == ("newton", "tolerance")
    assert summary["distance_to_optimum"] <= 1e-12
    assert summary["certificate"] <= 1e-12


def test_wide_sparse_rows_with_l1_by_a_working_set(tmp_path):
    """Most of 3,000 one-hot columns end at 0; a sum has the Hessian of the others alone."""
    random = np.random.default_rng(0)
    columns = (np.minimum(random.zipf(1.3, size=(800, 6)) - 1, 499) + 500 * np.arange(6)).astype(np.int32)
    columns[:500] = np.arange(500)[:, None] + 500 * np.arange(6)  # each column is in some row
    x = sparse.csr_array((np.ones(4800), columns.ravel(), np.arange(0, 4801, 6, dtype=np.int32)), (800, 3000))
    y = random.random(800) < 1 / (1 + np.exp(-(x @ random.normal(size=3000))))
    dump_svmlight_file(x, y.astype(int), str(tmp_path / "rows.svm"))
    session = learned(
        data={"source": str(tmp_path / "rows.svm"), "standardise": "none", "test": 0.0}, topology__graph="er:20:0.2",
        model={"kind": "logistic", "l1": 2e-3, "l2": 0.0}, stop__rounds=2000, stop__tolerance=1e-8,
    )  # fmt: skip
    assert session.prepared.kind == "lbfgs"
    assert session.outcome.rounds <= 100
    w = session.models[0].numpy()
    g = np.append(x.T @ (1 / (1 + np.exp(-(x @ w[:-1] + w[-1]))) - y), 0.0) / 800
    assert 20 <= np.count_nonzero(w) <= 1000
    assert (abs(g[w == 0]) <= 2e-3).all()
    assert abs(g[:-1] + 2e-3 * np.sign(w[:-1]))[w[:-1] != 0].max() <= 1e-9


@pytest.mark.slow
def test_one_digest_in_both_engines(tmp_path):
    """Law B: live peers, whose messages are late, hold what the simulator holds, bit for bit."""
    how = {
        "data__test": 0.0, "topology__graph": "er:12:0.3", "model__l2": 1e-3, "stop__tolerance": 1e-12, "stop__rounds": 400,
        "algorithm": {"kind": "newton", "averaging": "tree"},
    }  # fmt: skip
    late = [{"do": "delay", "at": 0.0, "lasts": 20.0, "count": 4, "amount": 0.02, "jitter": 0.02}]
    digests = set()
    for engine, faults in (("simulator", []), ("peers", late)):
        summary, _ = carry_out(engine, settings(**how, faults=faults), tmp_path / engine)
        assert summary["stopped"] == "tolerance"
        files = [*(tmp_path / engine).glob("**/model.safetensors")]
        assert len(files) == 13
        digests |= {hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    assert len(digests) == 1


@pytest.mark.slow
def test_unlike_processors_hold_one_model(tmp_path):
    """Law C: a peer whose steps have other last digits, without vector instructions, holds the same model."""
    random = np.random.default_rng(1)
    lines = ['edges = [["a", "b"], ["b", "c"], ["c", "d"]]']
    for name, port in zip("abcd", free_ports(4), strict=True):
        x = random.normal(size=(37, 5))
        y = (x[:, 0] + random.normal(size=37) > 0).astype(int)
        pd.DataFrame(x).assign(y=y).to_csv(tmp_path / f"{name}.csv", index=False)
        lines += [f"[peers.{name}]", f'endpoint = "tcp://127.0.0.1:{port}"']
    (tmp_path / "sites.toml").write_text("\n".join(lines))
    (tmp_path / "e.toml").write_text(
        '[data]\nsource = "rows"\ntarget = "y"\ntest = 0.0\n[topology]\ngraph = "sites.toml"\n[model]\nl2 = 0.01\n'
        '[algorithm]\nkind = "newton"\naveraging = "tree"\n[stop]\nrounds = 200\ntolerance = 1e-12\n'
    )
    peers = []
    for name in "dbca":
        weak = {"ATEN_CPU_CAPABILITY": "default"} if name == "c" else {}
        words = "peer", "e.toml", name, "--data", f"{name}.csv", "--out", f"runs/{name}"
        peers.append(subprocess.Popen(
            [sys.executable, "-c", UNLIKE * bool(weak) + "from gossipfl.cli import main; raise SystemExit(main())", *words],
            cwd=tmp_path, env=os.environ | weak, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ))  # fmt: skip
    said = [peer.communicate(timeout=200)[0] for peer in peers]
    assert [peer.returncode for peer in peers] == [0] * 4, said
    models = [load_file(file)["x"] for file in tmp_path.glob("runs/*/peers/*/model.safetensors")]
    assert len(models) == 4
    summaries = [json.loads(file.read_text()) for file in tmp_path.glob("runs/*/summary.json")]
    assert len(summaries) == 4
    assert all(summary["repairs"] >= 1 for summary in summaries)
    assert all((model - models[0]).norm() <= 1e-12 * models[0].norm() for model in models)
