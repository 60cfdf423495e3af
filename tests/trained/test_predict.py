"""A finished model predicts raw rows: the truth is model.json read by hand, and scikit-learn's scores."""

import json

import numpy as np
import pandas as pd
import pytest
from commands import gossipfl
from runs import carry_out
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, r2_score, roc_auc_score

from gossipfl.errors import BadData, BadExperiment
from gossipfl.models.losses import LOSSES
from gossipfl.trained import load
from gossipfl.trained.links import LINKS

TARGETS = {
    "logistic": lambda z: np.where(z > 0, "sick", "well"),
    "svm": lambda z: np.where(z > 0, "yes", "no"),
    "softmax": lambda z: np.array(["low", "mid", "top"])[np.digitize(z, [-1, 1])],
    "linear": lambda z: z,
    "huber": lambda z: z,
    "poisson": lambda z: np.floor(np.exp(z / 3)),
}


def frame(rows=200, seed=0):
    """Columns of 1e6, of few values, of words, of truth values and of codes, with missing values in two of them."""
    r = np.random.default_rng(seed)
    f = pd.DataFrame(
        {
            "far": r.normal(1e6, 3, rows),
            "dose": r.integers(0, 5, rows).astype(float),
            "town": r.choice(["oslo", "lyon", "bern"], rows),
            "code": r.choice(["01", "1", "7"], rows),
            "smoker": r.choice([True, False], rows),
            "log_days": r.normal(0, 0.1, rows),
        }
    )
    z = (f["far"] - 1e6) / 3 + f["dose"] / 4 - (f["town"] == "oslo") + f["log_days"] + r.normal(0, 1, rows)
    f["dose"] = f["dose"].mask(r.random(rows) < 0.1)
    f["town"] = f["town"].mask(r.random(rows) < 0.1)
    return f, z


def trained(folder, kind="logistic", missing="mode", **more):
    """A run folder with a model of this kind."""
    f, z = frame()
    if missing == "level":
        f["dose"] = f["dose"].fillna(2.0)
    f.assign(y=TARGETS[kind](z)).to_csv(folder / "old.csv", index=False)
    raw = {
        "data": {
            "source": str(folder / "old.csv"), "target": "y", "missing": missing,
            "categorical": ["town", "code", "smoker"],
        },
        "topology": {"graph": "full:4"},
        "model": {"kind": kind, "l2": 0.1},
        "stop": {"rounds": 60},
    }  # fmt: skip
    if kind != "softmax":  # to which an offset means nothing
        raw["data"]["offset"] = "log_days"
    if kind == "svm":
        raw["algorithm"] = {"kind": "d-psgd", "step": 0.01}
    for key, value in more.items():
        section, _, name = key.partition("__")
        raw[section][name] = value
    carry_out("simulator", raw, folder / "run")
    return folder / "run"


def new_rows():
    """Rows with words that training never saw, and a value that nothing replaces."""
    f, _ = frame(40, seed=1)
    f.loc[3, "town"], f.loc[5, "code"], f.loc[8, "far"] = "paris", "8", np.nan
    f["more"] = "left out"
    return f


def by_hand(model, f):
    """Margins (n, outputs) by the sentence in model.json, with NaN for row 8."""
    text = f.assign(smoker=f["smoker"].map({True: "TRUE", False: "FALSE"}))
    text = text.fillna(model["missing"]["fill"])
    if model["missing"]["level"]:
        text = text.fillna(dict.fromkeys(model["levels"], model["missing"]["level"]))
    z = np.asarray(model["intercept"]) + (f[["log_days"]].to_numpy() if model["offset"] else 0.0)
    for name in model["columns"]:
        one = {f"{name}={level}": text[name] == level for level in model["levels"].get(name, [])[1:]}
        for feature, values in (one or {name: text[name]}).items():
            scale = model["standardisation"]
            x = (values.to_numpy(float) - scale["mean"][feature]) / scale["deviation"][feature]
            z = z + x[:, None] * np.asarray(model["coefficients"][feature])
    return z


def test_every_loss_has_a_link():
    assert LINKS.keys() == LOSSES.keys()


@pytest.mark.parametrize(
    ("kind", "missing"), [("logistic", "level"), ("softmax", "mode"), ("svm", "mode"), ("poisson", "mode")]
)
def test_predictions_are_those_of_model_json(kind, missing, tmp_path):
    folder = trained(tmp_path, kind, missing)
    f, model = new_rows(), json.loads((folder / "model.json").read_text())
    f.to_csv(tmp_path / "new.csv", index=False)
    found, z = load(folder).predict(tmp_path / "new.csv"), by_hand(model, f)
    assert np.isnan(z[8]).all()
    np.testing.assert_allclose(found.margins, z, rtol=0, atol=1e-9)
    assert found.scores is None
    assert len(found.frame) == len(f)
    told = " ".join(found.notes)
    assert "'paris'" in told
    assert "'8'" in told
    assert "'far' in row 9" in told
    known = ~np.isnan(z).any(1)
    if kind == "poisson":
        np.testing.assert_allclose(found.frame["prediction"][known], np.exp(z[known, 0]), rtol=1e-12)
        return
    classes = model["classes"]
    best = z.argmax(1) if kind == "softmax" else (z[:, 0] > 0).astype(int)
    assert found.frame["prediction"][known].tolist() == [classes[c] for c in best[known]]
    assert pd.isna(found.frame["prediction"][8])
    if kind == "logistic":
        assert model["positive"] == "well"
        assert model["formula"].startswith("P(well) = 1 / (1 + exp(-z))")
        np.testing.assert_allclose(found.frame["P(well)"], 1 / (1 + np.exp(-z[:, 0])), rtol=1e-12)
    if kind == "softmax":
        shares = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        np.testing.assert_allclose(found.frame[[f"P({c})" for c in classes]], shares, rtol=1e-12)


def test_predictions_stand_beside_their_rows_whatever_the_index(tmp_path):
    model = load(trained(tmp_path))
    f = new_rows()
    plain = model.predict(f).frame
    shuffled = f.sample(frac=0.5, random_state=1)
    others = {
        "words": f.set_axis([f"patient {row}" for row in range(len(f))]),
        "shuffled": shuffled,
        "twice": pd.concat([f, shuffled]),
        "pairs": f.set_index(["town", "code"], drop=False),
    }
    for name, rows in others.items():
        found = model.predict(rows).frame
        pd.testing.assert_index_equal(found.index, rows.index)
        beside = rows.assign(p=found["P(well)"])
        place = [*range(len(f))] if len(rows) == len(f) else rows.index
        np.testing.assert_array_equal(beside["p"], plain["P(well)"].to_numpy()[place], err_msg=name)


def test_scores_are_those_of_scikit_learn(tmp_path):
    """The original data are gone; the model scores a file with the target."""
    folder = trained(tmp_path)
    (tmp_path / "old.csv").unlink()
    f, z = frame(100, seed=2)
    f["y"] = TARGETS["logistic"](z)
    f.loc[4, "y"], f.loc[6, "y"] = "unheard of", None
    f.to_csv(tmp_path / "new.csv", index=False)
    said = gossipfl("predict", folder, tmp_path / "new.csv", "--format", "json")
    assert said.code == 0
    told, here = said.json["scores"], ~f.index.isin([4, 6])
    y, p = f["y"][here] == "well", np.array([row["P(well)"] for row in said.json["predictions"]])[here]
    truth = {
        "rows": 98, "accuracy": accuracy_score(y, p > 0.5), "auc": roc_auc_score(y, p), "log_loss": log_loss(y, p),
        "brier": brier_score_loss(y, p),
    }  # fmt: skip
    assert {name: told[name] for name in truth} == pytest.approx(truth, rel=1e-12)
    assert any("'unheard of'" in note for note in said.json["notes"])


def test_the_mean_fills_columns_that_lacked_nothing_before(tmp_path):
    f, z = frame()
    f = f.dropna().assign(y=z)[["far", "dose", "y"]]
    f.to_csv(tmp_path / "old.csv", index=False)
    raw = {
        "data": {"source": str(tmp_path / "old.csv"), "target": "y", "missing": "mean"},
        "topology": {"graph": "ring:4"},
        "model": {"kind": "linear"},
        "stop": {"rounds": 40},
    }
    carry_out("simulator", raw, tmp_path / "run")
    model = load(tmp_path / "run")
    middle = dict(zip(model.schema.features, model.scale.mean, strict=True))
    found = model.predict(pd.DataFrame({"dose": [1.0, 1.0], "far": [np.nan, middle["far"]]}))
    assert found.frame["prediction"][0] == found.frame["prediction"][1]
    scored = model.predict(f)
    assert scored.scores["r2"] == pytest.approx(r2_score(f["y"], scored.frame["prediction"]), rel=1e-12)


def test_mistakes_are_named(tmp_path):
    folder = trained(tmp_path)
    f = new_rows()
    cases = [
        (f.rename(columns={"far": "fur"}), "lacks 'far', which the model needs; did you mean 'fur'?"),
        (f.assign(far="much"), "column 'far' has 'much' in row 1"),
        (f.assign(far=np.inf), "infinite"),
    ]
    for wrong, sentence in cases:
        with pytest.raises(BadData, match="the data") as error:
            load(folder).predict(wrong)
        assert sentence in str(error.value)
    assert gossipfl("predict", folder, tmp_path / "none.csv").code == 4
    (tmp_path / "broken.json").write_text('{"kind": "logistic"}')
    with pytest.raises(BadExperiment, match="damaged"):
        load(tmp_path / "broken.json")
    with pytest.raises(BadExperiment, match="there is no model in"):
        load(tmp_path)
