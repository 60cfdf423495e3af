"""Encoding equals scikit-learn's; a schema is the same at every peer; descriptions match their definition."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.preprocessing import OneHotEncoder

from gossipfl.data import Schema, Table, classes, describe, encode, levels, split
from gossipfl.errors import BadData

DRAW = np.random.default_rng(0)
MIXED = pd.DataFrame(
    {
        "n": DRAW.normal(size=30),
        "cp": DRAW.integers(1, 5, 30).astype(float),
        "m": DRAW.normal(size=30),
        "colour": DRAW.choice(["blue", "red", "green"], 30),
    }
)
LABELS = pd.Series(DRAW.choice(["c2", "c10", "c1"], 30), name="y")
WHOLE = Table.of(MIXED, LABELS, "toy")
NAMES = ("cp", "colour")


def agreed(table: Table, categorical=NAMES, regression=False) -> Schema:
    return Schema.agree(table.columns, levels(table, categorical), None if regression else classes(table))


def test_encoding_is_scikit_learns_one_hot_without_the_first_level():
    schema = agreed(WHOLE)
    train, test = encode(WHOLE, schema)
    twin = OneHotEncoder(drop="first", sparse_output=False)
    hot = twin.fit_transform(MIXED[["cp", "colour"]])
    assert np.array_equal(train.x, np.column_stack([MIXED["n"], hot[:, :3], MIXED["m"], hot[:, 3:]]))
    assert schema.features == ("n", "cp=2", "cp=3", "cp=4", "m", "colour=green", "colour=red")
    assert schema.classes == ("c1", "c2", "c10")
    assert train.y.tolist() == [("c1", "c2", "c10").index(label) for label in LABELS]
    assert test.x.shape == (0, 7)
    assert train.x.dtype == train.y.dtype == np.float64


def test_train_and_test_rows_are_told_apart():
    marked = split(WHOLE, 0.3, 0)
    train, test = encode(marked, agreed(marked))
    everything, _ = encode(WHOLE, agreed(WHOLE))
    assert np.array_equal(everything.x[marked.test], test.x)
    assert np.array_equal(everything.y[~marked.test], train.y)


def test_a_peer_that_lacks_levels_has_the_columns_all_the_same():
    few = WHOLE.take(np.flatnonzero(MIXED["cp"] == 1.0))
    (some, _), (everything, _) = encode(few, agreed(WHOLE)), encode(WHOLE, agreed(WHOLE))
    assert np.array_equal(some.x, everything.x[few.target.index])


def test_numbers_stay_as_they_are_and_sparse_stays_sparse():
    x = DRAW.normal(size=(6, 3))
    for features in (pd.DataFrame(x, columns=list("abc")), csr_array(x)):
        table = split(Table.of(features, x[:, 0]), 0.5, 0)
        train, test = encode(table, agreed(table, (), regression=True))
        assert isinstance(train.x, csr_array) == isinstance(features, csr_array)
        dense = [part.x.toarray() if isinstance(part.x, csr_array) else part.x for part in (train, test)]
        assert np.array_equal(dense[0], x[~table.test])
        assert np.array_equal(dense[1], x[table.test])
        assert np.array_equal(test.y, x[table.test, 0])


@given(st.permutations(["1", "2", "10", "a"]), st.permutations(["no", "yes"]))
def test_the_schema_and_its_fingerprint_do_not_depend_on_who_asks(seen, labels):
    schema = Schema.agree(["u", "v"], {"v": seen}, labels)
    assert schema == Schema(("u", "v"), {"v": ("1", "2", "10", "a")}, ("no", "yes"))
    assert schema.fingerprint() == Schema.agree(["u", "v"], {"v": set(seen)}, set(labels)).fingerprint()


def test_the_fingerprint_fits_a_float_and_sees_every_part():
    schemas = [
        Schema.agree(["u", "v"], {"v": ["1", "2"]}, ["0", "1"]),
        Schema.agree(["v", "u"], {"v": ["1", "2"]}, ["0", "1"]),
        Schema.agree(["u", "v"], {"v": ["1", "3"]}, ["0", "1"]),
        Schema.agree(["u", "v"], {}, ["0", "1"]),
        Schema.agree(["u", "v"], {"v": ["1", "2"]}, ["0", "2"]),
        Schema.agree(["u", "v"], {"v": ["1", "2"]}, None),
    ]
    prints = [schema.fingerprint() for schema in schemas]
    assert len(set(prints)) == len(schemas)
    assert all(0 <= p < 2**53 and int(float(p)) == p for p in prints)
    assert prints[0] == 1201612411240847  # the same on every machine and in every process


def test_levels_and_classes_are_canonical_text():
    frame = pd.DataFrame({"a": [1.0, 2.5, 1.0], "b": [True, False, None], "c": ["1.0", "x", "01"]})
    table = Table.of(frame, [1, 0, 1])
    assert levels(table, ["a", "b", "c"]) == {"a": {"1", "2.5"}, "b": {"0", "1"}, "c": {"1", "x", "01"}}
    assert classes(table) == {"0", "1"}


def test_bad_encodings_are_told():
    with pytest.raises(
        BadData, match=r"'colour' are not numbers \(for example '\w+' in row 1\).*categorical = ..colour"
    ):
        levels(WHOLE, ["cp"])
    one = Table.of(pd.DataFrame({"u": ["1.5", "2", "oops"]}), [0, 1, 1])
    with pytest.raises(BadData, match="for example 'oops' in row 3"):
        levels(one)
    assert levels(one.take(np.arange(2))) == {}  # only the peer that has the word complains
    with pytest.raises(BadData, match="did you mean 'colour'"):
        levels(WHOLE, ["cp", "color"])
    with pytest.raises(BadData, match="sparse columns cannot"):
        levels(Table.of(csr_array(np.eye(2)), [0, 1]), ["x0"])
    with pytest.raises(BadData, match="at least two classes"):
        Schema.agree(["u"], {}, ["1"])
    schema = agreed(WHOLE)
    with pytest.raises(BadData, match="peers agreed on"):
        encode(WHOLE.without(["n"]), schema)
    with pytest.raises(BadData, match="the level 'pink'"):
        encode(Table.of(MIXED.assign(colour="pink"), LABELS), schema)
    with pytest.raises(BadData, match="the class 'c3'"):
        encode(Table.of(MIXED, ["c3"] * 30), schema)
    with pytest.raises(BadData, match="not a number"):
        encode(WHOLE, agreed(WHOLE, regression=True))
    with pytest.raises(BadData, match="missing"):
        encode(Table.of(MIXED.assign(n=np.nan), LABELS), schema)


def test_describe_counts_and_measures_classes():
    parts = [split(WHOLE.take(np.arange(10)), 0.2, 0), WHOLE.take(np.arange(10, 30))]
    found = describe(parts, ["a", "b"])
    assert [(s.peer, s.train, s.test) for s in found.shares] == [("a", 8, 2), ("b", 20, 0)]
    for share, part in zip(found.shares, parts, strict=True):
        assert share.classes == {c: int((part.target == c).sum()) for c in ("c1", "c2", "c10")}
        assert list(share.classes) == ["c1", "c2", "c10"]
        assert share.mean is share.sd is None
    pooled = LABELS.value_counts(normalize=True)
    twin = [abs(p.target.value_counts(normalize=True) - pooled).sum() / 2 for p in parts]
    assert found.heterogeneity == pytest.approx(np.mean(twin))


def test_describe_measures_numbers_by_the_share_of_variance_between_peers():
    y = DRAW.normal(size=90) + np.repeat([0, 1, 5], 30)
    parts = [Table.of(pd.DataFrame({"x": [np.nan] * 30}), y[i : i + 30]) for i in (0, 30, 60)]
    found = describe(parts, ["a", "b", "c"])
    within = np.mean([np.var(y[i : i + 30]) for i in (0, 30, 60)])
    assert found.heterogeneity == pytest.approx(1 - within / np.var(y))
    assert found.shares[0].mean == pytest.approx(y[:30].mean())
    assert found.shares[0].sd == pytest.approx(y[:30].std())
    assert found.shares[0].classes is None
    assert found.shares[0].missing == {"x": 30}


@pytest.mark.parametrize("copies", [1, 4])
def test_equal_peers_are_not_heterogeneous_and_pure_ones_are(copies):
    same = [WHOLE] * copies
    assert describe(same, ["p"] * copies).heterogeneity == pytest.approx(0, abs=1e-15)
    pure = [Table.of(pd.DataFrame({"x": [0.0]}), [str(i)]) for i in range(copies)]
    assert describe(pure, ["p"] * copies).heterogeneity == pytest.approx(1 - 1 / copies)
