"""What a tap on all links learns: all rows from plain sums, none from secure ones; and what can go wrong with a sum."""

from pathlib import Path

import numpy as np
import pytest
import torch
from runs import carry_out, settings
from secret_peers import FRONT, Peers, two_hessians

from gossipfl.algorithms import Objective, Summed, Units
from gossipfl.algorithms.sums import DampedNewton
from gossipfl.config.file import load
from gossipfl.errors import Spent
from gossipfl.experiment.launch.simulate import simulate
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.learning.simulated import Simulated
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.study.make import study
from gossipfl.models.losses import Logistic, Squared
from gossipfl.models.shard import Shard, shard, unpacked

DEMO = Path(__file__).parents[2] / "examples" / "demo.toml"


def rebuilt(found: np.ndarray, rows: np.ndarray, within: float) -> np.ndarray:
    """Which rows are among those found, up to a relative error."""
    gap = np.linalg.norm(rows[:, None] - found[None], axis=2).min(1)
    return gap <= within * np.linalg.norm(rows, axis=1)


@pytest.fixture(scope="module")
def demo() -> Summed:
    made = study(load(DEMO, ["privacy.sums=secure"]))
    algorithm = Session(made, tables(made), range(16), Simulated(made)).engine.algorithm  # type: ignore[attr-defined]
    assert isinstance(algorithm, Summed)
    return algorithm


def test_a_tap_rebuilds_all_rows_from_plain_sums_and_none_from_secure_ones(demo: Summed) -> None:
    method = demo.method
    assert isinstance(method, DampedNewton)
    d = len(method.objective.penalised)
    plain, secure = Peers(method, demo.rows, secure=False), Peers(method, demo.rows)
    for peers in (plain, secure):
        totals = [peers.sum(), peers.sum()]
    assert (plain.models - secure.models).abs().max() <= 1e-8
    count = lost = 0
    for i, own in enumerate(demo.rows):
        rows = own.features.numpy()
        found = two_hessians(*(heard[i][2:] for heard in plain.heard), d, len(rows))
        count += int(rebuilt(found, rows, 1e-5).sum())
        order = np.linalg.norm(rows[:, None] - found[None], axis=2).argmin(1)
        slopes = np.linalg.lstsq(
            found[order].T, plain.heard[0][i][2:][FRONT : FRONT + d].numpy(), rcond=None
        )[0]
        assert ((slopes < 0) == (own.target.numpy() == 1)).all()  # at x = 0 the slope is 1/2 - label
        hidden = [torch.ldexp(heard[i][3:].double(), torch.tensor(-40)) for heard in secure.heard]
        lost += int(rebuilt(two_hessians(*hidden, d, d), rows, 0.1).sum())
        for heard in secure.heard:  # least squares, too: no combination of what is heard is near the gradient
            assert abs(np.corrcoef(heard[i][3:].double(), plain.heard[0][i][2:])[0, 1]) < 0.2
    assert count == 448
    assert lost == 0
    every = np.concatenate([own.features.numpy() for own in demo.rows])
    told = [torch.ldexp(total[3:].double(), torch.tensor(-40)) for total in totals]
    assert not rebuilt(two_hessians(*told, d, d), every, 0.1).any()  # what secure sums do tell


def toy(size: float = 1.0) -> tuple[DampedNewton, list[Shard]]:
    random = np.random.default_rng(4)
    ones = torch.ones(4, dtype=torch.float64)
    method = DampedNewton(Objective(ones, Units(ones, 0 * ones), 0.1), Squared() if size > 1 else Logistic())
    rows = []
    for _ in range(5):
        x = random.normal(size=(9, 4))
        y = size * x.sum(1) if size > 1 else (x.sum(1) + random.normal(size=9) > 0) * 1.0
        rows.append(shard(x, y, method.loss))
    return method, rows


def test_overflow() -> None:
    """One peer's numbers are too large: all learn that, nobody whose, and all take fewer places."""
    method, rows = toy(size=3e3)  # the squared labels of one peer exceed 2^22 / 5
    peers, plain = Peers(method, rows), Peers(method, rows, secure=False)
    total = peers.sum()
    flags, widest = int(total[0]), int(peers.heard[0][0].abs().max())
    assert 1 <= flags <= 5
    assert widest > 2**55  # nobody sends zeros
    for _ in range(3):
        peers.sum()
    for _ in range(2):
        plain.sum()
    state = peers.states[0]
    assert state.places.item() < 40
    assert not state.voids.any()
    assert (peers.models == peers.models[0]).all()
    assert (peers.models - plain.models).norm() <= 1e-8 * plain.models.norm()


def test_overflow_without_end() -> None:
    """Numbers that never fit make totals nan, and all places come back."""
    method, rows = toy(size=1e200)
    peers = Peers(method, rows)
    for _ in range(6):
        peers.sum()
    assert peers.states[0].places.item() == 40
    assert peers.states[0].sums.item() == 6


def test_a_lost_message_voids_the_sum_which_is_repeated_with_the_same_values() -> None:
    method, rows = toy()
    peers, other = Peers(method, rows), Peers(method, rows)
    for each in (peers, other):
        each.sum()
        each.sum()
    before, whole = peers.models, other.sum()
    lost = peers.sum(lambda rows: sum(rows[1:]))  # type: ignore[arg-type, return-value]
    assert (peers.models == before).all()
    assert all(state.voids.item() == 1 for state in peers.states)
    again = peers.sum()
    assert torch.equal(again, whole)  # the same values
    for first, second in zip(peers.heard[2], peers.heard[3], strict=True):
        assert (first != second).all()  # under other masks
    assert (lost[3:] != whole[3:]).all()
    assert torch.equal(peers.models, other.models)


def test_a_parent_that_lies() -> None:
    """A claim that a child was lost is a void sum; different totals for different peers are found, and averaged."""
    method, rows = toy()
    peers = Peers(method, rows)
    peers.sum()
    for _ in range(2):
        peers.sum(lambda rows: sum(rows[:-1]) + 1)  # type: ignore[arg-type, return-value]
    assert all(state.voids.item() == 2 for state in peers.states)
    peers.sum()
    inner = peers.states[0].inner
    peers.states[0] = peers.states[0]._replace(inner=inner._replace(x=inner.x + 1e-3))
    for _ in range(9):
        peers.sum()
    assert all(state.repairs.item() == 1 for state in peers.states)
    assert (peers.models == peers.models[0]).all()


def test_the_demo_by_secure_sums(demo: Summed, tmp_path: Path) -> None:
    """At most 13 sums, and 1e-10 of the optimum; the rows bear no more sums."""
    events = list(simulate(load(DEMO, ["privacy.sums=secure"]), tmp_path / "run"))
    summary = events[-1].summary  # type: ignore[union-attr]
    assert summary["stopped"] == "tolerance"
    assert summary["rounds"] <= 13 * demo.exchanges
    assert summary["distance_to_optimum"] <= 1e-10
    assert demo.allowance // (5 + 31 * 34 // 2) == 12
    forever = Summed(demo.method, demo.rows, 16, 1, demo.shift, demo.carrier, 2000)
    state = forever.init(torch.zeros(16, 31, dtype=torch.float64))
    for _ in range(3):
        state = forever.round(state, torch.zeros_like, lambda v: v.sum(0, keepdim=True).expand(16, -1))
    with pytest.raises(Spent, match=r"1,596 numbers are known, and the rows bear 2,000"):
        forever.round(state, torch.zeros_like, lambda v: v)


def test_a_dummy_of_one_site_is_that_sites_data() -> None:
    """Why columns that one peer alone has are refused: the total is its own sum."""
    method, rows = toy()
    for i, own in enumerate(rows):
        own.features[:, 3] = 1.0 * (i == 2)
    total = Peers(method, rows).sum()
    hessian = unpacked(torch.ldexp(total[3:].double(), torch.tensor(-40))[FRONT + 4 :], 4)
    alone = rows[2].features.sum(0) / 4  # at x = 0 each row weighs 1/4
    assert torch.allclose(hessian[3], alone, atol=1e-11)


def test_targets_of_any_size(tmp_path: Path) -> None:
    """Targets of 1e9 with a spread of 1e8: the model is that of the pooled rows, although sums have 40 places."""
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 3))
    y = 1e9 + 1e8 * (x.sum(1) + random.normal(size=200))
    np.savetxt(
        tmp_path / "rows.csv",
        np.column_stack((x, y)),
        delimiter=",",
        header="a,b,c,y",
        comments="",
        fmt="%.17g",
    )
    raw = settings(
        privacy__sums="secure", reference=True, data__source=str(tmp_path / "rows.csv"), data__target="y", stop__tolerance=1e-8,
        data__partition={"scheme": "iid"}, model__kind="linear", algorithm__kind="newton", stop__rounds=300,
    )  # fmt: skip
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    assert summary["stopped"] == "tolerance"
    assert summary["distance_to_optimum"] <= 1e-9
    assert summary["rounds"] <= 2 * 7
