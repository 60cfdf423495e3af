"""Secure sums of numbers of any size: their results are those of plain ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs import carry_out, settings

from gossipfl.errors import BadData


def regression(folder: Path, target: float = 1.0, outlier: float = 0.0) -> dict[str, Any]:
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(200, 2)), columns=["a", "b"])
    table["y"] = target * (table.a + random.normal(size=200))
    table["held"] = (np.arange(200) >= 160) * 1
    if outlier:
        table.loc[199, "y"] = outlier
    table["site"] = np.arange(200) % 4
    table.to_csv(folder / "rows.csv", index=False, float_format="%.17g")
    return settings(
        algorithm__kind="newton", topology__graph="ring:4", stop__tolerance=1e-8, model={"kind": "linear", "l2": 1e-3},
        data={
            "source": str(folder / "rows.csv"), "target": "y", "test": "held",
            "partition": {"scheme": "column", "name": "site"},
        },
    )  # fmt: skip


@pytest.mark.parametrize("target", [1e-9, 1e13])
def test_scores_of_large_and_small_targets(target: float, tmp_path: Path) -> None:
    """The squares of 1e13 do not fit into the integers of the scores, and those of 1e-9 are 0 in them, but for units."""
    raw = regression(tmp_path, target)
    plain, _ = carry_out("simulator", raw, tmp_path / "plain")
    secret, _ = carry_out("simulator", raw | {"privacy": {"sums": "secure"}}, tmp_path / "secret")
    assert secret["stopped"] == "tolerance"
    for score in ("r2", "rmse"):
        assert secret["scores"][score] == pytest.approx(plain["scores"][score], rel=1e-6), score


def test_test_rows_that_cannot_be_summed_end_no_study(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = regression(tmp_path, outlier=1e30) | {"privacy": {"sums": "secure"}}
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    assert summary["stopped"] == "tolerance"
    assert summary["scores"] is None
    assert "the test rows of all peers were not summed: some peer has numbers above 1e14" in caplog.text


@pytest.mark.parametrize("algorithm", ["newton", "lbfgs"])
@pytest.mark.parametrize(("large", "small"), [(1e6, 1e-9), (1e3, 1e-2)])
def test_columns_of_very_different_sizes(algorithm: str, large: float, small: float, tmp_path: Path) -> None:
    """Where integers do not have room for both, raw columns are refused; standardised ones never are."""
    raw = regression(tmp_path) | {"algorithm": {"kind": algorithm}, "privacy": {"sums": "secure"}}
    table = pd.read_csv(tmp_path / "rows.csv")
    table.assign(a=large * table.a, b=small * table.b).to_csv(
        tmp_path / "rows.csv", index=False, float_format="%.17g"
    )
    raw["model"] = {"kind": "linear", "l2": 0.0}
    raw["stop"] = {"rounds": 2000, "tolerance": 1e-8}
    expected, _ = carry_out("simulator", raw, tmp_path / "gossip")
    raw["data"]["standardise"] = "none"
    if small < 1e-5:
        with pytest.raises(BadData, match="'b': beside the size of other columns these vary too little"):
            carry_out("simulator", raw, tmp_path / "none")
        return
    found, _ = carry_out("simulator", raw, tmp_path / "none")
    assert found["scores"]["r2"] == pytest.approx(expected["scores"]["r2"], rel=1e-6)
