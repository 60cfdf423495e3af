"""Data frames as programs have them: what they may be, what is chosen for them, and what is said of it."""

import dataclasses
import gzip
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from rows_of_towns import towns

import gossipfl as gf
from gossipfl.config.draft import draft
from gossipfl.data.memory import read_frame
from gossipfl.data.readers import MISSING, How
from gossipfl.errors import BadData, BadExperiment

FRAME = towns(60).drop(columns="county")
ACROSS = FRAME.set_axis(pd.MultiIndex.from_product([["a"], FRAME.columns]), axis=1)
REFUSED = {
    "nothing": ({}, BadData, "no data frames: give one for each peer"),
    "no columns": (FRAME[[]], BadData, "60 rows and 0 columns: there is nothing to learn"),
    "no rows": (FRAME[:0], BadData, "0 rows and 3 columns"),
    "a peer without rows": ({"bern": FRAME, "oslo": FRAME[:0]}, BadData, "the data of peer 'oslo' has 0 rows"),
    "a column twice": (pd.concat([FRAME, FRAME["size"]], axis=1), BadData, "two columns named 'size': rename one"),
    "1 beside '1'": (FRAME.assign(**{"1": 2.0}).rename(columns={"town": 1}), BadData, "two columns named '1'"),
    "names of two levels": (ACROSS, BadData, r"names of 2 levels: .* frame.columns = "),
    "two peers of one name": ({1: FRAME, "1": FRAME}, BadData, "same name, such as 1 and '1': rename one"),
    "an array": (np.ones((9, 2)), TypeError, r"not ndarray: make a frame of arrays, pandas.DataFrame\(X\).assign\(y=y\)"),
    "a list": ([1, 2], TypeError, "not list"),
    "none": (None, TypeError, "not NoneType"),
    "features and target": ((FRAME, FRAME["price"]), TypeError, "not tuple"),
    "an array for a peer": ({"bern": np.ones((9, 2))}, TypeError, "the data of peer 'bern' should be a data frame"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "kind", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_data_is_refused_in_words(data, kind, sentence):
    with pytest.raises(kind, match=sentence):
        gf.simulate(data)


def test_a_wrong_call_is_refused_in_words():
    with pytest.raises(
        TypeError, match=r'^gossipfl.simulate needs data, .*: gossipfl.simulate\(frame, "price"\)'
    ):
        gf.simulate(data=FRAME, target="price")
    with pytest.raises(
        TypeError, match=r"^gossipfl.run: too many positional arguments; it takes data and target"
    ):
        gf.run(FRAME, "price", "ring:4")
    with pytest.raises(BadExperiment, match="target should be the name of a column, and not ndarray"):
        gf.simulate(FRAME, FRAME["price"].to_numpy())
    for peers in (0, -3, 2.5, "8"):
        with pytest.raises(ValueError, match=f"peers = {peers!r}: should be a whole number from 1 on"):
            gf.GossipRegressor(peers=peers).fit(np.ones((20, 1)), np.arange(20))


def test_choices_are_told_as_the_command_line_tells_them():
    frame = towns(90).assign(patient_id=np.arange(90), day=pd.date_range("2024-01-01", periods=90))
    result = gf.simulate(frame[["patient_id", "day", "town", "county", "size", "price"]], topology="ring:3")
    told = {note.split(" = ")[0]: note for note in result.notes}
    assert "the last one" in told["data.target"]
    assert '"patient_id" (another number in each row)' in told["data.drop"]
    assert '"day" (90 different dates' in told["data.drop"]
    assert '["town", "county"]: columns with words' in told["data.categorical"]
    assert '"town" in ' in told["data.missing"]
    assert {"model.kind", "model.l2", "stop.tolerance"} <= told.keys()
    assert "<li>model.l2 = 0.001: " in result._repr_html_()


def test_notes_of_the_rows_are_in_the_run_folder(tmp_path):
    result = gf.simulate(FRAME, topology="ring:3", missing="drop", out=tmp_path / "run")
    (note,) = [note for note in result.notes if "rows are left out, as values are missing" in note][:1]
    assert note in gf.load_run(tmp_path / "run").notes


def test_categories_of_pandas_are_categories():
    random = np.random.default_rng(1)
    ward = random.choice([3, 7, 11], 120)
    frame = pd.DataFrame({"ward": ward, "size": random.normal(size=120)})
    frame["stay"] = np.select([ward == 7], [4.0], 1.0) + frame["size"] + 0.01 * random.normal(size=120)
    named = frame.astype({"ward": "category"})
    found = gf.simulate(named, topology="ring:3").summary_frame().coefficient
    assert found["ward=7"] == pytest.approx(3, abs=0.1)
    assert found["ward=11"] == pytest.approx(0, abs=0.1)
    parts = {
        name: part.astype({"ward": "category"})
        for name, part in zip("ab", (frame[:60], frame[60:]), strict=True)
    }
    assert "ward=11" in gf.simulate(parts).summary_frame().index, "frames whose categories may differ"
    kinds = {
        kind: draft(named[["size", "stay"]].assign(y=y).astype({"y": "category"}), None, None).raw["model"][
            "kind"
        ]
        for kind, y in (("three", ward), ("two", ward > 3), ("words", np.where(ward > 3, "x", "y")))
    }
    assert kinds == {"three": "softmax", "two": "logistic", "words": "logistic"}
    result = gf.simulate(named[["size", "stay", "ward"]], topology="ring:3")
    assert result.model.classes == ("3", "7", "11")
    assert result.model.predict(named).scores["rows"] == 120
    many = pd.DataFrame({"x": range(60), "y": pd.Categorical(range(60))})
    with pytest.raises(BadData, match=r"'y' has 60 different categories, such as .* too many classes"):
        gf.simulate(many)


def test_a_frame_means_what_a_file_with_it_means(tmp_path):
    """Missing words and decimal commas, in training and in new rows."""
    frame = towns(120)
    frame["size"] = [f"{size:.4f}".replace(".", ",") for size in frame["size"]]
    frame.loc[[3, 50], "size"], frame.loc[7, "town"] = "unclear", " ? "
    frame["town"] = frame["town"].fillna("")
    frame.to_csv(tmp_path / "my.csv", index=False, sep=";", decimal=",")
    how = {"topology": "ring:3", "missing_words": ["unclear", "?"], "missing": "drop"}
    memory, file = gf.simulate(frame, "price", **how), gf.simulate(tmp_path / "my.csv", "price", **how)
    assert memory.experiment.data.decimal == ","
    pd.testing.assert_frame_equal(memory.summary_frame(), file.summary_frame())
    assert memory.model.schema.levels["town"] == ("a", "b", "c")
    fresh = frame.assign(town=frame["town"].where(frame.index % 5 > 0, "?"))
    fresh.to_csv(tmp_path / "new.csv", index=False, sep=";", decimal=",")
    expected = file.model.predict(tmp_path / "new.csv")
    for model in (memory.model, file.model):
        found = model.predict(fresh)
        pd.testing.assert_frame_equal(found.frame, expected.frame)
        assert found.notes == expected.notes
    refused = {"missing": "refuse", "missing_words": ["unclear", "?"]}
    with pytest.raises(BadData, match=r"column 'town' .*\(' \? ' counts as missing: see missing_words\)"):
        gf.simulate(frame.assign(size=1.0 * frame.index), "price", **refused)
    kept = gf.simulate(frame.assign(size=1.0 * frame.index), "price", missing_words=[], missing="level")
    assert "?" in "".join(kept.model.schema.levels["town"])


def test_new_rows_are_frames_or_files_with_plain_columns():
    model = gf.simulate(FRAME, "price", topology="ring:3").model
    with pytest.raises(BadData, match="the data has two columns named 'size'"):
        model.predict(pd.concat([FRAME, FRAME["size"]], axis=1))
    with pytest.raises(BadData, match="names of 2 levels"):
        model.predict(ACROSS)
    with pytest.raises(TypeError, match="rows should be a data frame or a file, and not ndarray"):
        model.predict(FRAME.to_numpy())


def test_a_run_without_a_model_says_why(tmp_path):
    for more in ({}, {"out": tmp_path / "run"}):
        result = gf.simulate(
            FRAME, "price", topology="ring:3", standardise="local", algorithm="d-psgd", rounds=5, **more
        )
        assert result.model is None
        assert 'standardise = "gossip"' in result.notes[-1]
    assert gf.load_run(tmp_path / "run").notes[-1] == result.notes[-1]
    with pytest.raises(
        BadExperiment, match='with standardise = "local" each peer scaled features by its own rows'
    ):
        result.summary_frame()
    wild = gf.simulate(
        FRAME, "price", topology="ring:3", algorithm={"kind": "d-psgd", "step": 1e3}, rounds=500
    )
    with pytest.raises(BadExperiment, match="the run diverged"):
        wild.summary_frame()


def test_frames_give_their_names_to_the_peers(tmp_path):
    parts = dict([*towns(90).groupby("county")])
    assert [*gf.simulate(parts, "price").summary["rows"]] == ["north", "south"]
    kept = gf.simulate(parts, "price", out=tmp_path / "run")
    assert [*kept.summary["rows"]] == ["north", "south"]
    numbered = {7: FRAME[:30], 30: FRAME[30:]}
    assert [*gf.simulate(numbered, "price").summary["rows"]] == ["7", "30"]
    assert [*gf.simulate(numbered, "price", **{"topology.graph": "full:2"}).summary["rows"]] == ["0", "1"]
    impossible = {"a/b": FRAME[:30], "c/d": FRAME[30:]}
    assert [*gf.simulate(impossible, "price").summary["rows"]] == ["0", "1"]


def test_a_name_or_a_packed_file_is_drafted_as_a_file_is(tmp_path):
    kinds = {
        name: draft(name, None, None).raw["model"]["kind"]
        for name in ("iris", "diabetes", "breast_cancer", "wine")
    }
    assert kinds == {"iris": "softmax", "diabetes": "linear", "breast_cancer": "logistic", "wine": "softmax"}
    result = gf.simulate("iris", topology="ring:3")
    assert result.notes[0] == 'data.target = "target": the column to predict, as these data name it'
    assert result.converged
    assert result.model.classes == ("0", "1", "2")
    assert result.experiment.data.source == "iris"
    towns(90).to_csv(tmp_path / "my.csv.gz", index=False)
    packed = gf.simulate(tmp_path / "my.csv.gz", "price", topology="ring:3")
    assert packed.experiment.data.categorical == ("town", "county")


def test_paths_and_numbers_of_numpy_name_graphs(tmp_path):
    (tmp_path / "e.toml").write_text('data.source = "iris"\nmodel.kind = "softmax"\n')
    (tmp_path / "links.txt").write_text("a b\nb c\n")
    assert (
        Path(gf.load(tmp_path / "e.toml", topology=tmp_path / "links.txt").topology.graph)
        == tmp_path / "links.txt"
    )
    graph = nx.Graph([(np.int64(3), np.int64(10)), (np.int64(10), np.int64(4))])
    assert [*gf.simulate(FRAME, "price", topology=graph).summary["rows"]] == ["3", "4", "10"]
    assert issubclass(BadData, gf.GossipError)


def test_a_known_level_is_no_missing_word():
    frame = pd.DataFrame({"drinks": ["None", "two", "NA"], "town": ["None", "a", ""]})
    before = frame.copy()
    read = read_frame(frame, How(levels={"drinks": ("None", "two")}))
    pd.testing.assert_frame_equal(frame, before)
    assert read.features.isna().to_numpy().tolist() == [[False, True], [False, False], [True, True]]
    assert read.absent == {"drinks": ("NA",), "town": ("None",)}


def test_codes_that_are_one_number_are_refused_as_in_a_file(tmp_path):
    """250.1 and 250.10 are two diseases, and V10 says that they are no numbers."""
    frame = pd.DataFrame({"dx": ["250.1", "250.10", "V10", "7"] * 15, "y": np.arange(60.0)})
    frame.to_csv(tmp_path / "codes.csv", index=False)
    for data in (frame, {"a": frame, "b": frame}, tmp_path / "codes.csv"):
        with pytest.raises(BadData, match=r"has '250.1' and '250.10' in column 'dx', which are one number"):
            gf.simulate(data, "y")
    numbers = frame.assign(dx=[250.1, 250.1, 7.0, 8.0] * 15)
    assert read_frame(numbers, How(verbatim=["dx"])).features["dx"].nunique() == 3


def test_text_of_arrow_is_text():
    arrow = pd.ArrowDtype(pytest.importorskip("pyarrow").string())
    columns = {
        "town": ["a", "?", None, "b"],
        "size": ["1,5", "2", None, "NA"],
        "code": ["1,5", "2", "?", "3"],
    }
    found = [
        read_frame(pd.DataFrame(columns).astype(kind), How(verbatim=["code"], decimal=","))
        for kind in (arrow, object)
    ]
    for raw in found:
        np.testing.assert_array_equal(raw.features["size"], [1.5, 2.0, np.nan, np.nan])
        assert raw.features["town"].isna().tolist() == [False, True, True, False]
        assert raw.features["code"].dropna().tolist() == ["1,5", "2", "3"]
        assert raw.absent == {"town": ("?",), "size": ("NA",), "code": ("?",)}


def test_a_known_class_is_no_missing_word():
    frame = towns(90).assign(drinks=np.where(np.arange(90) % 3, "None", "two"))
    model = gf.simulate(
        frame[["size", "drinks"]], "drinks", topology="ring:3", rounds=3, missing_words=["?"], missing="drop"
    ).model
    aware = dataclasses.replace(model, wanted=dataclasses.replace(model.wanted, missing=MISSING))
    assert aware.predict(frame).scores["rows"] == 90


@pytest.mark.parametrize("kind", ["int64", "float32", "Int64", object, "category"])
def test_a_missing_word_that_is_a_number_is_missing_among_numbers(kind):
    """As in a file: there -9 and -9.0 in a column of numbers are both missing."""
    frame = pd.DataFrame({"size": [1, -9, 2**20 + 1, -9], "town": ["-9", "a", "b", "-9"]})
    raw = read_frame(frame.astype({"size": kind}), How(missing=["-9", "?"]))
    assert raw.features["size"].isna().tolist() == [False, True, False, True]
    assert raw.features["size"].dropna().tolist() == [1, 2**20 + 1]
    assert raw.absent == {"size": ("-9",), "town": ("-9",)}
    assert not read_frame(frame.astype({"size": kind}), How()).features.isna().to_numpy().any()


def test_a_large_code_stays_as_it_is_beside_a_missing_one():
    frame = pd.DataFrame({"code": [2**53 + 1, -9], "on": [True, False]})
    raw = read_frame(frame, How(missing=["-9", "1"]))
    assert raw.features["code"].tolist()[0] == 2**53 + 1
    assert raw.features["on"].tolist() == [True, False]


def test_sparse_files_are_learned_from_and_not_drafted(tmp_path):
    lines = "".join(f"{1 if j % 3 else -1} 1:{j % 5} 3:{j % 7}\n" for j in range(60))
    (tmp_path / "rows.svm").write_text(lines)
    with gzip.open(tmp_path / "rows.libsvm.gz", "wt") as file:
        file.write(lines)
    found = [
        gf.simulate(tmp_path / name, model="logistic", topology="ring:3", rounds=5)
        for name in ("rows.svm", "rows.libsvm.gz")
    ]
    pd.testing.assert_frame_equal(*(result.summary_frame() for result in found))
    assert {"x1", "x3"} <= {*found[0].summary_frame().index}


def test_frames_by_peer_are_drafted_for_so_many_peers(tmp_path):
    """The mean replaces missing values from 40 rows of each peer on, and these have 45."""
    frame = towns(90).assign(size=lambda f: f["size"].where(f.index % 9 > 0))[["size", "price"]]
    parts = {"north": frame[:45], "south": frame[45:]}
    for more in ({}, {"out": tmp_path / "run"}, {"topology": "full:2"}):
        assert gf.simulate(parts, "price", **more).experiment.data.missing == "mean"
    linked = gf.simulate(frame, "price", topology=nx.path_graph(2), out=tmp_path / "path")
    assert linked.experiment.data.missing == "mean"
