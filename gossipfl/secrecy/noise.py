"""Exact samples of the discrete Gaussian, from random integers alone; must not know what they hide.

Floating point would tell of the true sum by its last bits. Canonne, Kamath, Steinke, "The discrete Gaussian for differential
privacy", NeurIPS 2020, algorithms 1 to 3. The sum of several peers' noise is as private as Gaussian noise of the same variance
up to exp(-variance) (Kairouz, Liu, Steinke, "The distributed discrete Gaussian mechanism", ICML 2021).
"""

from collections.abc import Callable
from math import isqrt
from secrets import randbelow

import numpy as np
import numpy.typing as npt

Below = Callable[[int], int]  # a random integer, uniform in 0 .. n - 1


def discrete_gaussian(variance: int, count: int, below: Below = randbelow) -> npt.NDArray[np.int64]:
    """(count,) with P(x) proportional to exp(-x^2 / (2 variance)); variance is 0 or above."""
    if variance == 0:
        return np.zeros(count, np.int64)
    return np.array([_gaussian(variance, below) for _ in range(count)], np.int64)


def _gaussian(variance: int, below: Below) -> int:
    """Algorithm 3."""
    scale = isqrt(variance) + 1
    while True:
        y = _laplace(scale, below)
        # (|y| - variance / scale)^2 / (2 variance)
        if _bernoulli_exp((abs(y) * scale - variance) ** 2, 2 * variance * scale * scale, below):
            return y


def _laplace(scale: int, below: Below) -> int:
    """P(x) proportional to exp(-|x| / scale): algorithm 2."""
    while True:
        u = below(scale)
        if not _bernoulli_exp(u, scale, below):
            continue
        v = 0
        while _bernoulli_exp(1, 1, below):
            v += 1
        x = u + scale * v
        if below(2):
            return x
        if x:
            return -x


def _bernoulli_exp(numerator: int, denominator: int, below: Below) -> bool:
    """True with probability exp(-numerator / denominator): algorithm 1."""
    while numerator > denominator:
        if not _bernoulli_exp(1, 1, below):
            return False
        numerator -= denominator
    k = 1
    while below(denominator * k) < numerator:
        k += 1
    return k % 2 == 1
