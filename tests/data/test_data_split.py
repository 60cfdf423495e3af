"""Test rows are scikit-learn's; missing values are treated in one of three ways."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.model_selection import train_test_split

from gossipfl.data import Table, clean, read, split
from gossipfl.errors import BadData, BadExperiment

NAN = float("nan")


def table(n: int, classes: int = 2) -> Table:
    return Table.of(pd.DataFrame({"row": range(n)}), np.arange(n) % classes, "toy")


@pytest.mark.parametrize(("name", "by_class"), [("iris", True), ("diabetes", False)])
@pytest.mark.parametrize("test", [0.2, 0.34])
def test_a_fraction_is_train_test_split(name, by_class, test):
    whole = read(name)
    labels = whole.target if by_class else None
    _, twin = train_test_split(np.arange(len(whole)), test_size=test, random_state=7, stratify=labels)
    assert np.array_equal(np.flatnonzero(split(whole, test, 7).test), np.sort(twin))


@given(st.lists(st.integers(2, 9), min_size=2, max_size=20), st.floats(0.05, 0.6), st.integers(0, 2**32 - 1))
def test_rows_by_class_are_train_test_splits(counts, test, seed):
    labels = np.repeat([f"class {i}" for i in range(len(counts))], counts)
    labels = np.random.RandomState(seed).permutation(labels)
    whole = Table.of(pd.DataFrame({"row": range(len(labels))}), labels, "toy")
    rows, size = len(labels), int(np.ceil(len(labels) * test))
    by_class = labels if len(counts) <= min(size, rows - size) else None
    _, twin = train_test_split(np.arange(rows), test_size=test, random_state=seed, stratify=by_class)
    assert np.array_equal(np.flatnonzero(split(whole, test, seed).test), np.sort(twin))


@given(st.integers(2, 60), st.integers(1, 25), st.floats(0.01, 0.5), st.integers(0, 2**32 - 1))
def test_any_fraction_leaves_rows_to_learn_from_and_takes_the_stated_number(n, classes, test, seed):
    done = split(table(n, classes), test, seed)
    assert done.test.sum() == min(np.ceil(n * test), n)
    assert not done.test.all()


@given(st.integers(2, 40), st.integers(0, 2**32 - 1), st.data())
def test_rows_drawn_alone_do_not_depend_on_each_other(n, seed, data):
    """Not on their number, nor their labels, nor their missing values, nor who holds them."""
    whole, last = table(n + 1), np.arange(n)
    drawn = dict(enumerate(_alone(whole, seed)))
    assert _alone(whole.take(last), seed) == [drawn[i] for i in range(n)]
    changed = data.draw(st.integers(0, n))
    labels = whole.target.where(whole.target.index != changed, 1 - whole.target)
    assert _alone(Table.of(whole.features, labels), seed) == [*drawn.values()]
    holes = Table.of(whole.features.mask(whole.features["row"] == changed), whole.target)
    assert _alone(clean(holes, "drop"), seed) == [drawn[i] for i in range(n + 1) if i != changed]
    kept = np.array(data.draw(st.lists(st.integers(0, n), min_size=1, unique=True)))
    assert _alone(whole.take(kept), seed) == [drawn[i] for i in kept]


def _alone(whole, seed):
    try:
        return split(whole, 0.3, seed, alone=True).test.tolist()
    except BadData:  # none is left for training
        return [True] * len(whole)


def test_rows_drawn_alone_are_about_the_fraction_and_others_with_another_seed():
    first, second = (split(table(4000), 0.2, seed, alone=True).test for seed in (1, 2))
    assert abs(first.mean() - 0.2) < 0.03
    assert abs((first & second).mean() - 0.04) < 0.02
    assert not split(table(9), 0.0, 1, alone=True).test.any()


def test_zero_and_a_column():
    assert not split(table(5), 0, 0).test.any()
    frame = pd.DataFrame({"x": [1, 2, 3], "held out": [0, 1, 0]})
    done = split(Table.of(frame, [0, 1, 0]), "held out", 0)
    assert done.test.tolist() == [False, True, False]
    assert done.columns == ("x",)
    sparse = split(Table.of(csr_array(frame.to_numpy()), [0, 1, 0]), "x1", 0)
    assert sparse.test.tolist() == [False, True, False]
    assert sparse.columns == ("x0",)


def test_test_rows_follow_their_rows():
    done = split(table(20), 0.3, 0)
    assert np.array_equal(done.take(np.arange(20)[::-1]).test, done.test[::-1])
    assert len(done.take(done.test)) == 6


BAD = [
    (table(1), 0.2, BadData, "none is left"),
    (table(3), 0.9, BadData, "none is left"),
    (table(3), 1.0, BadExperiment, "below 1"),
    (table(3), -0.1, BadExperiment, "at least 0"),
    (table(3), "row", BadData, "must be 1 in test rows"),
    (table(3), "rwo", BadData, "did you mean 'row'"),
    (Table.of(pd.DataFrame({"a": [1, 2], "t": [1, 1]}), [0, 1]), "t", BadData, "none is left"),
]


@pytest.mark.parametrize(("whole", "test", "error", "sentence"), BAD)
def test_bad_splits_are_told(whole, test, error, sentence):
    with pytest.raises(error, match=sentence):
        split(whole, test, 0)


HOLES = pd.DataFrame({"a": [1, 2, NAN, 4], "b": [NAN, 1, 1, 3]})
DENSE = Table.of(HOLES, [0.0, 1, 0, 1], "toy")
SPARSE = Table.of(csr_array(HOLES.to_numpy()), [0.0, 1, 0, 1], "toy", ["a", "b"])


@pytest.mark.parametrize("whole", [DENSE, SPARSE], ids=["dense", "sparse"])
def test_missing_values_are_refused_with_column_count_and_row_or_dropped(whole):
    with pytest.raises(
        BadData, match=r"toy: column 'a' has 1 missing values, first in row 3 \(also in 'b'\)"
    ):
        clean(whole)
    dropped = clean(whole, "drop")
    assert dropped.target.index.tolist() == [1, 3]
    assert clean(dropped) is dropped
    assert clean(dropped, "drop") is dropped
    with pytest.raises(BadData, match="first in row 3"):  # the row of the source, not of the taken rows
        clean(whole.take(np.array([1, 2])))


def test_what_peers_fill_in_together_stays_missing():
    for missing in ("mean", "median", "mode"):
        assert clean(DENSE, missing) is DENSE


def test_a_missing_level_is_a_level():
    numbers = clean(DENSE, "level", ["a", "b"]).features
    assert numbers["a"].tolist() == ["1", "2", "(missing)", "4"]
    assert clean(Table.of(WORDS, [0, 1]), "level").features["w"].tolist() == ["red", "(missing)"]


INFINITE = pd.DataFrame({"a": [1.0, np.inf]})
WORDS = pd.DataFrame({"w": ["red", None]})
REFUSED = [
    (Table.of(INFINITE, [0, 1]), "drop", "column 'a' is infinite in row 2"),
    (Table.of(csr_array(INFINITE.to_numpy()), [0, 1]), "drop", "column 'x0' is infinite in row 2"),
    (Table.of(INFINITE, [np.inf, 1]), "drop", "target is infinite in row 1"),
    (Table.of(HOLES[:1], [NAN]), "mean", "target 'target' is missing in 1 rows, first in row 1"),
    (Table.of(HOLES[:1], [0]), "drop", "leaves none"),
    (DENSE, "level", "'a' is numeric"),
    (Table.of(WORDS, [0, 1]), "mean", "'w' is categorical"),
    (Table.of(WORDS, [0, 1]), "refuse", "'w' has 1 missing values"),
    (SPARSE, "mean", "sparse"),
]


@pytest.mark.parametrize(("whole", "missing", "sentence"), REFUSED)
def test_what_no_way_out_helps_is_refused(whole, missing, sentence):
    with pytest.raises(BadData, match=sentence):
        clean(whole, missing)


def test_a_declared_category_has_no_mean():
    with pytest.raises(BadData, match="is categorical"):
        clean(DENSE, "mean", ["a"])
