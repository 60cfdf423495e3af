"""Integers, masks, keys: what nobody may learn, and what everybody must get."""

from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest
from secret_peers import keyed

from gossipfl import topology
from gossipfl.algorithms import Consensus
from gossipfl.errors import BadData, NetworkError
from gossipfl.mixing import Mixing, Sum
from gossipfl.secrecy import fixed, wide
from gossipfl.secrecy.exact import ExactSums
from gossipfl.secrecy.masks import drawn
from gossipfl.secrecy.partners import partners, pods
from gossipfl.secrecy.roster import Announcement, Reader, announce, roster
from gossipfl.secrecy.wide import BITS
from gossipfl.simulator import Simulator
from gossipfl.topology import cycle, tree

STUDY = b"12345678"
GRAPHS = [
    "ring:16", "torus:4x4", "hypercube:4", "star:50", "regular:64:4", "er:50:0.12", "ba:50:2", "ws:100:4:0.1", "line:50",
]  # fmt: skip


@pytest.mark.parametrize("spec", [*GRAPHS, "barbell"])
def test_integers_are_exact_on_all_graphs(spec: str) -> None:
    """Masked words along the tree: the exact total of the rounded numbers, at all peers."""
    graph = nx.barbell_graph(10, 5) if spec == "barbell" else topology.load(spec, seed=3)
    made, n = tree(graph), len(graph)
    numbers = np.random.default_rng(1).normal(size=(n, 5)) * 10.0 ** np.arange(-6, 4, 2)
    hidden = keyed(n)
    rows = [fixed.fixed(v, fixed.PLACES, n, (7,)) for v in numbers]
    rows = [row + mask.words(3, 1, len(row)) for row, mask in zip(rows, hidden, strict=True)]
    x = torch.from_numpy(np.stack(rows).view(np.int64))
    simulator = Simulator(Consensus(), None, cycle(made.rounds()), Mixing(Sum()))
    run = simulator.init(x)
    for _ in range(made.exchanges):
        run = simulator.step(run)
    totals = run.state.x.numpy()
    assert (totals == totals[0]).all()
    told = fixed.total(totals[0].view(np.uint64), fixed.PLACES, n, 1)
    assert told.complete
    assert not told.overflowed
    assert told.exact == (7 * n,)
    exact = np.rint(np.ldexp(numbers, fixed.PLACES)).astype(np.int64).sum(0)
    assert (told.numbers == np.ldexp(exact.astype(float), -fixed.PLACES)).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.integers(1, 9), st.booleans())
def test_fixed_point(numbers: list[float], peers: int, large: bool) -> None:
    """The error is half a unit for each peer; a number that is too large shows nothing but the flag."""
    v = np.array(numbers)
    rows = [fixed.fixed(v, 32, peers) for _ in range(peers)]
    told = fixed.total(sum(rows[1:], rows[0]), 32, peers)
    assert told.complete
    assert not told.overflowed
    assert (abs(told.numbers - peers * v) <= peers * 2.0**-33 + 1e-15 * abs(peers * v)).all()
    other = np.full_like(v, -1e9 if large else np.nan)
    hidden = fixed.fixed(np.append(other, 1.0), 40, peers)
    assert hidden.tolist() == [1, 1, *[0] * (len(v) + 1)]
    assert not fixed.total(rows[0], 32, peers + 1).complete


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 9))
def test_masks_cancel_and_a_missing_peer_voids(seed: int, peers: int) -> None:
    values = np.random.default_rng(seed).normal(size=(peers, 4))
    hidden = keyed(peers)
    rows = [fixed.fixed(v, 40, peers) for v in values]
    masked = [row + mask.words(seed, 0, 6) for row, mask in zip(rows, hidden, strict=True)]
    assert (sum(masked) == sum(rows)).all()
    assert not fixed.total(sum(masked[1:]), 40, peers).complete
    assert all((one != other).all() for one, other in zip(masked, rows, strict=True))
    big = [wide.wide([int(v * 2**60) << 60 for v in value], peers) for value in values]
    streams = [mask.residues(seed, 1, 6) for mask in hidden]
    hid = [
        wide.split((v + m) % wide.MODULUS for v, m in zip(row, mask, strict=True))
        for row, mask in zip(big, streams, strict=True)
    ]
    told = wide.wide_total(sum(hid), peers)
    assert told.complete
    assert told.integers == tuple(sum(int(v * 2**60) << 60 for v in column) for column in values.T)


def test_masked_words_look_like_noise() -> None:
    """Chi-square of the bytes of what one peer sends, with fixed keys: nothing of its numbers shows."""
    mask = keyed(16)[0]
    numbers = np.ones(20000) / 3
    row = fixed.fixed(numbers, 40, 16) + mask.words(0, 0, 20002)
    for part in (row.view(np.uint8), row.view(np.uint8)[7::8], row.view(np.uint8)[0::8]):
        assert chisquare(np.bincount(part, minlength=256)).pvalue >= 1e-6
    residues = [(wide.scaled(1 / 3) + m) % wide.MODULUS for m in mask.residues(0, 1, 4000)]
    parts = wide.split(residues).astype(np.uint32).view(np.uint8)
    assert chisquare(np.bincount(parts, minlength=256)).pvalue >= 1e-6
    plain = fixed.fixed(numbers, 40, 16).view(np.uint8)
    assert chisquare(np.bincount(plain, minlength=256)).pvalue < 1e-6  # the test can tell


def test_no_key_stream_twice() -> None:
    mask, again = keyed(3)[0], keyed(3)[0]
    first = mask.words(0, 0, 8)
    assert (first == again.words(0, 0, 8)).all()  # keys are fixed in this test: the guard is what counts
    for used in ((0, 0), (-1, 5)):
        with pytest.raises(RuntimeError, match="were drawn before"):
            mask.words(*used, 8)
    seen = {first.tobytes(), mask.words(0, 1, 8).tobytes(), mask.words(1, 0, 8).tobytes()}
    seen |= {mask.words(2**56, 0, 8).tobytes(), keyed(3, b"another roster")[0].words(0, 0, 8).tobytes()}
    assert len(seen) == 5
    with pytest.raises(RuntimeError):
        mask.residues(2**56, 0, 1)
    assert drawn() != drawn()


@pytest.mark.parametrize("peers", [3, 64, 65, 200])
def test_partners(peers: int) -> None:
    names = [f"p{i}" for i in range(peers)]
    near = {name: {names[i - 1], names[(i + 1) % peers]} for i, name in enumerate(names)}
    found = partners(names, near, b"seed")
    assert found == partners(names, near, b"seed")
    for name, others in found.items():
        assert name not in others
        assert all(name in found[other] for other in others)
        assert near[name] <= others
        assert len(others) == peers - 1 if peers <= 64 else len(others) >= 2 * np.log2(peers)
    assert peers <= 64 or found != partners(names, near, b"other")


def test_whoever_leaves_in_pods_is_hidden_in_its_pod() -> None:
    """Cohorts are unions of pods: no combination of their totals is one of fewer peers than a pod has."""
    random = np.random.default_rng(5)
    for _ in range(200):
        peers, size = int(random.integers(6, 40)), int(random.integers(3, 5))
        groups = pods([f"p{i}" for i in range(peers)], size)
        assert [name for pod in groups for name in pod] == [f"p{i}" for i in range(peers)]
        assert min(map(len, groups)) >= min(size, peers)
        place = np.repeat(np.arange(len(groups)), [*map(len, groups)])
        cohorts = random.integers(0, 2, (6, len(groups)))[:, place]
        # A vector of the row space is constant on each pod, so each of its entries that is not 0 has size - 1 others.
        space = np.linalg.svd(cohorts.astype(float))[2][: np.linalg.matrix_rank(cohorts)]
        for pod in range(len(groups)):
            assert np.ptp(space[:, place == pod], axis=1).max(initial=0) <= 1e-9


def test_announcements() -> None:
    """Only what a peer has signed for this start counts; two keys of one peer stop everybody."""
    secrets = {name: Ed25519PrivateKey.from_private_bytes(bytes([i]) * 32) for i, name in enumerate("abc")}
    public = {name: [secret.public_key().public_bytes_raw()] for name, secret in secrets.items()}
    told = {
        name: announce(STUDY, name, 2, bytes([i]) * 32, secret.private_bytes_raw())
        for i, (name, secret) in enumerate(secrets.items())
    }
    read = Reader(STUDY, 2, public)
    assert [read(one.text) for one in told.values()] == [*told.values()]
    whole = roster([*told.values()], ["a", "b", "c"])
    assert whole.keys == {name: one.key for name, one in told.items()}
    other = announce(STUDY, "a", 2, b"k" * 32, secrets["a"].private_bytes_raw())
    assert roster([other, told["b"], told["c"]], ["a", "b", "c"]).hash != whole.hash
    forged = [
        announce(STUDY, "a", 2, b"k" * 32, secrets["b"].private_bytes_raw()),
        announce(STUDY, "a", 1, b"k" * 32, secrets["a"].private_bytes_raw()),
        announce(b"another!", "a", 2, b"k" * 32, secrets["a"].private_bytes_raw()),
        announce(STUDY, "d", 2, b"k" * 32, secrets["a"].private_bytes_raw()),
        Announcement("a", 2, b"short", b""),
    ]
    for text in (*(one.text for one in forged), " " + told["a"].text, "[]", "nonsense", '["a",2,"%","ä"]'):
        with pytest.raises(ValueError, match="announcement"):
            read(text)
    with pytest.raises(NetworkError, match="two keys"):
        roster([*told.values(), other], ["a", "b", "c"])
    with pytest.raises(NetworkError, match="from d"):
        roster([*told.values()], ["a", "b", "c", "d"])
    copied = announce(STUDY, "b", 2, told["a"].key, secrets["b"].private_bytes_raw())
    with pytest.raises(NetworkError, match="same key"):
        roster([told["a"], copied, told["c"]], ["a", "b", "c"])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_moments_are_exact(seed: int) -> None:
    """Columns of 1e6 beside 1e-9, and labels of 1e9 with a spread of 1, by integers alone."""
    random = np.random.default_rng(seed)
    size = np.array([1e6, 1e-9, 1.0, 3.0])
    parts = [random.normal(size=(m, 4)) * size + np.array([0, 0, 1e9, 0]) for m in random.integers(5, 700, 3)]
    for part in parts:
        part[:, 3] = 0.1
    rows = [wide.split(wide.wide(wide.moments(part), 3)) for part in parts]
    told = wide.wide_total(sum(rows), 3)
    n, mean, variance = wide.variances(told.integers)
    whole = np.concatenate(parts)
    assert told.complete
    assert n == len(whole)
    assert np.allclose(mean, whole.mean(0), rtol=1e-12, atol=1e-12 * size)
    assert variance[3] == 0
    for j in range(3):
        column = [Fraction(v) for v in whole[:, j].tolist()]
        truth = sum(v * v for v in column) / n - (sum(column) / n) ** 2
        assert variance[j] == pytest.approx(float(truth), rel=1e-9)


def test_a_peer_with_numbers_that_are_too_large_shows_nothing() -> None:
    """Not even the total of the others, which zeros would show: the agreement ends, and all numbers are noise."""
    sums = [ExactSums(3, mask) for mask in keyed(3)]
    rows = [one.rows([one.integers([1.0, 1e300 if i == 1 else 2.0])]) for i, one in enumerate(sums)]
    total = sum(row[0] for row in rows)
    with pytest.raises(BadData, match="some peer has numbers above"):
        sums[0].read(total)
    shown = wide.joined(total.view(np.uint64))[2:]
    assert all(number >> 250 for number in shown)  # chance of less: 2^-70
    assert [len(one.rows([one.integers([1.0])])[0]) for one in sums] == [30] * 3
    sums[0].conclude()
    assert len(sums[0].rows([[1]])[0]) == 12


def test_wide_numbers() -> None:
    for number in (0.0, -1e-9, 1e40, -1e12 - 0.5, 1e-30):
        assert wide.unscaled(wide.scaled(number)) == pytest.approx(number, rel=1e-12)
    assert wide.wide([1 << 318], 3) == [1, 1, 0]
    assert wide.wide_total(wide.split([1, 3, 0]), 3).overflowed


@pytest.mark.parametrize("raisers", [0, 1, 8])
def test_a_flag_tells_whether_somebody_raises_it_and_not_how_many(raisers: int) -> None:
    """The total of a raised flag is any integer, as likely as any other."""
    sums = ExactSums(8)
    rows = sums.flags([[peer < raisers] * 400 for peer in range(8)])
    told = sums.read(rows.view(np.uint64).sum(0, dtype=np.uint64).view(np.int64))
    if not raisers:
        assert set(told) == {0}
        return
    assert kstest([number / 2**BITS + 0.5 for number in told], "uniform").pvalue >= 1e-6
