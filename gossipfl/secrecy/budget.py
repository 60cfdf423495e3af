"""What noise promises: Gaussian differential privacy in closed form; must not know what is summed, nor who adds noise.

A sum with sensitivity s and Gaussian noise of deviation sigma is mu-GDP with mu = s / sigma: to tell whether a row is in the
data is as hard as to tell N(0, 1) from N(mu, 1) by one draw. Several sums are sqrt(mu_1^2 + mu_2^2 + ...)-GDP (Dong, Roth,
Su, "Gaussian differential privacy", J. R. Stat. Soc. B 84, 2022, corollaries 2.13 and 3.3).
"""

import math
from collections.abc import Callable

from scipy.special import log_ndtr

MOST = 200.0  # mu, and epsilon beyond which no promise is worth its name


def delta_of(mu: float, epsilon: float) -> float:
    """The least delta with which mu-GDP is (epsilon, delta)-DP.

    Phi(mu/2 - epsilon/mu) - exp(epsilon) Phi(-mu/2 - epsilon/mu), corollary 2.13.
    """
    if mu == 0:
        return 0.0
    first = float(log_ndtr(mu / 2 - epsilon / mu))
    second = epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))
    return -math.exp(first) * math.expm1(min(0.0, second - first))


def epsilon_of(mu: float, delta: float) -> float:
    """The least epsilon with which mu-GDP is (epsilon, delta)-DP; inf above 10 mu (mu + 10)."""
    if delta_of(mu, 0.0) <= delta:
        return 0.0
    most = 10 * mu * (mu + 10)
    if delta_of(mu, most) > delta:
        return math.inf
    return _root(lambda epsilon: delta_of(mu, epsilon) - delta, 0.0, most, 1e-12)


def mu_of(epsilon: float, delta: float) -> float:
    """The largest mu for which mu-GDP is (epsilon, delta)-DP; at most 200."""
    if delta_of(MOST, epsilon) <= delta:
        return MOST
    return _root(lambda mu: delta_of(mu, epsilon) - delta, 1e-12, MOST, 1e-14)


def _root(of: Callable[[float], float], low: float, high: float, digits: float) -> float:
    from scipy.optimize import brentq  # a quarter of a second, which few runs need

    return float(brentq(of, low, high, xtol=digits, rtol=1e-12))
