"""Exact sums of numbers of any size: integers modulo 2^320, carried in words of 64 bits; must not know masks or peers' names.

An integer is split into ten parts of 32 bits, each in a word of its own, *after* it was masked. The words are added up; the
parts of a sum then overlap, and joining them gives the sum modulo 2^320. Since what is split is masked, the parts tell no more
than the sum does. Squares of values between 1e-9 and 1e15 need as many bits.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import isfinite
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gossipfl.secrecy.fixed import Numbers, Words

BITS = 320
PART = 32  # bits in a word: sums over 2^32 peers fit
PLACES = 112  # 1e-18 keeps all its digits; sums may reach 1e60
UNIT = 96  # places of moments: 1e-9 keeps all its digits, and values may reach 1e14
MODULUS = 1 << BITS
CHUNK = 256  # rows of which products of 54 bits are summed without overflow
HALF = 26  # bits of half a mantissa


class WideTotal(NamedTuple):
    """What a wide sum says: as `fixed.Total`, the totals being integers."""

    complete: bool
    overflowed: bool
    integers: tuple[int, ...]


def wide(integers: Sequence[int], peers: int, bits: int = BITS) -> list[int]:
    """The residues of one peer modulo 2^bits: flag, count and integers; with zeros and the flag if one is too large."""
    fits = all(abs(number) < (1 << bits - 2) // peers for number in integers)
    return [int(not fits), 1, *(number % (1 << bits) if fits else 0 for number in integers)]


def split(residues: Iterable[int], bits: int = BITS) -> Words:
    """The words of residues, (k bits / 32,)."""
    joined = b"".join(residue.to_bytes(bits // 8, "little") for residue in residues)
    return np.frombuffer(joined, np.uint32).astype(np.uint64)


def joined(words: Words, bits: int = BITS) -> list[int]:
    """The residues of summed words."""
    return [
        sum(part << PART * i for i, part in enumerate(row)) % (1 << bits)
        for row in words.reshape(-1, bits // PART).tolist()
    ]


def wide_total(words: Words, peers: int, bits: int = BITS) -> WideTotal:
    """What the sum of the words of all peers says."""
    flag, count, *integers = joined(words, bits)
    signed = (number - (1 << bits) if number >> bits - 1 else number for number in integers)
    return WideTotal(count == peers, flag != 0, tuple(signed))


def scaled(number: float, places: int = PLACES) -> int:
    """A number in units of 2^-places, rounded; one that is too large, if it is not finite."""
    return round(Fraction(number) * (1 << places)) if isfinite(number) else MODULUS


def unscaled(integer: int, places: int = PLACES) -> float:
    """The inverse."""
    return integer / (1 << places)


def moments(columns: npt.NDArray[np.float64]) -> list[int]:
    """[n, sum of each column, sum of the squares of each column] of finite columns (n, p), in units of 2^-96 and 2^-192.

    The sums are those of the column's values, rounded to 53 bits below its largest one.
    """
    first, second = [], []
    for column in columns.T:
        power = int(np.frexp(np.abs(column).max(initial=0.0))[1]) - 53
        mantissas = np.rint(np.ldexp(column, -power)).astype(np.int64)
        one, two = _sums(mantissas)
        first.append(_shifted(one, power + UNIT))
        second.append(_shifted(two, 2 * (power + UNIT)))
    return [len(columns), *first, *second]


def variances(totals: Sequence[int]) -> tuple[int, Numbers, Numbers]:
    """(n, means (p,), variances (p,)) from the totals of `moments`. A column with one value has a variance of exactly 0."""
    n, p = totals[0], len(totals) // 2
    first, second = totals[1 : p + 1], totals[p + 1 :]
    means = [one / (n << UNIT) for one in first]
    spreads = [
        max(n * two - one * one, 0) / (n * n << 2 * UNIT) for one, two in zip(first, second, strict=True)
    ]
    return n, np.array(means), np.array(spreads)


def _sums(mantissas: npt.NDArray[np.int64]) -> tuple[int, int]:
    """The exact sums of integers below 2^53 in size, and of their squares."""
    high = mantissas >> HALF
    low = mantissas - (high << HALF)
    one = two = 0
    for k in range(0, len(mantissas), CHUNK):
        h, l = high[k : k + CHUNK], low[k : k + CHUNK]  # noqa: E741
        one += int(mantissas[k : k + CHUNK].sum())
        two += (int((h * h).sum()) << 2 * HALF) + (int((h * l).sum()) << HALF + 1) + int((l * l).sum())
    return one, two


def _shifted(number: int, places: int) -> int:
    return number << places if places >= 0 else round(Fraction(number, 1 << -places))
