"""The interface for Python: what a call returns, prints and leaves behind; its examples are true."""

import doctest
import importlib
import subprocess
import sys

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from rows_of_towns import towns
from runs import settings

import gossipfl as gf
from gossipfl.config.file import parse
from gossipfl.errors import BadData, BadExperiment

DOCUMENTED = ("calls", "estimators", "graphs", "settings")
FREE = """
import sys, gossipfl as gf
assert not {"torch", "pandas", "sklearn", "networkx"} & {*sys.modules}
assert {"simulate", "GossipClassifier"} <= {*dir(gf)}
"""


@pytest.mark.parametrize("module", DOCUMENTED)
def test_examples_are_true(module):
    found = doctest.testmod(importlib.import_module(f"gossipfl.interface.{module}"))
    assert (found.failed, found.attempted > 0) == (0, True)


def test_the_import_is_free():
    subprocess.run([sys.executable, "-c", FREE], check=True)
    assert all(callable(getattr(gf, name)) for name in gf.HOMES)
    with pytest.raises(AttributeError, match="no attribute 'simulation'"):
        getattr(gf, "simulation")  # noqa: B009


def test_a_simulation_is_silent_and_leaves_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    result = gf.simulate("breast_cancer", topology=nx.karate_club_graph(), l2=0.01)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert result.converged
    assert result.summary["peers"] == 34
    assert result.certificate < 1e-8
    assert {*result.metrics} == {"round", "loss", "disagreement", "seconds", "messages"}
    assert "hold one model" in repr(result)
    shown = result._repr_html_()
    assert all(part in shown for part in ("✓", "mean radius", "34 peers, newton", " training rows"))
    assert "sum_j coefficient_j x_j" in shown, "the formula of coefficients in the units of the data"


def test_the_same_experiment_gives_the_same_model_from_a_file_a_folder_and_memory(tmp_path, capfd):
    experiment = parse(settings(stop__rounds=30))
    written = gf.simulate(experiment, out=tmp_path / "run", progress=True)
    assert "round 1: loss" in capfd.readouterr().err
    again = gf.load_run(tmp_path / "run")
    memory = gf.simulate(tmp_path / "run" / "config.toml")
    for result in (again, memory):
        pd.testing.assert_frame_equal(result.summary_frame(), written.summary_frame())
        assert result.metrics.loss.tolist() == written.metrics.loss.tolist()
        assert result.test == written.test
    assert gf.load_model(tmp_path / "run").formula == memory.model.formula
    fewer = gf.simulate(gf.load(tmp_path / "run" / "config.toml", rounds=3))
    assert fewer.summary["rounds"] == 3


def test_a_data_frame_is_taken_as_it_is(tmp_path):
    frame = towns().set_index(np.arange(300) * 7)
    result = gf.simulate(frame, "price", topology="ring:4")
    table = result.summary_frame().coefficient
    assert table["size"] == pytest.approx(3.0, abs=0.02)
    assert "town=b" in table
    assert result.model.predict(frame.drop(columns="price")).frame.shape == (300, 1)
    frame.to_csv(tmp_path / "towns.csv", index=False)
    from_file = gf.simulate(tmp_path / "towns.csv", "price", topology="ring:4")
    pd.testing.assert_frame_equal(from_file.summary_frame(), result.summary_frame())
    split = dict([*frame.groupby("county")])
    named = gf.simulate(split, "price", topology=nx.path_graph(sorted(split)), data={"drop": ["county"]})
    assert [*named.summary["rows"]] == sorted(split)
    with pytest.raises(BadData, match="target column 'prize'; did you mean 'price'"):
        gf.simulate(frame, "prize")
    with pytest.raises(BadExperiment, match="no section has this key"):
        gf.simulate(frame, "price", rouns=3)
    with pytest.raises(BadExperiment, match=r"the graph: not connected"):
        gf.simulate(frame, "price", topology=nx.Graph([(1, 2), (3, 4)]))


@pytest.mark.slow
def test_live_peers_learn_what_the_simulator_learns(tmp_path):
    frame = towns()
    simulated = gf.simulate(frame, "price", topology=nx.path_graph(3))
    live = gf.run(frame, "price", topology=nx.path_graph(3), out=tmp_path / "run")
    pd.testing.assert_frame_equal(live.summary_frame(), simulated.summary_frame(), rtol=1e-9)
    assert live.folder == tmp_path / "run"
    with pytest.raises(BadData, match="data frame of a program"):
        gf.simulate(tmp_path / "run" / "config.toml")
    with pytest.raises(BadExperiment, match="has a run already"):
        gf.run(frame, "price", out=tmp_path / "run")


def test_settings_are_refused_in_words_and_stay_as_they_were():
    whole = {"scheme": "dirichlet"}
    for words in ({"stop": 5}, {"partition": "sorted", "partition.alpha": 1}, {"target": 3}):
        with pytest.raises(BadExperiment):
            gf.simulate("breast-cancer", topology="ring:4", **words)
    with pytest.raises(BadExperiment):
        gf.simulate("breast-cancer", topology="ring:4", settings={"partition": whole, "partition.alpha": -1})
    assert whole == {"scheme": "dirichlet"}
