"""Levels and classes that the study declares: no peer tells its own."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from runs import settings

from gossipfl.config.file import parse
from gossipfl.errors import BadData
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.learning.train import train
from gossipfl.experiment.study.make import study


@pytest.fixture
def raw(tmp_path: Path) -> dict[str, Any]:
    random = np.random.default_rng(1)
    table = pd.DataFrame({"a": random.normal(size=160), "c": random.choice(["x", "y", "z"], 160)})
    table["y"] = np.where(table.a + (table.c == "y") + random.normal(size=160) > 0, "yes", "no")
    table.to_csv(tmp_path / "rows.csv", index=False)
    return settings(
        privacy__sums="secure", data__source=str(tmp_path / "rows.csv"), data__target="y", data__categorical=["c"],
        data__partition={"scheme": "iid"}, algorithm__kind="newton", stop__rounds=150, stop__tolerance=1e-8,
    )  # fmt: skip


def test_declared_words_are_not_told(raw: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    made = study(parse(raw))
    told = train(made, tables(made))
    raw["data"] |= {"levels": {"c": ["z", "y", "x", "never"]}, "classes": ["yes", "no"]}
    made = study(parse(raw))

    union = Agreement.union

    def silent(
        self: Agreement, words: Sequence[Iterable[str]], read: Callable[[str], object] = str
    ) -> set[str]:
        for own in words:
            assert all(isinstance(part, int) for word in own for part in json.loads(word)), (
                "a peer tells words"
            )
        return union(self, words, read)

    monkeypatch.setattr(Agreement, "union", silent)
    hidden = train(made, tables(made))
    assert hidden.schema.classes == told.schema.classes == ("no", "yes")
    assert hidden.schema.levels == {"c": ("x", "y", "z", "never")}
    assert hidden.schema.constant == ("c=never",)
    assert torch.allclose(hidden.models[0][[0, 1, 2, 4]], told.models[0], rtol=1e-9)


def test_a_word_that_is_not_declared(raw: dict[str, Any]) -> None:
    raw["data"] |= {"classes": ["yes", "maybe"]}
    made = study(parse(raw))
    with pytest.raises(BadData, match=r"the target has 'no', which data.classes does not declare"):
        train(made, tables(made))
