"""Real files, if the environment variable GOSSIPFL_DATA names their folder."""

import os
from pathlib import Path

import pytest

from gossipfl.data import Schema, by_name, classes, clean, encode, levels, read, split
from gossipfl.errors import BadData

FOLDER = os.environ.get("GOSSIPFL_DATA")
pytestmark = pytest.mark.skipif(not FOLDER, reason="GOSSIPFL_DATA does not name the folder of the real data")
HEART = [
    "age",
    "sex",
    "cp",
    "trestbps",
    "chol",
    "fbs",
    "restecg",
    "thalach",
    "exang",
    "oldpeak",
    "slope",
    "ca",
    "thal",
    "num",
]
PEERS = ["cleveland", "hungarian", "switzerland", "va"]


def test_four_hospitals_have_the_rows_that_flamby_states():
    files = read(
        "heart_disease", "num != 0", folder=Path(FOLDER or ""), columns=HEART, drop=["slope", "ca", "thal"]
    )
    assert isinstance(files, dict)
    tables = [split(clean(table, "drop"), 0.34, 43) for table in by_name(files, PEERS)]
    seen = [levels(table, ["cp", "restecg"]) for table in tables]
    union = {name: set().union(*(peer[name] for peer in seen)) for name in seen[0]}
    schema = Schema.agree(tables[0].columns, union, set().union(*map(classes, tables)))
    rows = [encode(table, schema) for table in tables]
    assert [(train.x.shape, test.x.shape) for train, test in rows] == [
        ((199, 13), (104, 13)),
        ((172, 13), (89, 13)),
        ((30, 13), (16, 13)),
        ((85, 13), (45, 13)),
    ]


def test_spambase_has_no_header_and_says_so():
    with pytest.raises(BadData, match="no header line"):
        read("spambase/spambase.data", "spam", folder=Path(FOLDER or ""))
    names = [*(f"f{i}" for i in range(57)), "spam"]
    table = read("spambase/spambase.data", "spam", folder=Path(FOLDER or ""), columns=names)
    assert len(table) == 4601
    assert table.target.mean() == pytest.approx(0.394, abs=1e-3)  # type: ignore[union-attr]


def test_homes_are_peers_and_what_does_not_fit_is_named():
    folder = Path(FOLDER or "") / "citylearn"
    homes = read("Building_*.csv.xz", "Equipment Electric Power [kWh]", folder=folder)
    assert list(homes)[::8] == ["Building_1", "Building_9", "Building_17"]
    with pytest.raises(BadData, match=r"carbon_intensity.csv.xz has only one column, .*not a file of a peer"):
        read("*.csv.xz", "Hour", folder=folder)
