"""What the sums of a cross-validation tell of the rows that a fold holds out: the attack, and what is refused before them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs import settings

from gossipfl.config.file import parse
from gossipfl.data import Rows
from gossipfl.errors import BadData
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.learning.train import train
from gossipfl.experiment.study.make import study
from gossipfl.models.losses import Squared
from gossipfl.models.shard import unpacked
from gossipfl.selection import Validation, divided, numbered
from gossipfl.tensors import torch

FOLDS = 5
Array = np.ndarray[Any, np.dtype[np.float64]]


class Heard:
    """Adds up, and keeps each total."""

    def __init__(self) -> None:
        self.totals: list[Array] = []

    def total(self, x: Array) -> Array:
        self.totals.append(x.sum(0))
        return self.totals[-1]

    def minimised(self, *_: object) -> Any:
        raise AssertionError("least squares have no descent")


def test_a_level_that_one_row_of_a_fold_has_tells_that_row() -> None:
    """The Hessians of all folds together, each of four fifths of the rows, have every row four times: the rest is a fold's."""
    random = np.random.default_rng(0)
    each = [np.column_stack((random.normal(size=(40, 4)), np.arange(40) < 2)) for _ in range(4)]
    peers = [Rows(x, x.sum(1) + random.normal(size=40)) for x in each]
    numbers = [numbered(part.y, FOLDS, 0, peer, False) for peer, part in enumerate(peers)]
    heard = Heard()
    Validation(Squared(), 1, True, "l2", 0.0, "none").curve(
        [divided(part, number, FOLDS) for part, number in zip(peers, numbers, strict=True)], heard
    )
    totals = heard.totals[2].reshape(FOLDS, -1)
    held = [
        unpacked(torch.from_numpy(one), 6).numpy() for one in (totals.sum(0) / (FOLDS - 1) - totals)[:, 7:]
    ]
    rows, fold = np.concatenate(each), np.concatenate(numbers)
    having = np.bincount(fold[rows[:, 4] == 1], minlength=FOLDS)
    assert 1 in having, "eight rows have the level, and more than three of them"
    alone = int((having == 1).argmax())
    row = rows[(fold == alone) & (rows[:, 4] == 1)][0]
    np.testing.assert_allclose(held[alone][4], np.append(row, 1.0), atol=1e-9)


@pytest.mark.parametrize(
    ("few", "sentence"),
    [
        ({"c": 2}, "differ in .*'c=b in fold 1'.* set model.folds lower, or give model.l2 a number"),
        ({"c": 15, "twin": 3}, "differ in .*'c=b beside d=b in fold 5'"),
        ({"c": 15}, ""),
    ],
)
def test_a_fold_with_few_rows_of_a_level_is_refused_before_its_sums(
    few: dict[str, int], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rows at each of eight peers have the level, which is enough for one sum over all rows."""
    random = np.random.default_rng(0)
    place = np.arange(320) // 8
    table = pd.DataFrame({"a": random.normal(size=320), "c": np.where(place < few["c"], "b", "a")})
    if "twin" in few:
        table["d"] = np.where(place < few["c"] + few["twin"], "b", "a")
    table["y"], table["site"] = table.a + random.normal(size=320), np.arange(320) % 8
    table.to_csv(tmp_path / "rows.csv", index=False)
    raw = settings(
        privacy__sums="secure", algorithm__kind="auto", topology__graph="full:8", model={"kind": "linear", "l2": "cv"},
        data={
            "source": str(tmp_path / "rows.csv"), "target": "y", "test": 0.0, "categorical": ["c", "d"][: len(few)],
            "partition": {"scheme": "column", "name": "site"},
        },
    )  # fmt: skip
    made = study(parse(raw))
    if not sentence:
        train(made, tables(made))
        return
    monkeypatch.setattr(Validation, "curve", lambda *_: pytest.fail("a sum over folds was taken"))
    with pytest.raises(BadData, match=sentence):
        train(made, tables(made))
    raw["model"]["l2"] = 1e-3
    made = study(parse(raw))
    train(made, tables(made))
