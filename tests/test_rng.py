"""Random numbers as a function: the same wherever they are drawn, and random."""

from zlib import crc32

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossipfl import rng

seeds, rounds = st.integers(0, 2**63), st.integers(0, 2**62)
ROWS = np.arange(50)


@given(
    seeds, rounds, st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=20), st.integers(0, 9), st.data()
)
def test_a_row_draws_the_same_alone_and_among_many(
    seed: int, round: int, rows: list[int], width: int, data: st.DataObject
) -> None:
    together = rng.bits(seed, "batch", np.array(rows), round, width)
    assert together.shape == (len(rows), width)
    k = data.draw(st.integers(0, len(rows) - 1))
    alone = rng.bits(seed, "batch", np.array(rows[k : k + 1]), round, width + 3)
    assert np.array_equal(alone[0, :width], together[k]), "more columns change nothing either"


@given(seeds, st.integers(0, 2**40), st.integers(1, 6))
def test_a_range_of_rounds_draws_what_its_rounds_draw(seed: int, first: int, count: int) -> None:
    below = np.array([3, 1000])
    many = rng.integers(seed, "batch", np.array([4, 9]), range(first, first + count), 5, below)
    assert many.shape == (count, 2, 5)
    for k in range(count):
        assert np.array_equal(many[k], rng.integers(seed, "batch", np.array([4, 9]), first + k, 5, below))


def splitmix(z: int) -> int:
    """One output of SplitMix64 from the state z, in Python's own integers."""
    z = (z + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def test_the_hash_is_splitmix64() -> None:
    """The first outputs from the seed 1234567, as published with the generator."""
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [splitmix((1234567 + k * 0x9E3779B97F4A7C15) % 2**64) for k in range(3)] == published


@given(seeds, st.text(max_size=9), rounds, st.integers(0, 2**31 - 1), st.integers(0, 5))
def test_twin_in_plain_integers(seed: int, purpose: str, round: int, row: int, column: int) -> None:
    """Fixes the numbers: a resumed run, or a peer of a later version, draws the same numbers as before."""
    key = splitmix(splitmix(splitmix(seed) ^ crc32(purpose.encode())) ^ round)
    expected = splitmix(splitmix(key ^ row) ^ splitmix(column))
    assert int(rng.bits(seed, purpose, np.array([row]), round, column + 1)[0, column]) == expected
    assert (
        float(rng.uniform(seed, purpose, np.array([row]), round, column + 1)[0, column])
        == (expected >> 11) / 2**53
    )


@pytest.mark.parametrize("axis", ["seed", "purpose", "row", "round", "column"])
def test_uniform_along_every_axis(axis: str) -> None:
    """Chi-square over 16 cells; and draws that differ in one argument only are uncorrelated."""
    count = 4096

    def draw(k: int) -> float:
        where = {
            "seed": (k, "x", 0, 0),
            "purpose": (0, f"x{k}", 0, 0),
            "row": (0, "x", k, 0),
            "round": (0, "x", 0, k),
        }
        seed, purpose, row, round = where[axis]
        return rng.uniform(seed, purpose, np.array([row]), round, 1).item()

    numbers = (
        rng.uniform(0, "x", ROWS[:1], 0, count)[0]
        if axis == "column"
        else np.array([draw(k) for k in range(count)])
    )
    assert numbers.min() >= 0
    assert numbers.max() < 1
    cells = np.bincount((numbers * 16).astype(int), minlength=16)
    assert ((cells - count / 16) ** 2 / (count / 16)).sum() < 45  # 15 degrees of freedom: 1 in 10,000
    for lag in (1, 2, 16):
        assert abs(np.corrcoef(numbers[:-lag], numbers[lag:])[0, 1]) < 4.5 / np.sqrt(count)


def test_bits_are_fair_each() -> None:
    words = rng.bits(5, "x", ROWS, 3, 200).ravel()
    ones = [int(((words >> np.uint64(k)) & np.uint64(1)).sum()) for k in range(64)]
    assert max(abs(n - len(words) / 2) for n in ones) < 4.5 * np.sqrt(len(words)) / 2


def test_purposes_are_independent() -> None:
    a, b = (rng.uniform(0, purpose, ROWS, 0, 100).flatten() for purpose in ("batch", "matching"))
    assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / np.sqrt(5000)


@given(seeds, rounds, st.lists(st.integers(1, 2**50), min_size=1, max_size=10))
def test_integers_are_in_bounds(seed: int, round: int, bounds: list[int]) -> None:
    below = np.array(bounds)
    drawn = rng.integers(seed, "batch", np.arange(len(bounds)), round, 20, below)
    assert drawn.dtype == np.int64
    assert (drawn >= 0).all()
    assert (drawn < below[:, None]).all()


def test_integers_are_uniform() -> None:
    drawn = rng.integers(1, "batch", ROWS, 0, 200, np.full(50, 10))
    cells = np.bincount(drawn.flatten(), minlength=10)
    assert ((cells - 1000.0) ** 2 / 1000).sum() < 36  # 9 degrees of freedom: 1 in 25,000


def test_generators_of_one_purpose_agree_and_of_two_do_not() -> None:
    one, again, other, later = (
        rng.generator(seed, purpose).random(5) for seed, purpose in ((0, "a"), (0, "a"), (0, "b"), (1, "a"))
    )
    assert np.array_equal(one, again)
    assert not np.isin(one, [*other, *later]).any()


def test_the_global_generators_are_left_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    rng.uniform(0, "x", ROWS, 0, 10)
    rng.generator(0, "x").random(3)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()
