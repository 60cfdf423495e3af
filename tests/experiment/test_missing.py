"""Missing values become what the training rows of all peers say, or a level: as if all rows lay in one place."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import carry_out, settings

from gossipfl.data import Schema, Table
from gossipfl.data.fill import agree_fill
from gossipfl.errors import BadData

SITES = ["oslo", "lyon", "bonn"]
FLOATS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-3, 3).map(float))


def rows():
    """Three sites, each with other holes; one lacks the level "red", and one has no hole in "dose"."""
    rng = np.random.default_rng(4)
    for i, site in enumerate(SITES):
        n = 41 + 10 * i
        frame = pd.DataFrame(
            {"age": rng.normal(60 + 5 * i, 10, n), "dose": rng.choice([1.0, 2.0, 5.0], n, p=[0.2, 0.5, 0.3])}
        )
        frame["colour"] = rng.choice(["blue", "green", "red"], n) if i else rng.choice(["blue", "green"], n)
        frame["y"] = frame["age"] / 10 + frame["dose"] * (frame["colour"] == "blue") + rng.normal(size=n)
        frame["is_test"] = (rng.random(n) < 0.2).astype(int)
        frame.loc[rng.random(n) < 0.2, "age"] = np.nan
        frame.loc[rng.random(n) < 0.2 * (i > 0), "dose"] = np.nan
        frame.loc[rng.random(n) < 0.2, "colour"] = np.nan
        yield site, frame


def settings_for(folder, missing, **changes):
    raw = settings(
        data__source=f"{folder}/????.csv", data__target="y", data__test="is_test", data__missing=missing,
        data__categorical=["colour"], topology__graph=str(folder / "line.json"), model__kind="linear",
        algorithm__kind="newton", stop__rounds=100, stop__tolerance=1e-12, **changes,
    )  # fmt: skip
    raw["data"].pop("partition")
    links = [{"source": "oslo", "target": "lyon"}, {"source": "lyon", "target": "bonn"}]
    (folder / "line.json").write_text(json.dumps({"nodes": [{"id": name} for name in SITES], "links": links}))
    return raw


def write(folder, change=lambda frame: frame, shuffled=False):
    for i, (site, frame) in enumerate(rows()):
        changed = change(frame)
        order = np.random.default_rng(i).permutation(changed.columns) if shuffled else changed.columns
        changed[order].to_csv(folder / f"{site}.csv", index=False)


def model(folder):
    found = json.loads((folder / "model.json").read_text())
    return found["coefficients"] | {"intercept": found["intercept"]}


FILL = {"mean": pd.DataFrame.mean, "median": pd.DataFrame.median, "mode": lambda frame: frame.mode().iloc[0]}


@pytest.mark.parametrize("missing", FILL)
def test_it_is_filled_in_as_in_one_place(missing, tmp_path):
    """Against pandas: the statistic of the training rows of all sites."""
    columns = ["age", "dose", "colour"] if missing == "mode" else ["age", "dose"]
    coarse = (lambda f: f.assign(age=(f["age"] / 8).round())) if missing == "mode" else (lambda f: f)
    other = (lambda f: f) if missing == "mode" else (lambda f: f.assign(colour=f["colour"].fillna("blue")))
    everything = pd.concat([coarse(frame) for _, frame in rows()])
    fill = FILL[missing](everything[everything["is_test"] == 0][columns])
    write(tmp_path, lambda f: other(coarse(f)))
    summary, _ = carry_out("simulator", settings_for(tmp_path, missing), tmp_path / "run")
    assert summary["stopped"] == "tolerance"
    (tmp_path / "one").mkdir()
    write(tmp_path / "one", lambda f: other(coarse(f)).fillna(fill.to_dict()))
    carry_out("simulator", settings_for(tmp_path / "one", "refuse"), tmp_path / "one" / "run")
    assert model(tmp_path / "run") == pytest.approx(model(tmp_path / "one" / "run"), abs=1e-12)


def test_real_peers_bisect_for_the_median(tmp_path):
    write(tmp_path, lambda f: f.assign(colour=f["colour"].fillna("blue")))
    for engine in ("peers", "simulator"):
        carry_out(engine, settings_for(tmp_path, "median"), tmp_path / engine)
    assert model(tmp_path / "peers") == pytest.approx(model(tmp_path / "simulator"), abs=1e-12)


@pytest.mark.parametrize("engine", ["simulator", "peers"])
def test_a_level_that_one_site_lacks_and_a_level_for_what_is_missing(engine, tmp_path):
    """The pooled optimum, by the normal equations of the standardised one-hot columns."""
    write(tmp_path, lambda f: f.assign(age=f["age"].fillna(60.0), dose=f["dose"].fillna(1.0)), shuffled=True)
    carry_out(engine, settings_for(tmp_path, "level"), tmp_path / "run")
    everything = pd.concat([frame for _, frame in rows()]).fillna(
        {"age": 60.0, "dose": 1.0, "colour": "(missing)"}
    )
    train = everything[everything["is_test"] == 0]
    names = ["age", "dose", *(f"colour={level}" for level in ("blue", "green", "red"))]
    x = np.column_stack(
        [train["age"], train["dose"], *(train["colour"] == level for level in ("blue", "green", "red"))]
    )
    x = (x - x.mean(0)) / x.std(0)
    w = np.linalg.solve(x.T @ x / len(x) + 0.1 * np.eye(5), x.T @ (train["y"] - train["y"].mean()) / len(x))
    best = dict(zip(names, w, strict=True)) | {"intercept": train["y"].mean()}
    assert model(tmp_path / "run") == pytest.approx(best, abs=1e-10)


def scored(model, frame):
    """The margins of raw rows, by model.json alone."""
    filled = frame[model["columns"]].fillna(model["missing"]["fill"])
    if model["missing"]["level"]:
        filled = filled.fillna(dict.fromkeys(model["levels"], model["missing"]["level"]))
    margin = model["intercept"] + (frame[model["offset"]] if model["offset"] else 0.0)
    for name in model["columns"]:
        shown = {f"{name}={level}": filled[name] == level for level in model["levels"].get(name, [])[1:]} or {
            name: filled[name]
        }
        for feature, values in shown.items():
            scale = model["standardisation"] or {"mean": {feature: 0.0}, "deviation": {feature: 1.0}}
            z = (values - scale["mean"][feature]) / scale["deviation"][feature]
            margin = margin + model["coefficients"][feature] * z
    return margin


@pytest.mark.parametrize(
    ("missing", "standardise"), [("mode", "gossip"), ("level", "gossip"), ("mode", "none")]
)
def test_the_model_file_is_enough_to_score_raw_rows(missing, standardise, tmp_path):
    def change(frame):
        known = {} if missing == "mode" else {"age": 60.0, "dose": 1.0}
        late = frame.assign(age=(frame["age"] / 8).round()).fillna(known)
        return late.assign(
            y=np.where(late["y"] > 9, "sick", "well"), o=np.log(1.0 + np.arange(len(late))), site=7.0
        )

    write(tmp_path, change)
    raw = settings_for(tmp_path, missing, data__offset="o", data__standardise=standardise)
    raw["model"]["kind"] = "logistic"
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    model = json.loads((tmp_path / "run" / "model.json").read_text())
    assert (model["positive"], model["target"], model["constant"]) == ("well", "y", ["site"])
    assert model["standardise"] == standardise
    rows_ = pd.concat([pd.read_csv(tmp_path / f"{site}.csv") for site in SITES])
    test = rows_[rows_["is_test"] == 1]
    sign = np.where(test["y"] == model["positive"], 1, -1)
    assert np.mean(np.logaddexp(0, -sign * scored(model, test))) == pytest.approx(
        summary["test"]["all"]["log_loss"], rel=1e-12
    )


def sums(own):
    return own.sum(0)


def union(words, read):
    assert all(map(read, (word for own in words for word in own)))
    return {word for own in words for word in own}


def agreed(parts, missing, categorical=()):
    tables = [Table.of(pd.DataFrame({"a": part}), [0.0] * len(part)) for part in parts]
    found = {text for part in parts for text in map(str, part) if text != "nan"} if categorical else ()
    schema = Schema.agree(["a"], {"a": found} if categorical else {}, None)
    return agree_fill(tables, schema, missing, sums, union).get("a")


@given(st.lists(st.lists(FLOATS, max_size=6), min_size=1, max_size=4).filter(any))
def test_the_median_is_exact(parts):
    known = [value for part in parts for value in part]
    assert agreed([[*part, np.nan] for part in parts], "median") == pytest.approx(
        np.median(np.array(known) / 2) * 2, rel=1e-15
    )


@given(st.lists(st.lists(st.integers(-3, 3).map(float), max_size=6), min_size=1, max_size=4).filter(any))
def test_the_mode_is_the_smallest_of_the_most_frequent(parts):
    known = pd.Series([value for part in parts for value in part])
    assert agreed([[*part, np.nan] for part in parts], "mode") == known.mode().iloc[0]


@pytest.mark.parametrize(
    ("parts", "missing", "sentence"),
    [
        ([[1.0, 2.0, np.nan], [1.0] * 9], "mean", "has 2 known values of 'a'"),
        ([[np.nan], [np.nan]], "median", "no value in any training row of any peer"),
        ([[*map(float, range(30)), np.nan]], "mode", "more than 20 different values"),
    ],
)
def test_what_cannot_be_filled_in_is_refused(parts, missing, sentence):
    with pytest.raises(BadData, match=sentence):
        agreed(parts, missing)


def test_nothing_is_said_of_columns_without_holes():
    asked = []

    def count(own):
        asked.append(own.shape)
        return own.sum(0)

    tables = [Table.of(pd.DataFrame({"a": [1.0], "b": [2.0]}), [0.0])]
    assert agree_fill(tables, Schema.agree(["a", "b"], {}, None), "mean", count, union) == {}
    assert asked == [(1, 2)]
