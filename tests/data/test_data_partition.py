"""Properties of all partition schemes; each is compared with a simple version of itself or with its limit."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipfl.config.file import parse
from gossipfl.data import PARTITIONS, Table, by_name, describe, partition, read, split
from gossipfl.errors import BadData, BadExperiment
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.learning.train import train
from gossipfl.experiment.study.make import study

SCHEMES = [
    {"scheme": "iid"},
    {"scheme": "iid", "imbalance": 3.0},
    {"scheme": "dirichlet", "alpha": 0.3},
    {"scheme": "shards", "per_peer": 2},
    {"scheme": "sorted"},
    {"scheme": "sorted", "imbalance": 3.0},
    {"scheme": "quantity", "alpha": 1.0},
    {"scheme": "column", "name": "site"},
]


def table(rows: int, peers: int, seed: int = 0) -> Table:
    """Rows that hold their own number, three classes, and a site for each peer."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({"row": np.arange(rows), "site": np.arange(rows) % peers})
    return Table.of(frame, pd.Series(draw.integers(0, 3, rows), name="y"), "toy")


def names(peers: int) -> list[str]:
    return [str(i) for i in range(peers)]


def rows(part: Table) -> list[int]:
    return part.features["row"].astype(int).tolist()


def test_every_scheme_is_in_the_table_of_laws():
    assert {s["scheme"] for s in SCHEMES} == set(PARTITIONS)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@settings(max_examples=15, deadline=None)
@given(peers=st.integers(1, 7), extra=st.integers(0, 60), seed=st.integers(0, 2**32))
def test_every_row_goes_to_exactly_one_peer_whole_and_in_order(scheme, peers, extra, seed):
    whole = table(12 * peers + extra, peers, seed)
    parts = partition(whole, scheme, names(peers), seed)
    assert sorted(row for part in parts for row in rows(part)) == list(range(len(whole)))
    for part in parts:
        assert len(part) >= 1
        assert rows(part) == sorted(rows(part)) == part.target.index.tolist()
        assert np.array_equal(part.target.to_numpy(), whole.target.to_numpy()[rows(part)])


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_a_partition_is_a_function_of_the_seed(scheme):
    whole = table(300, 5)
    first, again, other = ([rows(p) for p in partition(whole, scheme, names(5), seed)] for seed in (1, 1, 2))
    assert first == again
    assert (first == other) == (scheme["scheme"] in {"sorted", "column"})


@given(
    target=st.lists(st.floats(-1e6, 1e6) | st.integers(0, 3).map(float), min_size=8, max_size=60),
    peers=st.integers(1, 8),
)
def test_sorted_is_the_plain_sort_cut_in_pieces(target, peers):
    whole = Table.of(pd.DataFrame({"row": range(len(target))}), target)
    parts = partition(whole, {"scheme": "sorted"}, names(peers), 0)
    twin = np.concatenate([np.sort(part.target.to_numpy()) for part in parts])
    assert np.array_equal(twin, np.sort(target))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_words_and_negative_labels_sort_naturally():
    whole = Table.of(pd.DataFrame({"row": range(4)}), ["c10", "c9", "c1", "c2"])
    assert [rows(p) for p in partition(whole, {"scheme": "sorted"}, names(4), 0)] == [[2], [3], [1], [0]]
    whole = Table.of(pd.DataFrame({"row": range(3)}), [1.0, -1.0, 0.5])
    assert [rows(p) for p in partition(whole, {"scheme": "sorted"}, names(3), 0)] == [[1], [2], [0]]


@pytest.mark.parametrize("scheme", ["iid", "sorted"])
def test_imbalance_is_the_ratio_of_the_largest_shard_to_the_smallest(scheme):
    sizes = [len(p) for p in partition(table(16000, 16), {"scheme": scheme, "imbalance": 3.0}, names(16), 0)]
    assert sizes == sorted(sizes)
    assert sizes[-1] / sizes[0] == pytest.approx(3.0, rel=0.01)
    assert np.diff(sizes) == pytest.approx(np.mean(np.diff(sizes)), abs=1.01)


def test_shards_give_a_peer_few_classes_and_equal_sizes():
    whole = Table.of(pd.DataFrame({"row": range(1000)}), np.arange(1000) % 10)
    parts = partition(whole, {"scheme": "shards", "per_peer": 2}, names(5), 0)
    assert [len(p) for p in parts] == [200] * 5
    assert all(p.target.nunique() == 2 for p in parts)


def test_dirichlet_goes_from_sorted_to_iid():
    whole, peers = table(6000, 6), names(6)
    skew = [
        describe(partition(whole, {"scheme": "dirichlet", "alpha": a}, peers, 0), peers).heterogeneity
        for a in (0.05, 1.0, 1e5)
    ]
    assert skew[0] > 0.35 > skew[1] > 0.05 > skew[2]


def test_dirichlet_keeps_the_smallest_peer_at_the_stated_size():
    scheme = {"scheme": "dirichlet", "alpha": 0.5, "min_partition_size": 20}
    assert min(len(p) for p in partition(table(600, 5), scheme, names(5), 0)) >= 20


@pytest.mark.parametrize("kind", ["dirichlet", "quantity"])
@pytest.mark.parametrize("alpha", [1e-9, 0.1])
def test_rows_move_from_the_largest_peers_to_those_with_too_few_and_it_is_said(kind, alpha):
    whole = table(1000, 1)
    for seed in range(8):
        scheme = {"scheme": kind, "alpha": alpha}
        free = partition(whole, scheme | {"min_partition_size": 0}, names(1), seed)
        parts = partition(whole, scheme, names(20), seed, test=0.2)
        assert len(free[0]) == len(whole)
        assert sorted(row for part in parts for row in rows(part)) == list(range(1000))
        assert min(len(split(part, 0.2, seed)) - split(part, 0.2, seed).test.sum() for part in parts) >= 5
        poor = [part for part in parts if part.notes]
        (note,) = {note for part in poor for note in part.notes}
        moved = int(re.search(r"(\d+) of 1000 rows were moved", note)[1])
        assert f"left {len(poor)} of 20 peers with fewer than 5 training rows" in note
        assert all(len(part) == 7 for part in poor)  # of 7 rows, 2 are for testing
        assert 0 < moved <= 7 * len(poor)


def test_without_a_peer_below_the_minimum_nothing_moves():
    scheme, whole = {"scheme": "dirichlet", "alpha": 1e4}, table(600, 5)
    free = partition(whole, scheme | {"min_partition_size": 0}, names(5), 0)
    assert [rows(p) for p in partition(whole, scheme, names(5), 0)] == [rows(p) for p in free]
    assert not any(part.notes for part in free)


def test_column_matches_peers_by_name_then_by_number_and_leaves_the_features():
    whole = Table.of(pd.DataFrame({"row": range(3), "site": ["va", "b2", "b10"]}), [0, 1, 2])
    scheme = {"scheme": "column", "name": "site"}
    assert [rows(p) for p in partition(whole, scheme, ["b10", "va", "b2"], 0)] == [[2], [0], [1]]
    parts = partition(whole, scheme, names(3), 0)
    assert [rows(p) for p in parts] == [[1], [2], [0]]
    assert parts[0].columns == ("row",)


def test_files_are_matched_to_peers_like_values():
    tables = {"b10": table(3, 1), "b2": table(4, 1)}
    assert [len(t) for t in by_name(tables, ["b10", "b2"])] == [3, 4]
    assert [len(t) for t in by_name(tables, ["0", "1"])] == [4, 3]
    assert [len(t) for t in by_name({"p.b10": table(3, 1), "p.b2": table(4, 1)}, ["b2", "b10"])] == [4, 3]
    whole = {"St. Mary": table(3, 1), "St. John": table(4, 1)}
    assert [len(t) for t in by_name(whole, ["St. John", "St. Mary"])] == [4, 3]
    assert [len(t) for t in by_name({"Zu\u0308rich": table(3, 1)}, ["Z\u00fcrich"])] == [3]
    with pytest.raises(BadData, match="'notes' may be no data"):
        by_name(tables | {"notes": table(1, 1)}, ["b2", "b10"])
    with pytest.raises(BadData, match=r"files \(2: 'b2', 'b10'\).*'a', 'b'"):
        by_name(tables, ["a", "b"])
    with pytest.raises(BadData, match="use equally many"):
        by_name(tables, ["0", "1", "2"])


BAD = [
    ({"scheme": "iidd"}, BadExperiment, "did you mean 'iid'"),
    ({"scheme": "dirichlet"}, BadExperiment, "scheme = .dirichlet., alpha = "),
    ({"scheme": "dirichlet", "alhpa": 1}, BadExperiment, "did you mean 'alpha'"),
    ({"scheme": "dirichlet", "alpha": 0}, BadExperiment, "above 0"),
    ({"scheme": "quantity", "alpha": -1}, BadExperiment, "above 0"),
    (
        {"scheme": "quantity", "alpha": 1.0, "min_partition_size": 11},
        BadData,
        "4 peers with 11 rows each.*fewer peers",
    ),
    ({"scheme": "quantity", "alpha": 1.0, "min_partition_size": -1}, BadExperiment, "at least 0"),
    ({"scheme": "iid", "min_partition_size": 5}, BadExperiment, "no setting 'min_partition_size'"),
    ({"scheme": "iid", "imbalance": 0.5}, BadExperiment, "at least 1"),
    ({"scheme": "shards", "per_peer": 0}, BadExperiment, "at least 1"),
    ({"scheme": "shards", "per_peer": 1.5}, BadExperiment, "per_peer = 1.5 must be a whole number"),
    ({"scheme": "shards", "per_peer": True}, BadExperiment, "per_peer = True must be a whole number"),
    ({"scheme": "dirichlet", "alpha": "much"}, BadExperiment, "alpha = 'much' must be a number"),
    ({"scheme": "sorted", "imbalance": "3"}, BadExperiment, "imbalance = '3' must be a number"),
    ({"scheme": "column", "name": 3}, BadExperiment, "name = 3 must be text"),
    ({"scheme": "column", "name": "sit"}, BadData, "did you mean 'site'"),
    ({"scheme": "column", "name": "row"}, BadData, "do not match"),
    ({"scheme": "iid", "imbalance": 1000.0}, BadData, "peer '0' without rows"),
]


@pytest.mark.parametrize(("scheme", "error", "sentence"), BAD, ids=str)
def test_bad_partitions_are_told(scheme, error, sentence):
    with pytest.raises(error, match=sentence):
        partition(table(40, 4), scheme, names(4), 0)


def test_more_peers_than_rows_and_a_continuous_target_are_told():
    with pytest.raises(BadData, match="without rows"):
        partition(table(3, 1), {"scheme": "iid"}, names(5), 0)
    with pytest.raises(BadData, match="too many for classes"):
        partition(read("diabetes"), {"scheme": "dirichlet", "alpha": 1.0}, names(4), 0)


def test_learning_begins_on_a_very_uneven_partition(tmp_path):
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(5000, 30))).add_prefix("x")
    frame.assign(y=(draw.random(5000) < 0.08).astype(int)).to_csv(tmp_path / "rows.csv", index=False)
    for seed in range(8):
        raw = {
            "seed": seed,
            "data": {
                "source": str(tmp_path / "rows.csv"), "target": "y",
                "partition": {"scheme": "dirichlet", "alpha": 0.1},
            },
            "topology": {"graph": "ring:20"}, "model": {"l2": 0.1}, "stop": {"rounds": 2},
        }  # fmt: skip
        made = study(parse(raw))
        assert train(made, tables(made)).stopped == "rounds"
