"""Row weights, class weights and offsets: sum w f / sum w + l2/2 |w|^2 over the rows of all peers, as others compute it."""

import json

import numpy as np
import pandas as pd
import pytest
from runs import ENGINES, carry_out, settings
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

from gossipfl.config.file import parse
from gossipfl.errors import BadData, Incompatible
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.study.make import study
from gossipfl.models import LOSSES, Linear

PEERS = "pqr"


def pooled(folder, classes=2):
    """One file for each peer, of different sizes, and all rows of them; the peers differ in every respect."""
    rng = np.random.default_rng(8)
    parts = []
    for i, name in enumerate(PEERS):
        n = 30 + 25 * i
        frame = pd.DataFrame(rng.normal(size=(n, 3)) + i, columns=["age", "bmi", "dose"])
        score = frame["age"] - frame["bmi"] + rng.normal(size=n)
        frame["label"] = np.digitize(score, np.linspace(0.3, 1.5, classes - 1))
        frame["count"] = rng.poisson(np.exp(0.3 * score))
        frame["score"] = score
        frame["w"] = rng.exponential(size=n) * (1 + 3 * i) * (rng.random(n) > 0.1)
        frame["exposure"] = rng.uniform(0.2, 4, n)
        frame["o"] = np.log(frame["exposure"])
        parts.append(frame)
        frame.to_csv(folder / f"{name}.csv", index=False)
    return pd.concat(parts)


def experiment(folder, target, model, method="newton", **changes):
    others = {"label", "count", "score", "w", "exposure", "o"} - {target} - {
        changes.get("data__row_weights"), changes.get("data__offset"),
    }  # fmt: skip
    raw = settings(
        data__source=f"{folder}/?.csv", data__target=target, data__drop=sorted(others), data__test=0.0,
        topology__graph="ring:3",
        model__kind=model, algorithm__kind=method, stop__rounds=600 if method == "newton" else 6000, stop__tolerance=1e-13,
        **changes,
    )  # fmt: skip
    raw["data"].pop("partition")
    return raw


def learned(folder, engine, raw):
    """Intercept and coefficients, of standardised columns."""
    summary, _ = carry_out(engine, raw, folder / "run")
    assert summary["stopped"] == "tolerance"
    model = json.loads((folder / "run" / "model.json").read_text())
    rows = [model["intercept"], *(model["coefficients"][name] for name in ("age", "bmi", "dose"))]
    return np.array(rows).reshape(4, -1)


def standardised(rows, weight="w"):
    """Rows of weight 0 do not count."""
    x = rows[["age", "bmi", "dose"]].to_numpy()
    counts = x[np.ones(len(x), bool) if weight is None else rows[weight] > 0]
    return (x - counts.mean(0)) / counts.std(0)


def logistic(rows, l2, weights, class_weight=None):
    weight = rows[weights].to_numpy() if weights else np.ones(len(rows))
    total = float(np.sum(weight))
    if class_weight == "balanced" or isinstance(class_weight, dict):
        from sklearn.utils.class_weight import compute_class_weight

        classes = np.unique(rows["label"])
        given = (
            class_weight if isinstance(class_weight, str) else {int(c): v for c, v in class_weight.items()}
        )
        if isinstance(given, dict):
            given = {c: given.get(int(c), 1.0) for c in classes}
        factors = compute_class_weight(
            given, classes=classes, y=rows["label"], sample_weight=weight if given == "balanced" else None
        )
        weight = weight * factors[rows["label"]]
        total = float(np.sum(weight))
    found = LogisticRegression(C=1 / (l2 * total), tol=1e-14, max_iter=10_000, solver="newton-cholesky").fit(
        standardised(rows, weights), rows["label"], sample_weight=weight
    )
    return np.vstack([found.intercept_, found.coef_.T])


@pytest.mark.parametrize("class_weight", [None, "balanced", {"1": 4.0}], ids=str)
@pytest.mark.parametrize("weights", ["w", None])
@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_as_scikit_learn(classes, weights, class_weight, tmp_path):
    rows = pooled(tmp_path, classes)
    raw = experiment(
        tmp_path,
        "label",
        "logistic" if classes == 2 else "softmax",
        data__row_weights=weights,
        model__class_weight=class_weight,
    )
    mine = learned(tmp_path, "simulator", raw)
    theirs = logistic(rows, 0.1, weights, class_weight)
    if classes == 3:
        mine, theirs = (one - one.mean(1, keepdims=True) for one in (mine, theirs))
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-8)


@pytest.mark.parametrize("method", ["newton", "exact-diffusion"])
def test_ridge_as_scikit_learn(method, tmp_path):
    rows = pooled(tmp_path)
    mine = learned(
        tmp_path, "simulator", experiment(tmp_path, "score", "linear", method, data__row_weights="w")
    )
    theirs = Ridge(alpha=0.1 * rows["w"].sum()).fit(
        standardised(rows), rows["score"], sample_weight=rows["w"]
    )
    np.testing.assert_allclose(mine.ravel(), [theirs.intercept_, *theirs.coef_], rtol=0, atol=1e-8)


def test_counts_with_an_exposure_as_scikit_learn(tmp_path):
    """An offset log(exposure) is a rate, weighted by the exposure."""
    rows = pooled(tmp_path)
    mine = learned(
        tmp_path,
        "simulator",
        experiment(tmp_path, "count", "poisson", data__offset="o", data__row_weights="w"),
    )
    weight = rows["w"] * rows["exposure"]
    theirs = PoissonRegressor(
        alpha=0.1 * rows["w"].sum() / weight.sum(), tol=1e-14, max_iter=10_000, solver="newton-cholesky"
    ).fit(standardised(rows), rows["count"] / rows["exposure"], sample_weight=weight)
    np.testing.assert_allclose(mine.ravel(), [theirs.intercept_, *theirs.coef_], rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("target", "model", "family"), [("label", "logistic", "Binomial"), ("count", "poisson", "Poisson")]
)
def test_weights_and_offsets_as_statsmodels(target, model, family, tmp_path):
    sm = pytest.importorskip("statsmodels.api")
    rows = pooled(tmp_path)
    raw = experiment(tmp_path, target, model, data__offset="o", data__row_weights="w", model__l2=0.0)
    mine = learned(tmp_path, "simulator", raw)
    theirs = sm.GLM(
        rows[target].to_numpy(), sm.add_constant(standardised(rows)), getattr(sm.families, family)(),
        offset=rows["o"].to_numpy(), freq_weights=rows["w"].to_numpy(),
    ).fit(tol=1e-14, maxiter=200)  # fmt: skip
    np.testing.assert_allclose(mine.ravel(), theirs.params, rtol=0, atol=1e-8)


def test_real_peers_weigh_alike(tmp_path):
    """All at once: row weights, balanced classes and an offset; the pooled baseline of scikit-learn has no offset."""
    raw = experiment(
        tmp_path,
        "label",
        "logistic",
        data__row_weights="w",
        data__offset="o",
        model__class_weight="balanced",
        reference=True,
    )
    pooled(tmp_path)
    summary, _ = carry_out("peers", raw, tmp_path / "live")
    assert summary["stopped"] == "tolerance"
    assert summary["distance_to_optimum"] < 1e-8
    live = json.loads((tmp_path / "live" / "model.json").read_text())
    assert learned(tmp_path, "simulator", raw).ravel() == pytest.approx(
        [live["intercept"], *live["coefficients"].values()], abs=1e-12
    )


@pytest.mark.parametrize("batch", [1, 4])
def test_batches_are_drawn_by_weight(batch):
    """The mean gradient of many rounds is the full one, and a row of weight 0 is never drawn."""
    rng = np.random.default_rng(1)
    shards = [(rng.normal(size=(n, 2)), rng.normal(size=n)) for n in (5, 9)]
    weights, offsets = ([rng.exponential(size=len(y)) for _, y in shards] for _ in range(2))
    weights[0][-1] = weights[1][0] = 0.0
    shards[0][0][-1] = shards[1][0][0] = np.nan
    clean = [(np.nan_to_num(x), y) for x, y in shards]

    def make(data, **more):
        return Linear(data, LOSSES["linear"](), weights=weights, offsets=offsets, l2=0.1, **more)

    few = make(shards, batch=batch)
    x = few.penalised.new_tensor([[0.3, -1.0, 0.5], [1.0, 0.0, -0.2]])
    mean = sum(few.grad(round)(x) for round in range(6000)) / 6000
    np.testing.assert_allclose(mean, make(clean).grad(0)(x), atol=0.15 / batch**0.5)


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"data__row_weights": "nothing"}, BadData, "has no column 'nothing'"),
        ({"data__row_weights": "dose"}, BadData, "weight 'dose' is below 0 in row"),
        ({"model__class_weight": {"7": 2.0}}, BadData, "the peers have no class '7'"),
        ({"model__class_weight": {"1": -2.0}}, None, "class_weight"),
        ({"model__class_weight": "balanced", "model__kind": "linear"}, Incompatible, "class_weight is for classes"),
        ({"data__offset": "o", "model__kind": "softmax"}, Incompatible, "changes nothing"),
        (
            {"data__row_weights": "w", "algorithm": {"kind": "gossip-learning"}, "stop": {}}, Incompatible,
            "does not use data.row_weights",
        ),
    ],
    ids=str,
)  # fmt: skip
def test_what_has_no_meaning_is_refused(changes, error, sentence, tmp_path):
    pooled(tmp_path)
    raw = experiment(tmp_path, "label", "logistic") | {}
    for key, value in changes.items():
        section, _, name = key.partition("__")
        raw[section] = raw[section] | {name: value} if name else value
    with pytest.raises(error or Exception, match=sentence):
        list(ENGINES["simulator"](parse(raw), tmp_path / "run"))


def test_all_rows_in_one_place_keep_their_weights(tmp_path):
    rows = pooled(tmp_path)
    raw = experiment(tmp_path, "score", "linear", "pooled", data__row_weights="w", data__offset="o")
    (table,) = tables(study(parse(raw)))
    assert table.weights.tolist() == rows["w"].tolist()
    assert table.offset.tolist() == rows["o"].tolist()
