"""Peers choose a penalty by cross-validation from sums, as scikit-learn does with all rows and the same folds in one place."""

import os
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from commands import gossipfl
from ports import free_ports
from runs import carry_out, settings
from sklearn.linear_model import Lasso, LogisticRegression, PoissonRegressor, Ridge
from sklearn.metrics import mean_poisson_deviance
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gossipfl.config.file import dump, parse
from gossipfl.data import Schema, classes, encode, levels
from gossipfl.errors import BadData, BadExperiment, Incompatible
from gossipfl.experiment.evaluation.verdict import verdict
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.study.make import study
from gossipfl.runs.facts import Selection
from gossipfl.runs.summary import read_summary
from gossipfl.selection import Curve, chosen, numbered


def experiment(source: str, kind: str, graph: str = "ring:4", **model) -> dict:
    """Every peer has all classes; what is learned afterwards does not matter."""
    return settings(
        data={"source": source, "test": 0.0}, topology__graph=graph, model={"kind": kind} | model,
        algorithm__kind="auto", stop={"rounds": 300},
    )  # fmt: skip


def everything(raw: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All training rows in one place, with the fold that each peer has put them into."""
    made = study(parse(raw))
    e, rows = made.experiment, tables(made)
    labelled = made.loss.task in ("binary", "multiclass")
    schema = Schema.agree(
        rows[0].columns,
        {c: set().union(*(levels(r, e.data.categorical)[c] for r in rows)) for c in e.data.categorical},
        set().union(*map(classes, rows)) if labelled else None,
    )
    parts = []
    for me, table in enumerate(rows):
        train = encode(table, schema)[0]
        parts.append((train.x, train.y, numbered(train.y, e.model.folds, e.seed, me, labelled)))
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


def deviance(fitted, x, y):
    return mean_poisson_deviance(y, fitted.predict(x)) * len(y)


def cross_entropy(fitted, x, y):
    return -float(fitted.predict_log_proba(x)[np.arange(len(y)), y.astype(int)].sum())


def ridge(l2, rows):
    return Ridge(alpha=l2 * rows)


def logistic(l2, rows):
    return LogisticRegression(C=1 / (l2 * rows), solver="newton-cholesky", tol=1e-12, max_iter=1000)


def lasso(l1, rows):
    return Lasso(alpha=l1, tol=1e-14, max_iter=10**6)


def counts(l2, rows):
    return PoissonRegressor(alpha=l2, tol=1e-10, max_iter=10_000, solver="newton-cholesky")


def agrees(summary: dict, raw: dict, make, loss, most: int) -> None:
    """The curve, the choice and the number of sums."""
    selection = summary["selection"]
    truth = pooled(make, loss, raw, selection["penalties"])
    np.testing.assert_allclose(selection["mean"], truth, rtol=1e-8)
    assert selection["chosen"] == selection["penalties"][truth.argmin()]
    assert selection["sums"] <= most


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
    agrees(summary, raw, make, loss, most)
    ends = "; cross-validation chose " + f"{key} = {summary['selection']['chosen']:.3g}"
    assert ends in verdict(summary, 0.0)[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "kind", "make", "loss", "most"),
    [
        ("diabetes", "linear", ridge, squares, 4),
        ("breast_cancer", "logistic", logistic, log_loss, 20),
        ("diabetes", "poisson", counts, deviance, 20),
        ("wine", "softmax", logistic, cross_entropy, 20),
    ],
    ids=["ridge", "logistic", "poisson", "softmax"],
)
def test_sixteen_peers_choose_what_scikit_learn_chooses(source, kind, make, loss, most, tmp_path):
    """Logistic regression and ridge by real peers."""
    graph, engine = ("torus:4x4", "peers") if kind in ("linear", "logistic") else ("ring:3", "simulator")
    raw = experiment(source, kind, graph, l2="cv")
    summary, _ = carry_out(engine, raw, tmp_path / "run")
    agrees(summary, raw, make, loss, most)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["logistic", "linear"])
def test_four_hospitals_choose_what_scikit_learn_chooses(kind, tmp_path):
    """The rows of the example, whose sites differ in size and in their classes."""
    if "GOSSIPFL_DATA" not in os.environ:
        pytest.skip("GOSSIPFL_DATA does not name the folder of the real data sets")
    raw = tomllib.loads((Path(__file__).parents[2] / "examples" / "hospitals.toml").read_text())
    raw["data"]["source"] = str(Path(os.environ["GOSSIPFL_DATA"]) / "heart_disease" / "processed.*.data")
    raw["topology"]["graph"] = str(tmp_path / "hospitals.json")
    graph = (Path(__file__).parents[2] / "examples" / "hospitals.json").read_text()
    for port, own in zip(range(5501, 5505), free_ports(4), strict=True):
        graph = graph.replace(f":{port}", f":{own}")
    (tmp_path / "hospitals.json").write_text(graph)
    raw["model"] = {"kind": kind, "l2": "cv"}
    if kind == "linear":
        raw["data"] |= {"target": "age", "drop": [*raw["data"]["drop"], "num"]}
    make, loss, most = (logistic, log_loss, 20) if kind == "logistic" else (ridge, squares, 4)
    summary, _ = carry_out("peers", raw, tmp_path / "run")
    agrees(summary, raw, make, loss, most)
    assert len(summary["scores"]["peers"]) == 4


def test_the_one_standard_error_rule_takes_the_largest_penalty_that_is_nearly_as_good():
    curve = Curve(
        np.array([8.0, 4.0, 2.0, 1.0]), np.array([np.inf, 3.4, 3.0, 3.2]), np.array([np.inf, 1, 0.5, 1])
    )
    assert chosen(curve, "cv") == 2.0
    assert chosen(curve, "cv-1se") == 4.0
    kept = Selection("l2", 4.0, "cv", "loss", (8.0, 4.0), (None, 3.4), (None, 1.0), 5, 4, 100)
    assert msgspec.json.decode(msgspec.json.encode(kept), type=Selection) == kept, "as in a checkpoint"


def test_folds_are_even_at_each_peer_and_in_each_class():
    y = np.array([0.0] * 23 + [1.0] * 11)
    fold = numbered(y, 5, 0, 3, True)
    for part in (fold, fold[y == 0], fold[y == 1]):
        sizes = np.bincount(part, minlength=5)
        assert sizes.max() - sizes.min() <= 1
    assert (fold == numbered(y, 5, 0, 3, True)).all()
    assert (fold != numbered(y, 5, 1, 3, True)).any()


def test_what_cannot_be_chosen_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(BadExperiment, match='should be a number from 0 on, "cv" or "cv-1se"'):
        parse(experiment("diabetes", "linear", l2="cvv"))
    with pytest.raises(BadExperiment, match="only one of l1 and l2"):
        parse(experiment("diabetes", "linear", l2="cv", l1="cv"))
    with pytest.raises(BadExperiment, match="leave it out"):
        parse(experiment("diabetes", "linear", folds=3))
    with pytest.raises(Incompatible, match="needs derivatives"):
        study(parse(experiment("breast_cancer", "svm", l2="cv") | {"algorithm": {"step": 0.01}}))
    few = experiment("diabetes", "linear", "ring:32", l2="cv")
    with pytest.raises(BadData, match="with 5 folds needs 25"):
        carry_out("simulator", few, tmp_path / "few")
    secret = experiment("breast_cancer", "logistic", l2="cv") | {"privacy": {"sums": "secure"}}
    with pytest.raises(Incompatible, match="only l2"):
        study(parse(secret))


def test_ridge_regression_chooses_by_secure_sums_too_and_counts_their_numbers(tmp_path):
    raw = experiment("diabetes", "linear", l2="cv")
    plain, _ = carry_out("simulator", raw, tmp_path / "plain")
    secret, _ = carry_out("simulator", raw | {"privacy": {"sums": "secure"}}, tmp_path / "secret")
    np.testing.assert_allclose(secret["selection"]["mean"], plain["selection"]["mean"], rtol=1e-8)
    assert secret["selection"]["chosen"] == plain["selection"]["chosen"]
    assert secret["selection"]["numbers"] == 5 * (12 + 11 + 1 + 11 + 66 + 1 + 10)


@pytest.mark.slow
def test_the_run_folder_has_the_curve(tmp_path):
    raw = experiment("diabetes", "linear", l2="cv-1se")
    (tmp_path / "e.toml").write_text(dump(parse(raw)))
    said = gossipfl("simulate", tmp_path / "e.toml", "--out", tmp_path / "run")
    assert "cross-validation chose l2 = " in said.out
    kept = read_summary(tmp_path / "run")["selection"]
    assert kept["rule"] == "cv-1se"
    assert len(kept["penalties"]) == len(kept["mean"]) == len(kept["error"]) == 10
    drawn = ElementTree.parse(tmp_path / "run" / "cv.svg").getroot()
    assert drawn.tag.endswith("svg")
    again = gossipfl("results", "show", tmp_path / "run")
    assert "cross-validation chose l2 = " in again.out
