"""ONNX, scikit-learn and `predict` say the same of the same rows: to 1e-9, in double precision."""

import csv
import runpy
import warnings

import joblib
import numpy as np
import onnxruntime
import pandas as pd
import pytest
from commands import gossipfl
from test_predict import new_rows, trained

from gossipfl.data.names import text
from gossipfl.trained import load

CASES = [
    ("logistic", "level"), ("logistic", "mode"), ("softmax", "mode"), ("svm", "mode"), ("linear", "mode"), ("huber", "level"),
    ("poisson", "mode"),
]  # fmt: skip


def by_onnx(file, model, frame):
    """The outputs of onnxruntime, by name; words are as pandas writes them: 1.0, True."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    words = {
        name: frame[name].astype(object).map(str, na_action="ignore").fillna("").replace("7", "7.0")
        for name in model.schema.levels
    }
    given = {
        name: np.array(words[name], dtype=object)[:, None] if name in words else frame[[name]].to_numpy(float)
        for name in model.wanted.columns
    }
    return dict(zip((one.name for one in session.get_outputs()), session.run(None, given), strict=True))


@pytest.mark.parametrize(("kind", "missing"), CASES)
def test_all_forms_agree(kind, missing, tmp_path):
    folder = trained(tmp_path, kind, missing)
    new_rows().to_csv(tmp_path / "new.csv", index=False)
    for form in ("onnx", "sklearn", "csv"):
        said = gossipfl("export", folder, "--to", form)
        assert (said.code, "/ deviation_j" in said.out) == (0, form != "csv"), "as its coefficients are"
    model = load(folder)
    said = model.predict(tmp_path / "new.csv")
    here = ~np.isnan(said.margins).any(1)
    assert here.sum() > len(here) / 2
    assert not here[8]
    frame = pd.read_csv(tmp_path / "new.csv", dtype={"code": str, "town": str})
    chances = said.frame.filter(like="P(").to_numpy()
    out = by_onnx(folder / "model.onnx", model, frame)

    script = runpy.run_path(str(folder / "model_sklearn.py"))
    joblib.dump(script["pipeline"](script["MODEL"]), tmp_path / "kept")
    pipe = joblib.load(tmp_path / "kept")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predicted = pipe.predict(frame[here])
    with pytest.raises(ValueError, match="NaN"):
        pipe.predict(frame)

    if model.classes:
        assert predicted.tolist() == said.frame["prediction"][here].tolist()
        assert out["prediction"].tolist() == said.frame["prediction"].fillna("").tolist()
        margins = pipe.decision_function(frame[here]).reshape(here.sum(), -1)
        np.testing.assert_allclose(margins, said.margins[here], rtol=0, atol=1e-9)
    else:
        np.testing.assert_allclose(predicted, said.frame["prediction"][here], rtol=1e-9)
        np.testing.assert_allclose(out["prediction"], said.frame["prediction"], rtol=1e-9)
    if "probability" in out:
        np.testing.assert_allclose(
            pipe.predict_proba(frame[here])[:, -1], chances[here, -1], rtol=0, atol=1e-9
        )
        np.testing.assert_allclose(out["probability"][:, -1], chances[:, -1], rtol=0, atol=1e-9)
        np.testing.assert_allclose(out["probability"][here].sum(1), 1.0, rtol=1e-12)
    elif "margin" in out:
        np.testing.assert_allclose(out["margin"], said.margins, rtol=0, atol=1e-9)

    with (folder / "coefficients.csv").open() as file:
        head, *lines = csv.reader(file)
    found = {line[0]: np.array(line[1:], dtype=float) for line in lines}
    slope = np.atleast_1d(model.coefficients[0]) / model.scale.deviation[0]
    assert head[1:] == ([*model.classes] if kind == "softmax" else ["coefficient"])
    np.testing.assert_array_equal(found["far"], slope)
    base = said.margins[0] - found["(intercept)"] - (frame["log_days"][0] if model.wanted.offset else 0.0)
    row = frame[["far", "dose", "log_days"]].iloc[0].to_dict()
    row |= {f"{name}={text(frame[name][0])}": 1.0 for name in model.schema.levels}
    total = sum(found[name] * value for name, value in row.items() if name in found)
    np.testing.assert_allclose(total, base, rtol=1e-9, atol=1e-6)


def test_a_model_without_categories_and_scaling_leaves_in_all_forms(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 2))
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": x @ [1.0, 2.0]})
    frame.to_csv(tmp_path / "old.csv", index=False)
    (tmp_path / "e.toml").write_text(
        '[data]\nsource = "old.csv"\ntarget = "y"\nstandardise = "none"\n[model]\nkind = "linear"\n'
        '[topology]\ngraph = "ring:4"\n[stop]\nrounds = 30\n'
    )
    run = tmp_path / "run"
    assert gossipfl("simulate", tmp_path / "e.toml", "--out", run).code == 0
    assert gossipfl("export", run / "model.json", "--to", "onnx", "--out", tmp_path / "m.onnx").code == 0
    model = load(run)
    out = by_onnx(tmp_path / "m.onnx", model, frame)["prediction"]
    np.testing.assert_allclose(out, model.predict(frame).frame["prediction"], rtol=1e-12)
    np.testing.assert_allclose(out, frame["y"], rtol=1e-9)
