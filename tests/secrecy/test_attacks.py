"""What a member can find out from totals where a rule is left out: each attack works, and the rule is in force."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from runs import settings
from scipy.optimize import least_squares
from scipy.special import expit
from secret_peers import FRONT, Peers, keyed, two_hessians
from sklearn.datasets import load_breast_cancer

from gossipfl.algorithms import Objective, Units, leaves, rebuilt
from gossipfl.algorithms.sums import DampedNewton
from gossipfl.config.file import parse
from gossipfl.errors import BadData, Incompatible
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.learning.train import train
from gossipfl.experiment.study.make import study
from gossipfl.models.losses import Logistic, Loss, SquaredHinge
from gossipfl.models.shard import shard, unpacked
from gossipfl.secrecy import fixed, masks
from gossipfl.secrecy.disclosure import DOMINATES, Held, OneSum
from gossipfl.secrecy.fixed import PLACES
from gossipfl.secrecy.partners import pods
from gossipfl.secrecy.start import Identity, Start

Array = np.ndarray[Any, np.dtype[np.float64]]


def method(d: int, loss: Loss, l2: float) -> DampedNewton:
    ones = torch.ones(d, dtype=torch.float64)
    penalised = ones.clone()
    penalised[-1] = 0
    return DampedNewton(Objective(penalised, Units(ones, 0 * ones), l2), loss, 1e-8)


class Told:
    """What all peers know of rows (n, d), the intercept last, after Newton's method: for each sum its point x (T, d), the
    gradient (T, d), the Hessian (T, d, d) and the curvature lent to each row (T,), as integers have them."""

    def __init__(self, rows: Array, labels: Array, loss: Loss, l2: float) -> None:
        d, own = rows.shape[1], shard(rows, labels.astype(float), loss)
        newton = method(d, loss, l2)
        s, found = newton.init(torch.zeros(d, dtype=torch.float64)), []
        while not s.finished:
            total = torch.ldexp(
                torch.ldexp(newton.contribute(s, own), torch.tensor(PLACES)).round(), torch.tensor(-PLACES)
            )
            if not s.searching:
                hessian = unpacked(total[FRONT + d :], d)
                found.append((s.x + s.t * s.p, total[FRONT : FRONT + d], hessian, s.lent))
            s = newton.update(s, total)
        self.x, self.g, self.h, self.lent = (torch.stack(each).numpy() for each in zip(*found, strict=True))


def breast_cancer() -> tuple[Array, Array]:
    x, y = load_breast_cancer(return_X_y=True)
    return np.column_stack(((x - x.mean(0)) / x.std(0), np.ones(len(x)))), y


def nearest(found: Array, rows: Array) -> float:
    """The relative distance of a row that was found to the nearest one."""
    return float((np.linalg.norm(rows - found, axis=1) / np.linalg.norm(rows, axis=1)).min())


def a_study(rows: int, levels: int) -> tuple[Array, Array]:
    """Rows of 4 numbers, 2 dummies that the first ones have, and an intercept."""
    random = np.random.default_rng(0)
    numbers = random.normal(size=(rows, 4))
    dummies = np.zeros((rows, 2))
    dummies[:levels, 0] = dummies[levels - 1 : 40, 1] = 1  # one row has both
    labels = numbers.sum(1) + random.normal(size=rows) > 0
    return np.column_stack((numbers, dummies, np.ones(rows))), labels


def test_a_loss_in_pieces_tells_a_row_that_passes_from_one_to_another() -> None:
    """Between two sums one row of 569 gets curvature, or loses it: the difference of the totals is that row."""
    rows, labels = breast_cancer()
    told = Told(rows, labels, SquaredHinge(), 1e-2)
    curved = told.h - told.lent[:, None, None] * told.h[0] / (1 + told.lent[0])
    found = []
    for change in np.diff(curved, axis=0):
        values, vectors = np.linalg.eigh(change)
        if (abs(values) > 1e-7 * rows.shape[0]).sum() == 1:
            row = vectors[:, abs(values).argmax()]
            found.append(nearest(row / row[-1], rows))
    assert min(found) <= 1e-9
    with pytest.raises(Incompatible, match="a discontinuous second derivative"):
        study(parse(settings(privacy__sums="secure", algorithm__kind="auto", model__kind="squared-svm")))


def test_a_level_that_few_rows_have_tells_them() -> None:
    """A dummy's row of the Hessian is a sum over the rows that have it: three follow from eight sums by least squares."""
    rows, labels = a_study(300, 3)
    told = Told(rows, labels, Logistic(), 1e-3)
    sums = told.h[:, 4][:, [0, 1, 2, 3, 5, 6]]

    def full(guess: Array) -> Array:
        return np.column_stack((guess.reshape(3, 4), np.ones(3), [0, 0, 1], np.ones(3)))

    def misfit(guess: Array) -> Array:
        r = full(guess)
        w = expit(r @ told.x.T)
        return np.asarray(((w * (1 - w)).T @ r)[:, [0, 1, 2, 3, 5, 6]] - sums).ravel()

    random = np.random.default_rng(1)
    fits = (
        least_squares(misfit, random.normal(size=12), method="lm", xtol=1e-15, ftol=1e-15) for _ in range(40)
    )
    best = full(next(fit.x for fit in fits if fit.cost < 1e-18))
    assert max(nearest(row, rows[:3]) for row in best) <= 1e-6
    cells = np.array([299.0] * 4 + [3, 38])
    assert OneSum(7, 1, True, False, "abcdef").borne(Held(300, cells)) < 2  # refused
    assert OneSum(7, 1, False, False, "abcdef").borne(Held(300, cells)) > 10


def test_two_levels_that_meet_in_one_row_tell_it() -> None:
    """Each sum tells its weight and so, but for its sign, its margin: with more sums than parameters, the row."""
    rows, labels = a_study(300, 3)
    told = Told(rows, labels, Logistic(), 1e-3)
    assert len(told.x) >= 7
    weight = told.h[:, 4, 5]
    margin = np.log((1 - 2 * weight + np.sqrt(np.clip(1 - 4 * weight, 0, None))) / (2 * weight))
    best = np.inf
    for signs in itertools.product((1, -1), repeat=len(margin) - 1):
        known = told.x[1:, 4:].sum(1)  # it has both levels, and the intercept
        found, left, *_ = np.linalg.lstsq(told.x[1:, :4], np.array(signs) * margin[1:] - known, rcond=None)
        if left.size and left[0] < best:
            best, row = left[0], found
    assert nearest(np.append(row, [1, 1, 1]), rows[2:3]) <= 1e-4
    cells = np.array([299.0] * 4 + [30, 40])
    assert OneSum(7, 1, True, False, "abcdef").borne(Held(300, cells)) == 3.5  # half of the parameters
    assert (
        OneSum(7, 1, True, False, "abcdee").borne(Held(300, cells)) > 10
    )  # levels of one column do not meet


def test_of_rows_of_few_kinds_the_totals_tell_how_many_there_are_of_each() -> None:
    """Five columns of 0 and 1: the numbers of all 32 kinds of rows follow from three of Newton's sums."""
    random = np.random.default_rng(0)
    rows = np.column_stack(((random.random((200, 5)) < 0.3) * 1.0, np.ones(200)))
    labels = rows[:, 0] + random.normal(size=200) > 0.5
    told = Told(rows, labels, Logistic(), 1e-2)
    kinds = np.column_stack((list(itertools.product((0.0, 1.0), repeat=5)), np.ones(32)))
    upper, weights = np.triu_indices(6), expit(kinds @ told.x[:3].T)
    weights *= 1 - weights
    each = [(kinds[:, upper[0]] * kinds[:, upper[1]] * weights[:, [t]]).T for t in range(3)]
    found = np.linalg.lstsq(np.concatenate(each), np.concatenate([h[upper] for h in told.h[:3]]), rcond=None)[
        0
    ]
    truth = (rows[:, None] == kinds).all(2).sum(0)
    assert (np.rint(found) == truth).all()
    assert 1 in truth
    held = Held(200, np.full(5, 60.0))
    assert OneSum(6, 1, True, False, "abcde", 32).borne(held) < 2  # refused


def test_two_columns_that_differ_in_one_row_tell_it() -> None:
    """The difference of their rows of the first Hessian is a multiple of that row. Such columns are refused in pairs."""
    rows, labels = a_study(300, 3)
    rows[:, 5] = rows[:, 4] = np.arange(300) % 2
    rows[7, 5] = 0.0
    told = Told(rows, labels, Logistic(), 1e-3)
    found = told.h[0, 4] - told.h[0, 5]
    assert nearest(found / found[-1], rows[7:8]) <= 1e-9


def test_least_squares_finds_rows_of_one_peer_in_plain_sums_and_none_in_secure_ones() -> None:
    """More rows than parameters: what they must be follows from what a peer says at each point, if there are no masks."""
    random = np.random.default_rng(3)
    each = [np.column_stack((random.normal(size=(6, 2)), np.ones(6))) for _ in range(4)]
    labels = [x[:, 0] + random.normal(size=6) > 0 for x in each]
    newton = method(3, Logistic(), 0.03)
    rows = [shard(x, y.astype(float), newton.loss) for x, y in zip(each, labels, strict=True)]
    found = {}
    for secure in (False, True):
        peers = Peers(newton, rows, secure)
        points, heard = [], []
        for _ in range(6):
            state = peers.states[0].inner
            points.append((state.x + state.t * state.p)[0].numpy())
            peers.sum()
            said = peers.heard[-1][0]
            heard.append(np.ldexp(said[3:].numpy().astype(float), -PLACES) if secure else said[2:].numpy())
        found[secure] = fitted(np.stack(points), np.stack(heard)[:, FRONT + 3 :], 6)
    assert max(nearest(row, each[0]) for row in found[False]) <= 1e-4
    assert min(nearest(row, each[0]) for row in found[True]) > 1e-2


def fitted(points: Array, hessians: Array, n: int) -> Array:
    """The rows (n, d), the intercept last, that come nearest to these triangles of Hessians at points (T, d)."""
    d = points.shape[1]
    places = np.triu_indices(d)

    def misfit(guess: Array) -> Array:
        r = np.column_stack((guess.reshape(n, d - 1), np.ones(n)))
        w = expit(r @ points.T)
        products = (r[:, :, None] * r[:, None])[:, *places]
        return np.asarray((w * (1 - w)).T @ products - hessians).ravel()

    random = np.random.default_rng(1)
    fits = [
        least_squares(misfit, random.normal(size=n * (d - 1)), method="lm", max_nfev=400) for _ in range(8)
    ]
    return np.column_stack((min(fits, key=lambda fit: fit.cost).x.reshape(n, d - 1), np.ones(n)))


def test_a_key_stream_that_is_used_twice_tells_how_a_peers_numbers_changed() -> None:
    """Why a repeated sum and a new start have other masks: the difference of two messages is otherwise free of them."""
    random = np.random.default_rng(3)
    first, second = random.normal(size=(2, 20))
    twice = [fixed.fixed(v, PLACES, 5) + keyed(5)[2].words(7, 0, 22) for v in (first, second)]
    told = np.ldexp((twice[0] - twice[1]).view(np.int64)[2:].astype(float), -PLACES)
    assert np.allclose(told, first - second, atol=1e-11)
    mask = keyed(5)[2]
    fresh = [
        fixed.fixed(v, PLACES, 5) + mask.words(7, attempt, 22) for attempt, v in enumerate((first, second))
    ]
    hidden = (fresh[0] - fresh[1]).view(np.int64)[2:]
    assert np.median(abs(hidden)) > 2**60


def test_a_restarted_peer_never_repeats_a_key_and_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over starts of the same peer in the same epoch and in later ones, and over sums, attempts and widths."""
    used = list[tuple[bytes, bytes]]()
    cipher = masks.ChaCha20

    def noted(key: bytes, nonce: bytes) -> ChaCha20:
        used.append((key, nonce))
        return cipher(key, nonce)

    monkeypatch.setattr(masks, "ChaCha20", noted)
    names = ["bern", "lyon", "oslo"]
    secrets = {name: Ed25519PrivateKey.generate() for name in names}
    public = {name: [key.public_key().public_bytes_raw()] for name, key in secrets.items()}
    near = {name: {*names} - {name} for name in names}
    for epoch in (0, 0, 1, 2):  # the others draw new keys, too, when one begins again
        starts = [
            Start(b"12345678", name, epoch, Identity(secrets[name].private_bytes_raw(), public))
            for name in names
        ]
        mask, _ = starts[0].masks([start.text for start in starts], near)
        for cycle, attempt in ((0, 0), (2**56, 0), (2**56, 1), (2**56 + 1, 0), (2**57, 0)):
            if cycle % 2:
                mask.residues(cycle, attempt, 3)
            else:
                mask.words(cycle, attempt, 9)
    assert len(used) == 4 * 5 * 2
    assert len({*used}) == len(used)


@pytest.mark.parametrize("on_leave", ["disclose", "pods"])
def test_differences_over_cohorts_tell_one_peer_or_nobody(on_leave: str) -> None:
    """A total without one peer, taken away from that with it, is that peer's: all its rows. A pod's hides each of its peers."""
    random = np.random.default_rng(2)
    newton = method(5, Logistic(), 0.1)
    rows = [np.column_stack((random.normal(size=(4, 4)), np.ones(4))) for _ in range(6)]
    shards = [shard(x, random.integers(0, 2, 4).astype(float), newton.loss) for x in rows]
    names = [str(i) for i in range(6)]
    left = {"5"} if on_leave == "disclose" else {*next(pod for pod in pods(names, 3) if "5" in pod)}
    told = []
    for at in (torch.zeros(5, dtype=torch.float64), torch.from_numpy(random.normal(size=5))):
        totals = []
        for cohort in (names, [name for name in names if name not in left]):
            peers = Peers(newton, [shards[int(name)] for name in cohort])
            peers.states = [s._replace(inner=s.inner._replace(x=at[None])) for s in peers.states]
            totals.append(torch.ldexp(peers.sum()[3:].double(), torch.tensor(-PLACES)))
        told.append(totals[0] - totals[1])
    gone = np.concatenate([rows[int(name)] for name in left])
    near = [
        nearest(row, gone) for row in two_hessians(told[0], told[1], 5, 4 if on_leave == "disclose" else 5)
    ]
    if on_leave == "disclose":
        assert max(near) <= 1e-6
    else:
        assert min(near) > 0.05


def test_a_member_with_most_rows_subtracts_them(tmp_path: Path) -> None:
    """What is left is the total of two small peers, and tells their rows: so the rows without any one peer's must be enough."""
    random = np.random.default_rng(2)
    rows = [np.column_stack((random.normal(size=(n, 11)), np.ones(n))) for n in (300, 5, 5)]
    labels = [random.integers(0, 2, len(x)).astype(float) for x in rows]
    newton = method(12, Logistic(), 0.1)
    shards = [shard(x, y, newton.loss) for x, y in zip(rows, labels, strict=True)]
    peers, rest = Peers(newton, shards), []
    for _ in range(2):
        own = newton.contribute(_one(peers.states[0].inner), shards[0])
        rest.append(torch.ldexp(peers.sum()[3:].double(), torch.tensor(-PLACES)) - own)
    small = np.concatenate(rows[1:])
    found = two_hessians(rest[0], rest[1], 12, 10)
    assert max(nearest(row, found) for row in small) <= 1e-5
    for name, x, y in zip("abc", rows, labels, strict=True):
        table = np.column_stack((x[:, :-1], y))
        np.savetxt(
            tmp_path / f"{name}.csv", table, delimiter=",", comments="", header=",".join("abcdefghijky")
        )
    (tmp_path / "links.edgelist").write_text("a b\nb c\n")
    raw = settings(
        privacy__sums="secure", algorithm__kind="newton", topology__graph=str(tmp_path / "links.edgelist"), data__test=0.0,
        data__source=str(tmp_path / "*.csv"), data__target="y",
    )  # fmt: skip
    del raw["data"]["partition"]
    made = study(parse(raw))
    with pytest.raises(BadData, match="310 training rows and 12 parameters do not bear 2 sums"):
        train(made, tables(made))


def test_a_root_that_lies_can_move_the_model_to_where_a_total_tells_one_row() -> None:
    """What is not claimed: by false totals a member chooses the points, and finds the row that is farthest along a column."""
    random = np.random.default_rng(7)
    newton = method(4, Logistic(), 0.1)
    rows = [np.column_stack((random.normal(size=(30, 3)), np.ones(30))) for _ in range(5)]
    peers = Peers(newton, [shard(x, random.integers(0, 2, 30).astype(float), newton.loss) for x in rows])
    gradient = torch.zeros(4, dtype=torch.float64)

    def lie(heard: list[torch.Tensor], to: torch.Tensor) -> torch.Tensor:
        """Read the true total, and tell one after which the next step ends at `to`."""
        total = sum(heard[1:], heard[0])
        gradient[:] = torch.ldexp(total[3 + FRONT : 7 + FRONT].double(), torch.tensor(-PLACES))
        s = _one(peers.states[0].inner)
        x = s.x + s.t * s.p
        bent = torch.eye(4, dtype=torch.float64) + torch.diag(newton.objective.ridge)
        slopes = -bent @ (to - x) - newton.objective.ridge * x
        f = -1e4 * len(peers.heard) - newton.objective.penalty(x)
        upper = torch.eye(4, dtype=torch.float64)[*torch.triu_indices(4, 4)]
        false = torch.cat((torch.tensor([1.0, f, 1.0, 1.0, 1.0], dtype=torch.float64), slopes, upper))
        return torch.cat((total[:3], torch.ldexp(false, torch.tensor(PLACES)).round().long()))

    def beyond(limit: float) -> torch.Tensor:
        """The true gradient where all rows whose first number is above the limit have the slope 1 - y, and others -y."""
        peers.sum(lambda heard: lie(heard, 400 * torch.tensor([1.0, 0.0, 0.0, -limit], dtype=torch.float64)))
        peers.sum(lambda heard: lie(heard, torch.zeros(4, dtype=torch.float64)))
        return gradient.clone()

    nobody, low, high = beyond(8.0), 0.0, 8.0
    for _ in range(12):
        limit = (low + high) / 2
        found = beyond(limit) - nobody  # the sum of the rows beyond
        if abs(float(found[3]) - 1) < 1e-3:
            break
        low, high = (limit, high) if found[3] > 1 else (low, limit)
    assert nearest(found.numpy(), np.concatenate(rows)) <= 1e-2


def _one(record: Any) -> Any:
    return rebuilt({name: tensor[0] for name, tensor in leaves(record).items()}, record)


def test_a_number_for_each_of_three_sites_tells_a_member_the_sums_of_both_others() -> None:
    """A column with the same value in all rows of a site: what it weighs, and what the intercept does, are two equations."""
    random = np.random.default_rng(5)
    rows = [
        np.column_stack((random.normal(size=(40, 3)), np.full(40, site), np.ones(40)))
        for site in (1.0, 2.0, 4.0)
    ]
    told = Told(np.concatenate(rows), random.integers(0, 2, 120) > 0, Logistic(), 0.1)
    sums = [x[:, :3].sum(0) / 4 for x in rows]  # at 0 each row weighs 1/4
    rest, weighed = told.h[0, 4, :3] - sums[0], told.h[0, 3, :3] - sums[0]
    found = np.linalg.solve([[1.0, 1.0], [2.0, 4.0]], np.stack((rest, weighed)))
    np.testing.assert_allclose(found, sums[1:], atol=1e-9)


def test_a_column_that_one_site_alone_measures_tells_its_sums() -> None:
    """Others have the mean of its values in place of theirs: about that mean the column is 0 there."""
    random = np.random.default_rng(5)
    own = np.column_stack((random.normal(size=(40, 3)), np.ones(40)))
    other = np.column_stack((random.normal(size=(200, 2)), np.full(200, own[:, 2].mean()), np.ones(200)))
    told = Told(np.concatenate((other, own)), random.integers(0, 2, 240) > 0, Logistic(), 0.1)
    found = told.h[0, 2] - own[:, 2].mean() * told.h[0, 3]  # the mean is the value that all agree on
    np.testing.assert_allclose(found, (own[:, 2] - own[:, 2].mean()) @ own / 4, atol=1e-9)


def test_a_row_with_nearly_all_of_a_columns_spread_is_nearly_read_off() -> None:
    random = np.random.default_rng(5)
    rows = np.column_stack((random.normal(size=(240, 4)), np.ones(240)))
    rows[17, 0] = 1e4
    rows[:, 0] = (rows[:, 0] - rows[:, 0].mean()) / rows[:, 0].std()
    assert (rows[17, 0] ** 2) / 240 > DOMINATES
    told = Told(rows, random.integers(0, 2, 240) > 0, Logistic(), 0.1)
    found = 4 * told.h[0, 0, 1:4] / np.sqrt(4 * told.h[0, 0, 0])  # at 0 each row weighs 1/4
    assert np.linalg.norm(found - rows[17, 1:4]) <= 0.1 * np.linalg.norm(rows[17, 1:4])


def test_a_clustered_covariance_of_three_sites_tells_a_member_the_scores_of_both_others() -> None:
    """Without a penalty the scores s1, s2, s3 sum to 0 at the optimum, and s1 s1' + s2 s2' + s3 s3' leaves only a sign open.

    No such sum is taken: every sum is over rows (`test_every_sum_is_over_rows`), and the square of a site's score is not.
    """
    random = np.random.default_rng(5)
    x = np.column_stack((random.normal(size=(120, 4)), np.ones(120)))
    y = (x[:, 0] + random.normal(size=120) > 0) * 1.0
    w = Told(x, y, Logistic(), 0.0).x[-1]
    scores = [r.T @ (v - expit(r @ w)) for r, v in zip(np.split(x, 3), np.split(y, 3), strict=True)]
    sizes, vectors = np.linalg.eigh(
        sum(np.outer(s, s) for s in scores) - 1.5 * np.outer(scores[0], scores[0])
    )
    half = np.sqrt(sizes[-1] / 2) * vectors[:, -1]
    found = -scores[0] / 2 + half, -scores[0] / 2 - half
    for s in scores[1:]:
        assert min(np.linalg.norm(one - s) for one in found) <= 1e-6 * np.linalg.norm(s)
    whole = scores[0] + scores[1]
    squares = np.outer(scores[0], scores[0]) + np.outer(scores[1], scores[1])
    assert not np.allclose(np.outer(whole, whole), squares, rtol=0.1)
