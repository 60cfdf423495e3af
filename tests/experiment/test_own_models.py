"""Models of the peers' own: both scores are told, in both engines, and homes predict their loads better."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from runs import carry_out, models
from safetensors.torch import load_file

import gossipfl as gf
from gossipfl.config.file import parse
from gossipfl.errors import Incompatible
from gossipfl.trained import load

DATA = Path(os.environ.get("GOSSIPFL_DATA", "/nowhere")) / "citylearn"


def sites(folder):
    """Two sites of one kind, and one with other coefficients; enough rows to see it."""
    r = np.random.default_rng(0)
    for name, w in {"a": [1.0, 1.0], "b": [1.0, 1.0], "c": [-1.0, 2.0]}.items():
        x = r.normal(size=(150, 2))
        frame = pd.DataFrame({"u": x[:, 0], "v": x[:, 1], "y": x @ w + 0.1 * r.normal(size=150)})
        frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "links.edgelist").write_text("a b\nb c\nc a\n")


def raw(folder, **model):
    return {
        "data": {"source": str(folder / "*.csv"), "target": "y"},
        "topology": {"graph": str(folder / "links.edgelist")},
        "model": {"kind": "linear", "l2": 0.01, "personal": True, **model},
        "stop": {"tolerance": 1e-9},
    }


def own_coefficients(run, name):
    model = load(run / "peers" / name / "model.json")
    return np.append(model.coefficients, model.intercept)


@pytest.mark.slow
def test_live_peers_have_the_own_models_of_the_simulation(tmp_path):
    sites(tmp_path)
    told = [
        carry_out(engine, raw(tmp_path), tmp_path / engine)[0]["personal"]
        for engine in ("simulator", "peers")
    ]
    assert told[0]["strength"] == told[1]["strength"]
    assert told[0]["test"]["all"] == pytest.approx(told[1]["test"]["all"], rel=1e-9)
    for name in "abc":
        one, other = (own_coefficients(tmp_path / engine, name) for engine in ("simulator", "peers"))
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_both_scores_are_told(tmp_path):
    sites(tmp_path)
    summary, _ = carry_out("simulator", raw(tmp_path), tmp_path / "run")
    own, shared = summary["personal"]["test"], summary["test"]
    assert own["peers"]["c"]["r2"] > 0.95 > shared["peers"]["c"]["r2"]
    assert own["all"]["rmse"] < 0.2 < shared["all"]["rmse"]
    assert summary["personal"]["strength"]["c"] <= 0.01
    # the peers still hold one model, and each one's own is in its folder
    assert summary["agreed"]
    assert (
        float(
            (models(tmp_path / "run", ["a", "c"])[0] - load_file(tmp_path / "run/model.safetensors")["x"])
            .abs()
            .max()
        )
        < 1e-8
    )
    held = [file for kind in ("model.json", "*.safetensors") for file in (tmp_path / "run").rglob(kind)]
    assert len(held) == 8, "of all, and of each of three peers"
    assert {file.stat().st_mode & 0o777 for file in held} == {0o600}
    mine = load(tmp_path / "run" / "peers" / "c" / "model.json")
    slopes, intercept = mine.original
    np.testing.assert_allclose(np.append(slopes, intercept), [-1.0, 2.0, 0.0], atol=0.1)
    rows = pd.read_csv(tmp_path / "c.csv")
    assert mine.predict(rows).scores["r2"] > load(tmp_path / "run").predict(rows).scores["r2"]


@pytest.mark.parametrize("standardise", ["gossip", "none"])
def test_python_has_the_own_models_from_memory_and_from_a_folder(tmp_path, standardise):
    sites(tmp_path)
    experiment = parse(raw(tmp_path) | {"data": raw(tmp_path)["data"] | {"standardise": standardise}})
    memory, again = gf.simulate(experiment), gf.simulate(experiment, out=tmp_path / "run")
    assert [*memory.personal] == [*again.personal] == ["a", "b", "c"]
    for name, model in memory.personal.items():
        for ours, theirs in zip(model.original, again.personal[name].original, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    rows = pd.read_csv(tmp_path / "c.csv")
    assert memory.personal["c"].predict(rows).scores["r2"] > memory.model.predict(rows).scores["r2"]
    told = [
        figures["all"]["rmse"] for figures in (memory.summary["test"], memory.summary["personal"]["test"])
    ]
    assert "test rows, own models" in memory._repr_html_()
    assert all(f"{rmse:.4g}" in memory._repr_html_() for rmse in told)
    plain = gf.simulate(experiment, personal=False)
    assert plain.personal == {}
    assert "own models" not in plain._repr_html_()


def test_a_study_is_the_same_with_and_without(tmp_path):
    """No message is sent for it: peers may choose it alone."""
    sites(tmp_path)
    plain, _ = carry_out("simulator", raw(tmp_path, personal=False), tmp_path / "plain")
    own, _ = carry_out("simulator", raw(tmp_path), tmp_path / "own")
    assert "personal" not in plain
    assert plain["bytes_sent"] == own["bytes_sent"]
    assert torch.equal(*(load_file(tmp_path / name / "model.safetensors")["x"] for name in ("plain", "own")))
    with pytest.raises(Incompatible, match="squared-svm"):
        carry_out("simulator", raw(tmp_path, kind="svm"), tmp_path / "svm")


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="GOSSIPFL_DATA names no folder with citylearn")
def test_homes_with_eight_weeks_of_data(tmp_path):
    """The next hour's load of 17 homes after week 40, from their first 8 weeks: better than one model for all."""
    weather = pd.read_csv(DATA / "weather.csv.xz").iloc[:, :4]
    for home in range(1, 18):
        b = pd.read_csv(DATA / f"Building_{home}.csv.xz")
        load_ = b["Equipment Electric Power [kWh]"]
        f = pd.DataFrame({f"lag{k}": load_.shift(k) for k in (1, 2, 3, 24, 168)}).assign(
            hour=b["Hour"], weekend=b["Day Type"].isin([1, 7]) * 1.0, load=load_, test=0
        )
        f = pd.concat([f, weather], axis=1)
        f.loc[40 * 168 :, "test"] = 1
        f.iloc[[*range(168, 8 * 168), *range(40 * 168, len(f))]].to_csv(
            tmp_path / f"home{home}.csv", index=False
        )
    base = {
        "data": {
            "source": str(tmp_path / "*.csv"),
            "target": "load",
            "categorical": ["hour"],
            "test": "test",
        },
        "topology": {"graph": "ring:17"},
        "model": {"kind": "linear", "l2": 0.001, "personal": True},
        "stop": {"tolerance": 1e-8},
    }
    summary, _ = carry_out("simulator", base, tmp_path / "run")
    shared, own = summary["test"]["all"]["r2"], summary["personal"]["test"]["all"]["r2"]
    assert shared == pytest.approx(0.646, abs=0.002)
    assert own == pytest.approx(0.658, abs=0.002)
    assert json.loads((tmp_path / "run/peers/0/model.json").read_text())["target"] == "load"
