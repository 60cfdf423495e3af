"""Numbers as integers modulo 2^64, so that a sum is exact whatever its order; must not know masks or peers' names.

A number v becomes q = rint(2^F v), with F binary places. In front of the numbers ride a flag and a count of 1. If a
number is too large, the flag is raised and the numbers are zeros, in whose place `exact.py` sends random words: all learn that
there is such a peer, and nobody learns which.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

PLACES = 40  # at first
STEP = 8  # places fewer after an overflow
HEAD = 2  # words in front: the flag and the count

Words = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.float64]


class Hiding(Protocol):
    """The masks of one peer, which cancel in the sum over all peers (`masks.Masks`)."""

    def words(self, cycle: int, attempt: int, count: int) -> Words:
        """(count,) modulo 2^64, for one attempt at one sum."""

    def residues(self, cycle: int, attempt: int, count: int, bits: int) -> list[int]:
        """The same for a wide sum."""

    def noise(self, count: int) -> Words:
        """(count,) that nobody can foresee."""


class Total(NamedTuple):
    """What a sum says.

    complete: all peers contributed, each once. overflowed: somebody had a number that is too large. exact: the totals of the
    integers that rode along. numbers: (D,), the totals.
    """

    complete: bool
    overflowed: bool
    exact: tuple[int, ...]
    numbers: Numbers


def limit(peers: int) -> float:
    """The bound of |2^F v| at one peer: the sum over all peers stays below 2^62."""
    return 2.0**62 / peers


def fixed(numbers: Numbers, places: int, peers: int, exact: Sequence[int] = ()) -> Words:
    """The words of one peer, (2 + e + D,): flag, count, integers (e of them, each below 2^62 / peers), and numbers (D,)."""
    with np.errstate(over="ignore"):
        scaled = np.ldexp(numbers, places)
    fits = bool((np.abs(scaled) < limit(peers)).all())  # False for nan, too
    rounded = np.rint(scaled) if fits else np.zeros_like(numbers)
    head = np.array([not fits, 1, *exact], dtype=np.int64)
    return np.concatenate((head, rounded.astype(np.int64))).view(np.uint64)


def total(words: Words, places: int, peers: int, exact: int = 0) -> Total:
    """What the sum of the words of all peers says; `exact` is how many integers ride along."""
    signed = words.view(np.int64)
    front = HEAD + exact
    return Total(
        bool(signed[1] == peers),
        bool(signed[0] != 0),
        tuple(int(number) for number in signed[HEAD:front]),
        np.ldexp(signed[front:].astype(np.float64), -places),
    )


def rounding(mean: Numbers, deviation: Numbers, rows: float, peers: int, curved: bool) -> Numbers:
    """How large the rounding of a sum over so many rows is beside what a column (p,) adds to it by its deviation; inf for 0.

    The largest column, or its products if the sum has a Hessian, decides how many places fit.
    """
    power, places = 1 + curved, PLACES
    most = rows * float(np.hypot(mean, deviation).max(initial=1.0)) ** power
    while places > 0 and np.ldexp(most, places) >= limit(peers):
        places -= STEP
    with np.errstate(divide="ignore"):
        found: Numbers = peers * 2.0**-places / (rows * np.minimum(deviation, deviation**power))
    return found


def fitting(totals: Numbers, places: int, peers: int) -> int:
    """More places for the next sum, if these totals would fit even at one peer; at most as many as at first."""
    largest = float(np.abs(totals).max(initial=0.0))
    while places < PLACES and np.ldexp(largest, places + STEP) < limit(peers):
        places += STEP
    return places
