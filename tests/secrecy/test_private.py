"""Differential privacy on sums: what a row can change, the noise that hides it, and a budget that no crash refunds."""

import json
import os
import stat
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from runs import carry_out
from runs import settings as experiment
from scipy import stats
from secret_peers import keyed
from sklearn.datasets import load_breast_cancer, load_iris
from torch import Tensor

from gossipfl.algorithms import Consensus, Objective, Summed, Units
from gossipfl.algorithms.sums import (
    Clipped,
    ClippedDescent,
    ClippedNewton,
    Integers,
    Noised,
    SufficientStatistics,
)
from gossipfl.algorithms.sums.carrier import Place
from gossipfl.cli import main
from gossipfl.config.file import dump, parse
from gossipfl.data import Table
from gossipfl.data.scale import bounded
from gossipfl.errors import BadExperiment, Incompatible, Spent
from gossipfl.experiment.evaluation.finish import judge
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.learning.check import look
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.learning.simulated import Simulated
from gossipfl.experiment.learning.tables import own_table, tables
from gossipfl.experiment.learning.train import train
from gossipfl.experiment.study.make import study
from gossipfl.mixing import Mixing, Sum
from gossipfl.models.losses import Huber, Logistic, Loss, Softmax, Squared, SquaredHinge
from gossipfl.models.shard import shard
from gossipfl.report.status import status_table
from gossipfl.runs import spent
from gossipfl.runs.status import statuses
from gossipfl.secrecy import promise
from gossipfl.secrecy.exact import ExactSums
from gossipfl.secrecy.promise import COUNTED, PLACES, Noise, Promise, Spending, sensitivity

Array = npt.NDArray[np.float64]
PROMISE = Promise(1.0, 1e-5, 1.0, 16, 8)
SUMS = 30
DIABETES = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
EACH = PROMISE.each(SUMS)


def private(**changes: Any) -> dict[str, Any]:
    usual = {
        "algorithm__kind": "auto",
        "privacy__sums": "private", "privacy__epsilon": 8.0, "data__standardise": "none", "data__classes": ["0", "1"],
        "stop__rounds": 1000, "stop__tolerance": 0.0,
    }  # fmt: skip
    return experiment(**(usual | changes))


def ridge() -> dict[str, Any]:
    raw = private(
        topology__graph="ring:4", privacy__epsilon=99.0, data__source="diabetes", model__kind="linear"
    )
    raw["data"] |= {
        "standardise": "gossip",
        "bounds": dict.fromkeys(DIABETES, (-0.25, 0.25)) | {"target": (0, 400)},
    }
    raw["model"]["l2"] = 0.01
    del raw["data"]["classes"]
    return raw


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([Logistic(), Softmax(), SquaredHinge(), Huber(3.0)]),
    st.sampled_from([0.1, 1.0, 7.5]),
    st.integers(-12, 150),
)
def test_no_row_changes_a_total_by_more_than_its_norm(seed: int, loss: Loss, clip: float, size: int) -> None:
    """Whatever its size: the norm is at most that of the clip, but for rounding; and rows that are short stay as they are."""
    random, outputs = np.random.default_rng(seed), 3 if isinstance(loss, Softmax) else 1
    x = random.normal(size=(9, 4)) * 10.0 ** random.integers(-3, size + 1 if size > 0 else 1, (9, 1))
    y = random.integers(0, outputs if outputs > 1 else 2, 9).astype(float)
    at = torch.from_numpy(random.normal(size=4 * outputs))
    whole = shard(x, y, loss, outputs)
    total, rows = torch.zeros_like(at), [shard(x[[i]], y[[i]], loss, outputs) for i in range(9)]
    for row in rows:
        own = row.clipped(at, clip, PLACES)
        units = torch.ldexp(own, torch.tensor(PLACES))
        assert bool((units == units.round()).all())
        assert torch.linalg.vector_norm(units) <= sensitivity(clip, len(at))
        gradient = row.gradient(at)[1]
        if torch.linalg.vector_norm(gradient) < 0.999 * clip:
            torch.testing.assert_close(own, gradient, rtol=0, atol=2.0**-PLACES)
        total += own
    assert torch.equal(whole.clipped(at, clip, PLACES), total)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.1, 1.0, 7.5]), st.integers(-12, 150))
def test_no_row_changes_products_by_more_than_their_norm(seed: int, clip: float, size: int) -> None:
    """Whatever its size; and sums are exact."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(9, 4)) * 10.0 ** random.integers(-3, size + 1 if size > 0 else 1, (9, 1))
    y = random.normal(size=9) * 10.0 ** random.integers(-3, 150, 9)
    whole, bend = shard(x, y, Squared()), torch.from_numpy(random.random(9))
    total, asked = torch.zeros(14, dtype=torch.float64), SufficientStatistics.asks(4, 1, clip)
    assert asked.numbers == len(total)
    for i in range(9):
        part = slice(i, i + 1)
        own = shard(x[part], y[part], Squared()).products(clip, 0.7, whole.target[part], bend[part])
        units = torch.ldexp(own, torch.tensor(PLACES))
        assert bool((units == units.round()).all())
        assert torch.linalg.vector_norm(own) <= asked.norm
        total += own
    assert torch.equal(whole.products(clip, 0.7, whole.target, bend), total)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, (5, 3), elements=st.floats(allow_nan=False, allow_infinity=False)),
    arrays(np.float64, 3, elements=st.floats(-1e6, 1e6)),
    arrays(np.float64, 3, elements=st.floats(1e-3, 1e9)),
)
def test_no_row_changes_means_and_deviations_by_more_than_their_norm(
    rows: Array, low: Array, width: Array
) -> None:
    """Whatever its values, as far outside of the bounds as can be; numbers are whole, and rows do not touch each other."""
    rows[0], rows[1] = low, low + width  # at the ends
    own = bounded(rows, low, low + width, PLACES)
    assert np.array_equal(own, np.rint(own))
    assert bool((np.linalg.norm(own, axis=1) <= sensitivity(1.0, 6)).all())
    for row, numbers in zip(rows, own, strict=True):
        assert np.array_equal(bounded(row[None], low, low + width, PLACES)[0], numbers)
    assert not own[0].any()
    np.testing.assert_allclose(own[1], 2**PLACES / 6**0.5, rtol=1e-6)


@pytest.mark.parametrize("sums", ["total", "mean", "moments", "anybody", "opened", "minimised"])
def test_no_sum_without_noise_leaves_where_sums_are_private(sums: str) -> None:
    """Whatever the interpreter makes of assertions."""
    made = study(parse(private(topology__graph="ring:4")))

    def silent(*_: Any) -> Any:
        raise AssertionError("it was sent")

    agreement = Agreement(made.graph, made.diameter, made.tree, silent)
    agreement.exact, agreement.noise = ExactSums(4), Noise(Spending(made.promise))
    numbers = np.ones((4, 2))
    given: dict[str, tuple[Any, ...]] = {
        "total": (numbers,),
        "mean": (torch.from_numpy(numbers),),
        "moments": ([numbers] * 4,),
        "anybody": ([[True]] * 4,),
        "opened": (None, torch.from_numpy(numbers), torch.from_numpy(numbers)),
        "minimised": (None, [None] * 4, 2, 3),
    }
    with pytest.raises(RuntimeError, match="no noise, and sums are private"):
        getattr(agreement, sums)(*given[sums])


def test_a_row_that_is_far_too_large_is_not_seen_by_who_leaves() -> None:
    """Its loss is infinite at its peer alone: learning goes to its end all the same, and the totals are as ever."""
    made = study(parse(private(topology__graph="ring:4", model__kind="squared-svm")))
    parts = tables(made)
    features = parts[0].features.copy()
    features.iloc[int((~parts[0].test).argmax())] = 1e300
    learned = train(made, [replace(parts[0], features=features), *parts[1:]])
    assert learned.stopped == "rounds"
    assert not learned.why
    assert bool(learned.models.isfinite().all())
    assert learned.budget
    assert learned.budget["spent"] == pytest.approx(8.0, rel=1e-9)


@pytest.mark.parametrize("sums", ["secure", "private"])
@pytest.mark.parametrize("standardised", [False, True])
def test_what_has_no_mask_does_not_depend_on_a_row(
    sums: str, standardised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maxima, unions and partings are the same for rows that differ in one; all else is an integer of a sum, with masks in a
    live peer, and with noise if sums are private.
    """
    raw = private(topology__graph="ring:4", privacy__sums=sums, data__partition={"scheme": "iid"})
    if sums == "secure":
        raw["privacy"] = {"sums": "secure"}
    if standardised:
        names = load_breast_cancer().feature_names
        raw["data"] |= {"standardise": "gossip", "bounds": dict.fromkeys(map(str, names), (0.0, 5000.0))}
    made = study(parse(raw))
    parts = tables(made)
    features = parts[1].features.copy()
    features.iloc[int((~parts[1].test).argmax())] *= 1.01
    open_, hidden, noised = list[Tensor](), list[Any](), list[Any]()
    summed = list[Any]()
    run, exact, mask, row, added = (
        Agreement._run, ExactSums.rows, ExactSums._masked, Integers.row, Noise.added
    )  # fmt: skip

    def heard(self: Agreement, algorithm: Any, topology: Any, mixing: Mixing, x: Tensor, ended: Any) -> Any:
        if isinstance(mixing.aggregator, Sum):
            assert not mixing.aggregator.maxima
            if isinstance(algorithm, Consensus):
                assert any(np.array_equal(x.numpy(), one) for one in hidden)
            else:
                assert isinstance(algorithm, Summed)
                assert isinstance(algorithm.carrier, Integers)
        else:
            open_.append(x.clone())
        return run(self, algorithm, topology, mixing, x, ended)

    def exactly(self: ExactSums, integers: Any) -> Any:
        if sums == "private":
            assert all(list(own) in noised for own in integers)
        summed.append(integers)
        return exact(self, integers)

    def covered(self: ExactSums, each: Any) -> Any:
        hidden.append(mask(self, each))
        return hidden[-1]

    def masked(self: Integers, numbers: Tensor, digest: int, place: Place) -> Tensor:
        if sums == "private":
            assert torch.ldexp(numbers, torch.tensor(PLACES)).long().tolist() in noised
        summed.append(numbers.tolist())
        return row(self, numbers, digest, place)

    def hide(self: Noise, *given: Any) -> list[int]:
        noised.append(added(self, *given))
        return noised[-1]

    monkeypatch.setattr(Agreement, "_run", heard)
    monkeypatch.setattr(ExactSums, "rows", exactly)
    monkeypatch.setattr(ExactSums, "_masked", covered)
    monkeypatch.setattr(Integers, "row", masked)
    monkeypatch.setattr(Noise, "added", hide)
    told = []
    for second in (parts[1], replace(parts[1], features=features)):
        learned = Session(made, [parts[0], second, *parts[2:]], range(4), Simulated(made))
        for _ in learned:
            pass
        learned.evaluate()
        told.append((list(open_), list(summed)))
        open_.clear()
        summed.clear()
    (one, first), (two, last) = told
    assert len(one) == len(two) >= 1
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert first != last, "the tap hears nothing"
    assert bool(noised) == (sums == "private")


def test_products_without_noise_are_ridge_regression_with_weights() -> None:
    """Against the normal equations, rows having the weight 1 / max(1, |x|)^2."""
    random = np.random.default_rng(3)
    x = np.column_stack((random.normal(size=(400, 3)), np.ones(400)))
    y = x @ [1.0, -2.0, 0.0, 0.5] + 0.1 * random.normal(size=400)
    penalised = torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    units = Units(torch.ones(3).double(), torch.zeros(3).double(), 20.0)
    method = SufficientStatistics(Objective(penalised, units, l2=0.1))
    state = method.init(torch.zeros(4, dtype=torch.float64))
    halves = [shard(x[part], y[part], Squared()) for part in (slice(100), slice(100, None))]
    state = method.update(state, sum(method.contribute(state, half) for half in halves))
    weight = 1 / np.maximum(1.0, (x**2).sum(1))
    matrix = x.T @ (x * weight[:, None])
    truth = np.linalg.solve(matrix + 0.1 * np.trace(matrix) / 4 * np.diag(penalised), x.T @ (weight * y))
    np.testing.assert_allclose(state.x, truth, atol=2e-3)  # numbers have 12 binary places
    assert state.finished


def test_newton_without_noise_is_newton_with_weights() -> None:
    """Against three steps on the weighted objective, rows having the weight 1 / max(1, |x|)^2."""
    random = np.random.default_rng(5)
    x = np.column_stack((random.normal(size=(400, 3)), np.ones(400)))
    y = (x @ [1.0, -2.0, 0.0, 0.5] + random.logistic(size=400) > 0) * 1.0
    penalised = torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    ones = torch.ones(3, dtype=torch.float64)
    method = ClippedNewton(Objective(penalised, Units(ones, 0 * ones), l2=0.05), Logistic())
    state = method.init(torch.zeros(4, dtype=torch.float64))
    weight, truth = 1 / np.maximum(1.0, (x**2).sum(1)), np.zeros(4)
    penalty = 0.05 * (weight[:, None] * x**2).sum(0).mean() * penalised.numpy()
    while not state.finished:
        state = method.update(state, method.contribute(state, shard(x, y, Logistic())))
        p = 1 / (1 + np.exp(-x @ truth))
        hessian = x.T @ (x * (weight * p * (1 - p))[:, None]) + np.diag(penalty)
        truth -= np.linalg.solve(hessian, x.T @ (weight * (p - y)) + penalty * truth)
    assert state.sums == 3
    np.testing.assert_allclose(state.x, truth, atol=3e-3)  # numbers have 12 binary places


def test_steps_are_shorter_where_noise_is_large() -> None:
    ones = torch.ones(16, dtype=torch.float64)
    objective = Objective(ones, Units(ones, ones))
    steps = [
        ClippedDescent(objective, Logistic(), Clipped(720.0, 1.0, noise)).step for noise in (0.0, 10.0, 40.0)
    ]
    assert steps == [2.0, 1.0, 0.25]


def test_the_noise_of_a_total_is_what_was_asked() -> None:
    """Under masks: deviation s sqrt(N / (N - colluders)), s that of the budget; half of the peers alone have s."""
    masks, numbers = keyed(16), torch.zeros(300, dtype=torch.float64)
    made = [
        Noised(Integers(16, mask), Noise(Spending(PROMISE), Random(i).randrange), EACH, 1.0)
        for i, mask in enumerate(masks)
    ]
    rows = torch.stack([one.row(numbers, 7, Place()) for one in made])
    told = made[0].read(rows.sum(0), 16, Place())
    assert told.numbers is not None
    assert told.digest == 16 * 7
    s = sensitivity(1.0, 300) * 2.0**-PLACES / EACH
    assert stats.kstest(told.numbers.numpy() / (s * PROMISE.noise), "norm").pvalue > 1e-4
    assert PROMISE.each(SUMS) ** 2 * SUMS + PROMISE.counting**2 == pytest.approx(PROMISE.mu**2)
    assert pytest.approx(COUNTED * PROMISE.mu**2) == PROMISE.counting**2


def test_a_void_sum_repeats_its_noise_and_a_new_one_pays() -> None:
    spending = Spending(PROMISE)
    carrier, numbers = Noised(Integers(16), Noise(spending), EACH, 1.0), torch.ones(5, dtype=torch.float64)
    first = carrier.row(numbers, 7, Place(0, 0))
    assert torch.equal(first, carrier.row(numbers, 7, Place(0, 1)))
    assert not torch.equal(first, carrier.row(numbers, 7, Place(0, 0, peer=1)))
    assert spending.sums == 1
    assert not torch.equal(first, carrier.row(numbers, 7, Place(1, 1)))
    assert spending.sums == 2


def test_all_stop_at_the_sum_that_one_of_them_cannot_pay() -> None:
    """A peer that died after it had paid is ahead of the others; what they have spent themselves stays as it is."""
    spending = Spending(PROMISE, ahead=PROMISE.mu**2 - 2 * EACH**2)
    for _ in range(2):
        spending.pay(EACH)
    with pytest.raises(Spent):
        spending.pay(EACH)
    assert spending.spent == pytest.approx(2 * EACH**2)


@pytest.mark.parametrize("change", ["last row added", "label changed", "value missing"])
@pytest.mark.parametrize("scheme", ["file each", "iid"])
def test_of_files_that_differ_in_a_row_the_training_rows_differ_in_that_row_only(
    change: str, scheme: str, tmp_path: Path
) -> None:
    """Else one row had a say in which other rows are learned from, and epsilon would not hold for the rows of the file."""
    random = np.random.default_rng(8)
    rows = [[*random.normal(size=2).round(3).tolist(), int(label)] for label in random.integers(0, 2, 240)]
    twin = [list(row) for row in rows]
    match change:
        case "last row added":
            twin.append([0.5, 0.5, 1])
        case "label changed":
            twin[7][2] = 1 - twin[7][2]
        case "value missing":
            twin[7][0] = ""
    raw = private(topology__graph="ring:3", data__missing="drop", data__test=0.25, data__target="y")
    raw["data"] |= {"partition": {"scheme": "iid"}} if scheme == "iid" else {}
    told = []
    for name, content in (("one", rows), ("two", twin)):
        parts = [content] if scheme == "iid" else [content[:80], rows[80:160], [*rows[160:], *content[240:]]]
        folder = tmp_path / name
        folder.mkdir()
        for peer, part in enumerate(parts):
            pd.DataFrame(part, columns=["a", "b", "y"]).to_csv(folder / f"{peer}.csv", index=False)
        raw["data"]["source"] = str(folder / ("0.csv" if scheme == "iid" else "*.csv"))
        if scheme != "iid":
            raw["data"].pop("partition", None)
        told.append(sorted(tuple(row) for one in tables(study(parse(raw))) for row in _training(one)))
    one, two = (Counter(rows) for rows in told)
    assert len(told[0]) > 150
    assert sum(((one - two) + (two - one)).values()) <= 2
    assert sum((one - two).values()) <= 1


def test_each_peers_own_file_has_test_rows_of_its_own(tmp_path: Path) -> None:
    """Where rows of one number belong together (an hour, in all homes), they are not tested at all peers or at none."""
    rows = pd.DataFrame({"a": np.arange(400.0), "y": np.arange(400) % 2})
    raw = private(topology__graph="ring:3", data__test=0.25, data__target="y")
    raw["data"].pop("partition", None)
    for peer in range(3):
        rows.to_csv(tmp_path / f"{peer}.csv", index=False)
    made = study(parse(raw | {"data": raw["data"] | {"source": str(tmp_path / "*.csv")}}))
    masks = [table.test for table in tables(made)]
    for peer, mask in zip(made.names, masks, strict=True):
        assert (own_table(made, peer, None).test == mask).all()
        assert (own_table(made, peer, tmp_path / "0.csv").test == mask).all()
        found = look(made, tmp_path / "1.csv", peer)
        assert found.names == [peer]
        assert (found.tables[0].test == mask).all()
    for one, other in pairwise([*masks, masks[0]]):
        assert 10 <= (one & other).sum() <= 45  # 25 if they are independent, 100 if they are the same


def _training(table: Table) -> list[list[float]]:
    return np.column_stack((table.features.to_numpy(), table.target.to_numpy()))[~table.test].tolist()


def test_a_crash_never_refunds(tmp_path: Path) -> None:
    """What a sum costs is on disk before its row exists; who has nothing left sends nothing."""
    path = tmp_path / spent.FILE
    for number in range(SUMS):
        noise = Noise(spent.read(tmp_path, PROMISE))  # each time after a crash
        noise.added("sum 0", 0, [0], 1.0, EACH)
        assert spent.read(tmp_path, PROMISE).sums == number + 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(Spent, match="another sum would cost more"):
        Noise(spent.read(tmp_path, PROMISE)).added("sum 0", 0, [0], 1.0, EACH)
    assert path.read_bytes() == before
    for other in ({"epsilon": 2.0}, {"delta": 1e-6}, {"colluders": 0}, {"peers": 17}):
        with pytest.raises(BadExperiment, match="another promise") as refused:
            spent.read(tmp_path, PROMISE._replace(**other))
        assert "epsilon = 1, delta = 1e-05, colluders = 8, peers = 16" in str(refused.value)
        assert refused.value.exit_code == 3
    path.write_text("{}")
    with pytest.raises(BadExperiment, match="cannot be read"):
        spent.read(tmp_path, PROMISE)
    gone = spent.read(tmp_path / "gone", PROMISE)
    with pytest.raises(
        BadExperiment, match=r"must be on disk before a sum is sent; cannot write .*gone.*: No such file"
    ):
        Noise(gone).added("sum 0", 0, [0], 1.0, EACH)
    assert gone.sums == 0


def test_what_a_sum_costs_survives_a_power_cut_before_its_row_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content is on disk before the file has its name, and the name before there is a row to be sent."""
    order: list[str] = []
    sync, rename = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content")
        sync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        order.append("name")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    carrier = Noised(Integers(16), Noise(spent.read(tmp_path, PROMISE)), EACH, 1.0)
    monkeypatch.setattr(
        promise, "discrete_gaussian", lambda variance, count, below: order.append("noise") or np.zeros(count)
    )
    carrier.row(torch.ones(5, dtype=torch.float64), 7, Place(0, 0))
    assert order == ["content", "name", "folder", "noise"]


def test_a_status_has_what_is_spent_in_sums_that_no_line_tells(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    own = tmp_path / "peers" / "a"
    own.mkdir(parents=True)
    noise = Noise(spent.read(own, PROMISE))
    noise.added("sum 0", 0, [0], 1.0, EACH)  # before the first line
    (seen,) = statuses(tmp_path)
    assert seen.budget == noise.spending.record()
    line = {"round": 1, "neighbours": {}, "counters": {}, "budget": noise.spending.record()}
    (own / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    noise.added("sum 1", 0, [0], 1.0, EACH)
    (seen,) = statuses(tmp_path)
    assert seen.budget == noise.spending.record() != line["budget"]
    _, note, *_ = status_table([seen])
    assert "has spent epsilon" in str(note)


def test_a_plan_says_the_noise_beside_the_gradient(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "e.toml"
    file.write_text(dump(parse(private(topology__graph="ring:4"))))
    assert (
        main(["privacy", "plan", str(file), "--rows", "455", "--parameters", "31", "--format", "json"]) == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert main(["privacy", "plan", str(file), "--format", "json"]) == 0
    rows = sum(int((~one.test).sum()) for one in tables(study(parse(private(topology__graph="ring:4")))))
    assert 430 < rows < 480
    assert json.loads(capsys.readouterr().out) == told | {
        "rows": rows,
        "relative": pytest.approx(told["relative"] * 455 / rows),
        "together": pytest.approx(told["relative"] / 30**0.5 * 455 / rows),
    }
    promised = Promise(8.0, 1e-5, 1.0, 4, 2)
    assert told["sums"] == 30
    variance = promised.variance(sensitivity(1.0, 31), promised.each(30)) * 4
    assert told["noise"] == pytest.approx(2.0**-PLACES * variance**0.5, rel=1e-6)
    assert told["relative"] == pytest.approx(told["noise"] * 31**0.5 / 455)
    assert (
        main(["privacy", "plan", str(file), "--rows", "9", "--parameters", "9", "-s", "privacy.sums=plain"])
        == 3
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dp-gd", "adassp"])
def test_live_peers_have_one_model_and_keep_what_they_spend(kind: str, tmp_path: Path) -> None:
    raw = private(topology__graph="ring:4") if kind == "dp-gd" else ridge()
    raw["peers"]["security"] = "keys"
    summary, _ = carry_out("peers", raw, tmp_path)
    assert summary["algorithm"] == kind
    assert summary["stopped"] == "rounds"
    assert summary["consensus_distance"] == 0.0
    assert summary["budget"]["spent"] == pytest.approx(raw["privacy"]["epsilon"], rel=1e-6)
    for name in "0123":
        kept = json.loads((tmp_path / "peers" / name / spent.FILE).read_text())
        assert kept["mu_squared"] == pytest.approx(summary["budget"]["mu_squared"])


def test_standardisation_takes_its_share() -> None:
    """With hardly any noise it finds means and deviations; the budget is spent as ever."""
    raw = private(topology__graph="ring:4", privacy__epsilon=90.0, data__source="iris", model__kind="softmax")
    raw["data"] |= {"standardise": "gossip", "classes": ["0", "1", "2"], "bounds": {}}
    names = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
    raw["data"]["bounds"] = dict.fromkeys(names, (0.0, 20.0))  # rows have a norm below 1 then
    made = study(parse(raw))
    learned = train(made, tables(made))
    assert learned.budget
    assert learned.budget["spent"] == pytest.approx(90.0, rel=1e-6)
    scale, whole = learned.scales[0], np.concatenate([*load_iris(return_X_y=True)[:1]])
    assert scale
    np.testing.assert_allclose(scale.mean, whole.mean(0), atol=0.5)
    assert bool((scale.deviation > 0).all())


def test_ridge_regression_is_one_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """If noise happens to be 0, it is near the optimum of all rows, which are standardised by such sums, too."""
    monkeypatch.setattr(
        promise, "discrete_gaussian", lambda variance, count, below: np.zeros(count, np.int64)
    )
    raw = ridge()
    made = study(parse(raw))
    learned = train(made, tables(made))
    assert learned.algorithm == "adassp"
    assert learned.budget
    assert learned.budget["sums"] == 3
    assert learned.budget["spent"] == pytest.approx(99.0, rel=1e-6)
    plain = study(parse(raw | {"privacy": {}, "algorithm": {"kind": "auto"}}))
    found, truth = (judge(s, train(s, tables(s))).summary["test"]["all"]["r2"] for s in (made, plain))
    assert found > truth - 0.02


def test_a_run_that_would_overspend_stops_before_it_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left suffices for the number of rows and three sums; no fourth one is begun."""
    raw = private(topology__graph="ring:4")
    made = study(parse(raw))
    promised = made.promise
    kept: list[dict[str, float]] = []
    left = promised.counting**2 + 3.5 * promised.each(SUMS) ** 2

    def spending(_: Simulated) -> Spending:
        return Spending(promised, promised.mu**2 - left, kept.append)

    monkeypatch.setattr(Simulated, "spending", spending)
    learned = train(made, tables(made))
    assert "another sum would cost more than is left" in learned.why
    assert learned.rounds == 3 * made.tree.exchanges
    assert len(kept) == 4
    assert kept[-1]["mu_squared"] <= promised.mu**2


def test_peers_learn_and_spend_their_budget() -> None:
    made = study(parse(private(topology__graph="ring:4")))
    learned = train(made, tables(made))
    assert learned.algorithm == "dp-gd"
    assert learned.stopped == "rounds"
    assert learned.certificate is None
    assert bool((learned.models == learned.models[0]).all())
    assert learned.budget
    assert learned.budget["spent"] == pytest.approx(8.0, rel=1e-9)
    assert learned.rounds == (learned.budget["sums"] - 1) * made.tree.exchanges


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"privacy__epsilon": None}, "needs privacy.epsilon"),
        ({"privacy__colluders": 16}, "leaves nobody of 16 peers"),
        ({"model__kind": "poisson"}, "has no bound"),
        ({"stop__tolerance": 1e-6}, "leave out stop.tolerance"),
        ({"reference": True}, "reference = true looks at all rows"),
        ({"model__l1": 0.1}, "no proximal step"),
        ({"model__l2": "cv"}, "cross-validation would cost"),
        ({"data__standardise": "gossip"}, "declare data.bounds"),
        ({"data__missing": "mean"}, "looks at rows without noise"),
        ({"data__classes": None}, "need data.classes"),
        ({"data__categorical": ["town"]}, "need data.levels of town"),
        ({"model__class_weight": "balanced"}, "count each row once"),
        ({"privacy__on_leave": "pods"}, "would pay anew"),
        ({"stop__rounds": 100}, "set stop.rounds to"),
        ({"algorithm__kind": "newton"}, "is not private"),
        ({"algorithm__kind": "adassp"}, "is for model.kind = linear"),
        ({"model__kind": "linear"}, "in units of their deviations"),
        (
            {"model__kind": "linear", "data__standardise": "gossip", "data__bounds": {"a": (0, 1)}},
            "data.bounds of the target, 'target'",
        ),
        (
            {
                "algorithm__kind": "dp-newton",
                "data__standardise": "gossip",
                "data__bounds": {"a": (0, 1)},
                "privacy__epsilon": 1.0,
            },
            "needs privacy.epsilon = 2 or more",
        ),
        ({"privacy__sums": "secure", "algorithm__kind": "dp-gd"}, "is for noised sums"),
    ],
)
def test_refused(changes: dict[str, Any], sentence: str) -> None:
    raw = private(**({"topology__graph": "ring:16"} | changes))
    for section in ("data", "privacy"):
        raw[section] = {key: value for key, value in raw[section].items() if value is not None}
    with pytest.raises(Incompatible, match=sentence):
        study(parse(raw))
