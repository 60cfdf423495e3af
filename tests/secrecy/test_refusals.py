"""What secure sums refuse, each with its sentence, before anything is learned."""

import itertools
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs import carry_out, settings

from gossipfl.cli.confidential import confidential
from gossipfl.config.file import parse
from gossipfl.data import Table
from gossipfl.errors import BadData, BadMessage, Incompatible
from gossipfl.experiment.learning import disclosure
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.learning.check import look
from gossipfl.experiment.learning.simulated import Simulated
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.learning.train import train, training
from gossipfl.experiment.live.joining import received
from gossipfl.experiment.live.life import fixed
from gossipfl.experiment.live.reread import Reread
from gossipfl.experiment.study.make import study
from gossipfl.keys import fresh
from gossipfl.runs.rows import keep, unchanged
from gossipfl.secrecy import wide


def secure(**changes: Any) -> dict[str, Any]:
    return settings(**({"privacy__sums": "secure", "algorithm__kind": "newton"} | changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"privacy__on_leave": "pods", "topology__graph": "ring:5"},
            "needs two pods of 3 peers, and there are 5",
        ),
        ({"stop__seconds": 5.0}, "stop.seconds ends one peer in the middle of a sum"),
        ({"topology__graph": "line:2"}, "secure sums need 3 peers, and there are 2"),
        ({"privacy__min_peers": 9}, "secure sums need 9 peers, and there are 8"),
        ({"algorithm__kind": "exact-diffusion"}, "shows single models to neighbours"),
        ({"algorithm__kind": "gossip-learning"}, "shows single models to neighbours"),
        ({"topology__graph": "one-peer-exp:8"}, "does not change"),
        ({"topology__drop": 0.1}, "without drop and loss"),
        ({"data__missing": "median"}, "shows values of single rows"),
        ({"data__missing": "mode"}, 'set data.missing = "mean", "drop" or "refuse"'),
        ({"model__kind": "squared-svm"}, "a discontinuous second derivative"),
        ({"model__kind": "huber", "algorithm__kind": "lbfgs"}, "their difference is that row"),
    ],
)
def test_settings(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Incompatible, match=sentence) as refusal:
        study(parse(secure(**changes)))
    assert refusal.value.exit_code == 3


@pytest.mark.parametrize(
    ("rows", "changes", "sentence"),
    [
        (30, {}, "has 4 training rows, and secure sums need 5 at each peer"),
        (240, {"level": 1}, "fewer than 3 peers, differ in 'c=b'"),
        (240, {"level": 2}, "fewer than 3 peers, differ in 'c=b'"),
        (240, {"cell": 2}, "differ in 'class 1'"),
        (240, {"width": 90}, "more than 0.33 parameters for each row"),
        (240, {"width": 130, "share": 1.0}, "do not bear"),
        (240, {"huge": 1e80}, "which secure sums cannot add up"),
        (240, {"huge": 1e5}, "peer 3: one training row has 100% of the spread of all rows in 'a'"),
        (240, {"one": True}, "differ in 'b'"),
        (240, {"one": True, "none": np.nan}, "fewer than 3 peers have values of 'b'"),
        (240, {"split": True}, "all rows of some peers differ from all rows of others in 'c=a'"),
        (240, {"turned": True}, "all rows of some peers differ from all rows of others in 'c=b beside d=b'"),
        (240, {"labels": True}, "fewer than 3 peers, differ in 'class 1'"),
        (240, {"first": 2}, "differ in 'c=a'"),
        (
            120,
            {"width": 26, "pods": True},
            "peer 0 has 15 training rows. Where a pod leaves, a sum of 469 numbers",
        ),
        (240, {"level": 4, "pods": True}, "differ in 'c=b in the pod of 3, 4, 5, 6, 7'"),
        (240, {"twin": 5, "pods": True}, "differ in 'c=b beside d=b'"),
        (240, {"mixed": True, "pods": True}, "all rows of others in 'd=b in the pod of 0, 1, 2'"),
        (240, {"labels": 4, "pods": True}, "differ in 'class 1 in the pod of 3, 4, 5, 6, 7'"),
        (240, {"kinds": True}, "since rows can be of 4 kinds, and totals tell how many there are of each"),
        (240, {"twin": 5}, "differ in 'c=b beside d=b'"),
        (240, {"weight": 1e-9}, "peer 0 has 1 training rows by their weights, and secure sums need 5"),
        (240, {"weight": 0.0}, "peer 0 has 1 training rows"),
        (240, {"rare": 3}, "do not bear 2 sums of .* numbers, since few rows differ in 'd=b'"),
    ],
)
def test_rows(rows: int, changes: dict[str, Any], sentence: str, tmp_path: Any) -> None:
    """What one site alone has (a level, values, classes, a number of its own), small cells, and too many parameters."""
    random = np.random.default_rng(0)
    site = np.arange(rows) % 8
    table = pd.DataFrame({"a": random.normal(size=rows), "site": site})
    table["c"] = np.where(site < changes.get("level", 8), np.where(random.random(rows) < 0.5, "b", "a"), "a")
    if "first" in changes:  # the level that has no column of its own
        table["c"] = np.where(np.arange(rows) < changes["first"], "a", random.choice(["b", "c"], rows))
    if "one" in changes:
        table["b"] = np.where(site == 2, random.normal(size=rows), changes.get("none", 7.0))
    if "split" in changes:  # nobody's rows differ in the first level, and one peer alone has it
        table["c"] = np.where(site == 2, "a", random.choice(["b", "c"], rows))
    if "mixed" in changes:  # in each peer of the first pod rows have one level
        table["d"] = np.where(site == 1, "b", np.where(site < 3, "a", random.choice(["a", "b"], rows)))
    if "turned" in changes:
        table["d"] = np.where((table["c"] == "a") ^ (site == 2), "a", "b")
    if "rare" in changes:
        table["d"] = np.where(np.arange(rows) < changes["rare"], "b", "a")
    if "kinds" in changes:
        table["a"] = (table["a"] > 0) * 1.0
    if "twin" in changes:  # nearly the same as another column
        table["d"] = np.where(np.arange(rows) == changes["twin"], "a", table["c"])
    if "weight" in changes:
        table["w"] = np.where((site == 0) & (np.arange(rows) > 0), changes["weight"], 1.0)
    table["y"] = np.arange(rows) < changes["cell"] if "cell" in changes else random.random(rows) < 0.5
    if "labels" in changes:
        table["y"] &= (site == 2) if changes["labels"] is True else (site < 4)
    wide = random.normal(size=(rows, changes.get("width", 0)))
    table = pd.concat((table, pd.DataFrame(wide).add_prefix("x")), axis=1)
    if "huge" in changes:
        table.loc[3, "a"] = changes["huge"]
    table.astype({"y": int}).to_csv(tmp_path / "rows.csv", index=False)
    raw = secure(
        data__source=str(tmp_path / "rows.csv"), data__target="y", data__test=0.0, topology__graph="full:8",
        data__missing="mean" if "none" in changes else "refuse",
        data__categorical=["c", "d"] if "d" in table else ["c"],
        privacy__max_parameters_per_row=changes.get("share", 0.33),
        privacy__on_leave="pods" if "pods" in changes else "wait",
    )  # fmt: skip
    raw["data"] |= {"partition": {"scheme": "column", "name": "site"}} | (
        {"row_weights": "w"} if "w" in table else {}
    )
    made = study(parse(raw))
    with pytest.raises(BadData, match=sentence) as refusal:
        train(made, tables(made))
    assert refusal.value.exit_code == 4


def test_pairs_of_columns_that_are_too_many_to_compare_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearly same columns of `twin` above are not found, then, and the sentence at the start says that nobody looked."""
    random = np.random.default_rng(0)
    table = pd.DataFrame({"a": random.normal(size=240), "c": random.choice(["a", "b"], 240)})
    table["d"] = np.where(np.arange(240) == 5, "a", table["c"])
    table["y"] = random.integers(0, 2, 240)
    table.to_csv(tmp_path / "rows.csv", index=False)
    raw = secure(
        data__source=str(tmp_path / "rows.csv"), data__target="y", data__categorical=["c", "d"], topology__graph="full:8"
    )  # fmt: skip
    made = study(parse(raw))
    with pytest.raises(BadData, match="beside"):
        train(made, tables(made))
    monkeypatch.setattr(disclosure, "PAIRS", 3)
    warned = next(training(made, tables(made), Simulated(made)))
    assert "pairs of columns are too many to compare (at most 3)" in str(warned)


def test_a_secure_study_is_described_before_anybody_starts() -> None:
    found = look(study(parse(secure())), None)
    assert found.refusal is None
    assert found.prepared is not None
    assert "secure sums" in found.prepared.warning


def test_a_state_transfer() -> None:
    """A member cannot let a peer skip the agreement of keys."""
    made = study(parse(secure()))
    with pytest.raises(BadMessage, match="all agree again"):
        received(made, tables(made)[0], b"any")


@pytest.mark.parametrize(
    ("peers", "keys", "changes", "sums", "sentence"),
    [
        (3, True, {}, "secure", ""),
        (3, True, {"algorithm__kind": "auto"}, "secure", ""),
        (3, True, {"privacy__sums": "plain"}, "plain", "neighbours see the sums of this peer's rows"),
        (3, False, {}, None, "secure sums need a public key of each peer"),
        (3, True, {"algorithm__kind": "exact-diffusion"}, None, "neighbours see a model of this peer in each message"),
        (2, True, {"privacy__sums": "plain"}, "plain", "from which they can rebuild rows"),
        (2, True, {}, "refused", "of a sum of two peers each knows the other's part"),
    ],
)  # fmt: skip
def test_what_a_peer_takes_by_default_and_says(
    peers: int, keys: bool, changes: dict[str, Any], sums: str | None, sentence: str, tmp_path: Path
) -> None:
    names = "abc"[:peers]
    lines = [f"edges = {[[a, b] for a, b in itertools.pairwise(names)]}"]
    for name in names:
        lines += [f"[peers.{name}]", f'public_key = "{fresh().public}"' if keys else ""]
    (tmp_path / "sites.toml").write_text("\n".join(lines))
    raw = settings(
        **({"algorithm__kind": "newton", "topology__graph": str(tmp_path / "sites.toml")} | changes)
    )
    made = study(parse(raw))
    if sums == "refused":
        with pytest.raises(Incompatible, match=sentence):
            confidential(made)
        return
    chosen, said = confidential(made)
    assert chosen.experiment.privacy.sums == sums
    assert sentence in said
    assert bool(said) == bool(sentence)


def test_no_peer_is_added_while_others_learn(tmp_path: Path) -> None:
    """A changed file is refused in a sentence that says what to do."""
    file, told = tmp_path / "sites.toml", list[str]()

    def links(names: str) -> None:
        peers = "".join(f"\n[peers.{name}]" for name in names)
        file.write_text(f"edges = {[[a, b] for a, b in itertools.pairwise(names)]}{peers}")

    links("abc")
    made = study(parse(secure(topology__graph=str(file))))
    reread = Reread(made, "a", lambda _: {"b": ""}, told.append)
    reread.refuse(fixed(made, "newton"))
    links("abcd")
    reread.ask()
    assert reread() is None
    assert "no peer can be added or removed while the others learn" in told[0]
    assert "stop all peers and start them again" in told[0]


@pytest.mark.parametrize(
    ("having", "each", "sentence"),
    [
        (2, 15, "fewer than 3 peers have 5 test rows or more"),
        (3, 1, "fewer than 3 peers have 5 test rows or more"),  # else a member learns their targets
        (3, 9, "all peers together have 27 test rows, and fewer than 30"),
        (3, 10, ""),
    ],
)
def test_few_test_rows_or_those_of_few_peers_are_not_summed(
    having: int, each: int, sentence: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The fourth peer has one test row, which is in no sum."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(120, 2)), columns=["a", "b"])
    table["y"] = (table.a + random.normal(size=120) > 0) * 1
    table["site"] = np.arange(120) % 4
    place = np.arange(120) // 4
    table["held"] = ((table.site < having) & (place < each) | (table.site == 3) & (place == 0)) * 1
    table.to_csv(tmp_path / "rows.csv", index=False)
    raw = secure(
        topology__graph="ring:4", data__source=str(tmp_path / "rows.csv"), data__target="y", data__test="held",
        data__partition={"scheme": "column", "name": "site"}, stop__tolerance=1e-6,
    )  # fmt: skip
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    assert summary["stopped"] == "tolerance"
    assert sentence in caplog.text
    assert summary["scores"] is None if sentence else summary["scores"]["rows"] == 30


def test_a_peer_that_starts_again_with_other_rows_is_refused(tmp_path: Path) -> None:
    """The totals with and without a row differ by that row: the moments of a column tell it exactly."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(30, 2))
    before, after = (wide.moments(part) for part in (rows, rows[1:]))
    differences = [one - other for one, other in zip(before, after, strict=True)]
    assert differences[0] == 1
    np.testing.assert_allclose([one / 2**wide.UNIT for one in differences[1:3]], rows[0])
    table, other = (Table.of(pd.DataFrame(part), part.sum(1) > 0) for part in (rows, rows[1:]))
    unchanged(tmp_path, other)  # nothing is known of it yet
    keep(tmp_path, table)
    keep(tmp_path, other)
    unchanged(tmp_path, Table.of(pd.DataFrame(rows), rows.sum(1) > 0))
    with pytest.raises(BadData, match="has other rows than those with which this peer began"):
        unchanged(tmp_path, other)
    assert stat.S_IMODE((tmp_path / "rows.hash").stat().st_mode) == 0o600
    (tmp_path / "rows.hash").write_text("{}")
    with pytest.raises(BadData, match="cannot be read"):
        unchanged(tmp_path, table)


def _with_numbers_of_sites(
    folder: Path, standardise: str, **changes: Any
) -> tuple[dict[str, Any], pd.DataFrame]:
    random = np.random.default_rng(0)
    table = pd.DataFrame({"a": random.normal(size=240), "site": np.arange(240) % 8})
    table["beds"], table["one"] = 100.0 + 7 * table.site, 1.0
    table["y"] = (table.a + random.normal(size=240) > 0) * 1
    table.to_csv(folder / "rows.csv", index=False)
    raw = secure(
        data__source=str(folder / "rows.csv"), data__target="y", data__test=0.0, topology__graph="full:8",
        data__partition={"scheme": "column", "name": "site"}, data__standardise=standardise, **changes,
    )  # fmt: skip
    return raw, table


@pytest.mark.parametrize("standardise", ["gossip", "none", "local"])
def test_no_sum_has_a_number_that_is_the_same_in_all_rows_of_a_site(
    standardise: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a member finds those of the two others from the sum and the sum of squares. It counts as constant."""
    raw, table = _with_numbers_of_sites(tmp_path, standardise)
    summed, exactly = [], Agreement._exactly

    def heard(self: Agreement, integers: Any) -> tuple[int, ...]:
        told = exactly(self, integers)
        summed.extend(told)
        return told

    monkeypatch.setattr(Agreement, "_exactly", heard)
    made = study(parse(raw))
    warned = next(training(made, tables(made), Simulated(made)))
    assert "one value in all training rows of each peer: 'beds', 'one'" in str(warned)
    beds = [table.beds.sum(), (table.beds**2).sum()]
    for number, places in zip(beds, (wide.UNIT, 2 * wide.UNIT), strict=True):
        assert not {int(number) << p for p in (places, wide.PLACES)} & set(summed)
    assert sum(table.a > -9) << wide.PLACES in summed, "the number of rows is told"


def test_a_number_of_sites_is_no_intercept(tmp_path: Path) -> None:
    raw, _ = _with_numbers_of_sites(tmp_path, "none", model__intercept=False)
    made = study(parse(raw))
    with pytest.raises(BadData, match="'beds', 'one' have one value at each peer, and not 0"):
        train(made, tables(made))
