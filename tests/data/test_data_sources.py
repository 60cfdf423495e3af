"""One table in every format; every mistake gives one sentence; damaged files raise nothing but BadData."""

import bz2
import gzip
import io
import lzma
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from gossipfl.data import BUNDLED, READERS, Table, clean, framed, read, split
from gossipfl.data.readers import How
from gossipfl.data.sources import whole
from gossipfl.data.table import words
from gossipfl.errors import BadData

FRAME = pd.DataFrame({"a": [1.0, 0.0, 2.5, 4.0], "b": [0.0, -1.0, 3.0, 0.5], "y": [1.0, 0.0, 1.0, 0.0]})


def csv_bytes(frame=FRAME, **options) -> bytes:
    return frame.to_csv(index=False, **options).encode()


def parquet_bytes(frame=FRAME) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


def npz_bytes(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


LIBSVM = b"1 1:1\n0 2:-1\n1 1:2.5 2:3\n0 1:4 2:0.5\n"
XY = {"X": FRAME[["a", "b"]].to_numpy(), "y": FRAME["y"].to_numpy()}
FILES = {
    "t.csv": csv_bytes(),
    "t.tsv": csv_bytes(sep="\t"),
    "t.txt": csv_bytes(sep=";"),
    "t.data": b"\xef\xbb\xbf\n a , b,y\n" + csv_bytes(header=False),
    "t.csv.gz": gzip.compress(csv_bytes()),
    "t.csv.xz": lzma.compress(csv_bytes()),
    "t.csv.bz2": bz2.compress(csv_bytes()),
    "t.parquet": parquet_bytes(),
    "t.npz": npz_bytes(**XY, features=["a", "b"]),
    "t.libsvm": LIBSVM,
    "t.svmlight": LIBSVM,
    "t.svm.xz": lzma.compress(LIBSVM),
}


def target_of(name: str) -> str | None:
    return None if ".svm" in name or ".libsvm" in name or ".npz" in name else "y"


def put(folder, **files: bytes) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


def test_every_format_is_in_the_table():
    assert {"." + name.split(".")[1] for name in FILES} == set(READERS)


@pytest.mark.parametrize("name", FILES)
def test_every_format_holds_the_same_table(tmp_path, name):
    put(tmp_path, **{name: FILES[name]})
    table = read(name, target_of(name), folder=tmp_path)
    sparse = isinstance(table.features, csr_array)
    assert sparse == ("svm" in name)
    assert table.columns == (("x1", "x2") if sparse else ("a", "b"))
    x = table.features.toarray() if sparse else table.features.to_numpy()
    assert np.array_equal(x, XY["X"])
    assert np.array_equal(table.target, XY["y"])
    assert not table.test.any()


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_sets_are_scikit_learns(name):
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    table = read(name)
    assert np.array_equal(table.features.to_numpy(), x)
    assert np.array_equal(table.target, y)


def test_words_booleans_and_missing_values(tmp_path):
    put(tmp_path, **{"t.csv": b"word,flag,n,y\nred,True,1,a\n?,,NA,b\n 2.0,False,, c\n"})
    table = read("t.csv", "y", folder=tmp_path)
    assert table.features["word"].tolist()[::2] == ["red", "2"]
    assert table.features["flag"].tolist()[::2] == [1.0, 0.0]
    assert table.features.isna().to_numpy().tolist() == [[0, 0, 0], [1, 1, 1], [0, 0, 1]]
    assert table.target.tolist() == ["a", "b", "c"]


def test_parquet_types_become_numbers_or_words(tmp_path):
    frame = pd.DataFrame(
        {
            "int": pd.array([1, None], dtype="Int64"),
            "bool": pd.array([True, None], dtype="boolean"),
            "category": pd.Categorical(["u", "v"]),
            "number": pd.Categorical([3, 4]),
            "day": pd.to_datetime(["2020-01-01", "2020-01-02"]),
            "y": [0, 1],
        }
    )
    put(tmp_path, **{"t.parquet": parquet_bytes(frame)})
    table = read("t.parquet", "y", folder=tmp_path)
    assert [name for name in table.columns if not words(table.features[name])] == ["int", "bool", "number"]
    assert table.features["category"].tolist() == ["u", "v"]


def test_parquet_has_the_missing_words_and_decimal_commas_of_data_frames(tmp_path):
    frame = pd.DataFrame(
        {"w": ["red", "NA", "?"], "n": ["1,5", "2", "NA"], "code": [1, -9, 3], "y": [0, 1, 0]}
    )
    put(tmp_path, **{"t.parquet": parquet_bytes(frame), "t.csv": csv_bytes(frame, sep=";")})
    how = {"missing": ["NA", "?", "-9"], "decimal": ","}
    twin, text = framed(frame, "y", **how), read("t.csv", "y", folder=tmp_path, **how)
    table = read("t.parquet", "y", folder=tmp_path, **how)
    assert table.features.isna().to_numpy().tolist() == [[0, 0, 0], [1, 0, 1], [1, 1, 0]]
    assert table.features.equals(twin.features)
    assert table.features.equals(text.features)
    assert table.absent == twin.absent
    known = whole("t.parquet", tmp_path, How(levels={"w": ["NA"]}))
    assert known.features["w"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("n > 1", [0, 1, np.nan]),
        ("n != 0", [1, 1, np.nan]),
        ("n<=1", [1, 0, np.nan]),
        ("w == red", [1, 0, 1]),
        ("w != 2.0", [1, 0, 1]),
        ("n > 2", [5, 6, 7]),  # a column of exactly that name comes first
    ],
)
def test_a_target_may_be_a_comparison(tmp_path, target, expected):
    header = "n,w,n > 2" if target == "n > 2" else "n,w,z"
    put(tmp_path, **{"t.csv": f"{header}\n1,red,5\n2,2,6\n,red,7\n".encode()})
    np.testing.assert_array_equal(read("t.csv", target, folder=tmp_path).target, np.array(expected, float))


def test_drop_and_named_columns(tmp_path):
    put(tmp_path, **{"t.data": csv_bytes(header=False)})
    table = read("t.data", "target", folder=tmp_path, columns=["p", "q", "target"], drop=["p"])
    assert table.columns == ("q",)
    assert len(table) == 4


def test_a_folder_or_a_glob_is_one_table_per_peer_in_natural_order(tmp_path):
    swapped = csv_bytes(FRAME[["y", "b", "a"]])
    put(tmp_path, **{"s10.csv": csv_bytes(), "s9.csv.gz": gzip.compress(swapped), "notes.md": b"no data"})
    tables = read(".", "y", folder=tmp_path)
    assert list(tables) == ["s9", "s10"] == list(read("s*.csv*", "y", folder=tmp_path.resolve()))
    assert all(t.columns == tables["s9"].columns for t in tables.values())
    assert tables["s9"].features["a"].tolist() == tables["s10"].features["a"].tolist()
    put(tmp_path, **{"p.va.data": csv_bytes(), "p.ohio.data": csv_bytes()})
    assert list(read("p.*.data", "y", folder=tmp_path)) == ["p.ohio", "p.va"]


def test_libsvm_files_get_one_width_and_one_numbering(tmp_path):
    put(tmp_path, **{"a.svm": b"1 1:1\n", "b.svm": b"-1 3:2\n"})
    tables = read("*.svm", folder=tmp_path)
    assert tables["a"].columns == tables["b"].columns == ("x1", "x2", "x3")
    assert tables["b"].features.toarray().tolist() == [[0, 0, 2]]
    put(tmp_path, **{"a.svm": b"1 0:1\n"})
    tables = read("*.svm", folder=tmp_path)
    assert tables["b"].columns == ("x0", "x1", "x2", "x3")
    assert tables["b"].features.toarray().tolist() == [[0, 0, 0, 2]]


def test_sparse_columns_can_be_dropped_and_selected(tmp_path):
    put(tmp_path, **{"t.svm": LIBSVM})
    table = read("t.svm", folder=tmp_path, drop=["x1"])
    assert table.columns == ("x2",)
    assert table.column("x2").tolist() == [0, -1, 3, 0.5]


def test_a_column_of_a_libsvm_file_marks_its_test_rows(tmp_path):
    put(tmp_path, **{"t.svm": b"1 1:1 7:1\n0 2:-1\n1 1:2.5 2:3 7:1\n"})
    marked = split(read("t.svm", folder=tmp_path), "x7", 0)
    assert marked.test.tolist() == [True, False, True]
    assert "x7" not in marked.columns
    put(tmp_path, **{"t.svm": b"1 1:1 7:2\n"})
    with pytest.raises(BadData, match="column 'x7' must be 1 in test rows and 0 in all others"):
        split(read("t.svm", folder=tmp_path), "x7", 0)


def test_openml_is_fetched_by_scikit_learn(monkeypatch):
    from sklearn import datasets
    from sklearn.utils import Bunch

    frame = FRAME.assign(y=pd.Categorical(["p", "q", "p", "q"]))
    found = Bunch(data=frame[["a", "b"]], target=frame["y"], frame=frame)
    monkeypatch.setattr(datasets, "fetch_openml", lambda **_: found)
    assert read("openml:toy").target.tolist() == ["p", "q", "p", "q"]
    found = Bunch(data=csr_array(XY["X"]), target=XY["y"], feature_names=["a", "b"])
    assert read("openml:toy").columns == ("a", "b")

    def offline(**_):
        raise OSError("no route to host")

    monkeypatch.setattr(datasets, "fetch_openml", offline)
    with pytest.raises(BadData, match=r"openml:toy could not be fetched \(no route to host\)"):
        read("openml:toy")


BAD = {
    "irs": ({}, "y", "did you mean 'iris'"),
    "hart.csv": ({"heart.csv": b"a\n1\n"}, "y", "did you mean 'heart.csv'"),
    "t.xls": ({"t.xls": b"a"}, "y", "no reader for '.xls'"),
    "0.csv": ({"0.csv": b""}, "y", "is empty"),
    "1.csv": ({"1.csv": b"a,y\n"}, "y", "no rows"),
    "2.csv": ({"2.csv": b"a,num\n1,2\n"}, "nun", "did you mean 'num'"),
    "3.csv": ({"3.csv": b"a,num\n1,2\n"}, None, "needs a target"),
    "4.csv": ({"4.csv": b"a,a,y\n1,2,3\n"}, "y", "two columns named 'a'"),
    "5.csv": ({"5.csv": b"1.0,2.0,3\n1,2,3\n"}, "y", "no header line"),
    "6.csv": ({"6.csv": b"a,y\n1,2,3\n"}, "y", "2 column names but 3 values"),
    "7.csv": (
        {"7.csv": b"a,y\n1,2\n1,2,3\n"},
        "y",
        "3 values in line 2 below its header, and 2 in the lines above",
    ),
    "8.csv": ({"8.csv": b"a,y\n\xff\xfe,2\n"}, "y", "not UTF-8"),
    "9.csv": ({"9.csv": b"y\n1\n"}, "y", "only the target column"),
    "10.csv": ({"10.csv": b"w,y\nred,2\n"}, "w > 3", "compares values that are not numbers"),
    "a.npz": ({"a.npz": npz_bytes(X=np.eye(2))}, None, "lacks the array 'y'"),
    "b.npz": ({"b.npz": npz_bytes(X=np.eye(2), y=np.eye(2))}, None, "must be .rows, columns."),
    "c.npz": ({"c.npz": npz_bytes(X=np.eye(2), y=np.ones(2), features=["a"])}, None, "1 column names but 2"),
    "d.npz": ({"d.npz": npz_bytes(X=np.array([[{}]]), y=np.ones(1))}, None, "allow_pickle=False"),
    "e.svm": ({"e.svm": b"1 99999999:1\n"}, None, "too wide"),
    "f.svm": ({"f.svm": b"1 1:1\n"}, "y", "its own target"),
    "*.none": ({}, "y", "matches no data file"),
    "u*": ({"u.csv": csv_bytes(), "u.tsv": csv_bytes(sep="\t")}, "y", "both be the data of peer 'u'"),
    "v*": ({"v1.csv": csv_bytes(), "v2.csv": b"a,y\n1,2\n"}, "y", "column 'b' is in 'v1', but not in 'v2'"),
    "w*": ({"w1.npz": npz_bytes(**XY), "w2.svm": LIBSVM}, None, "one format"),
}


@pytest.mark.parametrize("source", BAD)
def test_every_mistake_is_a_sentence(tmp_path, source):
    files, target, sentence = BAD[source]
    put(tmp_path, **files)
    with pytest.raises(BadData, match=sentence):
        read(source, target, folder=tmp_path)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    put(tmp_path, **{"t.parquet": parquet_bytes()})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadData, match=r"gossipfl\[parquet\]"):
        read("t.parquet", "y", folder=tmp_path)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_hostile_bytes_are_a_table_or_bad_data(tmp_path, name, data):
    whole = bytearray(FILES[name])
    for place, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=4)
    ):
        whole[place] = byte
    cut = data.draw(st.integers(0, len(whole)) | st.just(len(whole)))
    content = bytes(whole[:cut]) if data.draw(st.booleans()) else data.draw(st.binary(max_size=200))
    put(tmp_path, **{name: content})
    try:
        table = read(name, target_of(name), folder=tmp_path)
        clean(table)
    except BadData as error:
        assert name in str(error)  # noqa: PT017
    else:
        assert isinstance(table, Table)
        assert len(table) == table.features.shape[0] > 0
