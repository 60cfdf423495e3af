"""Peers choose a penalty by cross-validation from sums, as scikit-learn does with all rows and the same folds in one place."""

import numpy as np
import pytest
from runs import carry_out, settings
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gossipfl.config.file import parse
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.study.method import study
from gossipfl.selection import numbered

PEERS = 4


def experiment(source: str, kind: str, **model) -> dict:
    target = {"breast_cancer": {}, "diabetes": {}}[source]
    return settings(
        data={"source": source, "test": 0.0, "partition": {"scheme": "iid"}} | target,
        topology__graph=f"ring:{PEERS}", model={"kind": kind} | model, algorithm__kind="auto",
        stop={"rounds": 1000},
    )  # fmt: skip


def everything(raw: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All training rows in one place, with the fold that each peer has put them into."""
    made = study(parse(raw))
    classes = made.loss.task == "binary"
    parts = []
    for me, table in enumerate(tables(made)):
        x = table.features.to_numpy(float)
        y = table.target.to_numpy()
        y = (y == sorted(set(y))[-1]).astype(float) if classes else y.astype(float)
        parts.append((x, y, numbered(y, made.experiment.model.folds, made.experiment.seed, me, classes)))
    x, y, fold = (np.concatenate(column) for column in zip(*parts, strict=True))
    return x, y, fold


def pooled(make, loss, raw: dict, penalties) -> np.ndarray:
    """The curve of scikit-learn: `make` gets a penalty and the number of training rows."""
    x, y, fold = everything(raw)
    found = []
    for penalty in penalties:
        total = 0.0
        for k in range(int(fold.max()) + 1):
            train = fold != k
            fitted = make_pipeline(StandardScaler(), make(penalty, int(train.sum())))
            total += loss(fitted.fit(x[train], y[train]), x[~train], y[~train])
        found.append(total / len(y))
    return np.array(found)


def squares(fitted, x, y):
    return float(np.square(y - fitted.predict(x)).sum())


def log_loss(fitted, x, y):
    return float(np.logaddexp(0, (1 - 2 * y) * fitted.decision_function(x)).sum())


def ridge(l2, rows):
    return Ridge(alpha=l2 * rows)


def logistic(l2, rows):
    return LogisticRegression(C=1 / (l2 * rows), solver="newton-cholesky", tol=1e-12, max_iter=1000)


def lasso(l1, rows):
    return Lasso(alpha=l1, tol=1e-14, max_iter=10**6)


@pytest.mark.parametrize(
    ("source", "kind", "key", "make", "loss", "most"),
    [
        ("diabetes", "linear", "l2", ridge, squares, 4),
        ("breast_cancer", "logistic", "l2", logistic, log_loss, 20),
        ("diabetes", "linear", "l1", lasso, squares, 20),
    ],
    ids=["ridge", "logistic", "lasso"],
)
def test_choice_and_curve_are_those_of_scikit_learn(source, kind, key, make, loss, most, tmp_path):
    raw = experiment(source, kind, **{key: "cv"})
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    selection = summary["selection"]
    truth = pooled(make, loss, raw, selection["penalties"])
    np.testing.assert_allclose(selection["mean"], truth, rtol=1e-8)
    assert selection["chosen"] == selection["penalties"][truth.argmin()]
    assert selection["sums"] <= most
    assert summary["certificate"] is None or summary["certificate"] < 1e-8
