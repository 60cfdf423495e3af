"""Gaussian differential privacy against an accountant of its own, and noise against its distribution."""

import math
from random import Random

import numpy as np
import pytest
from scipy import stats

from gossipfl.secrecy.budget import delta_of, epsilon_of, mu_of
from gossipfl.secrecy.noise import discrete_gaussian
from gossipfl.secrecy.promise import Promise

DELTA = 1e-5


@pytest.mark.parametrize(("sigma", "sums"), [(30.0, 1), (8.0, 10), (3.0, 30), (0.6, 1)])
def test_epsilon_is_that_of_an_accountant_of_privacy_losses(sigma: float, sums: int) -> None:
    dp = pytest.importorskip("dp_accounting")
    pld = pytest.importorskip("dp_accounting.pld")
    accountant = pld.PLDAccountant(dp.NeighboringRelation.ADD_OR_REMOVE_ONE)
    accountant.compose(dp.GaussianDpEvent(sigma), sums)
    assert epsilon_of(math.sqrt(sums) / sigma, DELTA) == pytest.approx(
        accountant.get_epsilon(DELTA), rel=1e-3
    )


def test_all_sums_of_a_study_together_spend_epsilon_by_that_accountant() -> None:
    dp = pytest.importorskip("dp_accounting")
    pld = pytest.importorskip("dp_accounting.pld")
    promise = Promise(0.5, DELTA, 1.0, 16, 8, True)
    accountant = pld.PLDAccountant(dp.NeighboringRelation.ADD_OR_REMOVE_ONE)
    for mu, sums in ((promise.counting, 1), (promise.standardising, 1), (promise.each(30), 30)):
        accountant.compose(dp.GaussianDpEvent(1 / mu), sums)
    assert accountant.get_epsilon(DELTA) == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 0.5, 1.0, 8.0, 60.0])
def test_mu_is_the_inverse_of_epsilon(epsilon: float) -> None:
    assert epsilon_of(mu_of(epsilon, DELTA), DELTA) == pytest.approx(epsilon, rel=1e-8)
    assert delta_of(mu_of(epsilon, DELTA), epsilon) == pytest.approx(DELTA, rel=1e-6)


def test_no_noise_needed_or_none_that_helps() -> None:
    assert delta_of(0.0, 1.0) == 0.0
    assert epsilon_of(0.0, DELTA) == 0.0
    assert epsilon_of(1e-7, DELTA) == 0.0


@pytest.mark.parametrize("variance", [1, 7, 10**4])
def test_noise_is_a_discrete_gaussian(variance: int) -> None:
    drawn = discrete_gaussian(variance, 4000, Random(variance).randrange)
    reach = math.isqrt(variance) * 5 + 3
    values = np.arange(-reach, reach + 1)
    chance = np.exp(-(values**2) / (2 * variance))
    below = np.concatenate(([0.0], np.cumsum(chance / chance.sum())))
    # The distance of a discrete distribution function is largest at its steps.
    empirical = np.searchsorted(np.sort(drawn), values, side="right") / len(drawn)
    assert np.abs(empirical - below[1:]).max() < stats.kstwobign.ppf(1 - 1e-4) / math.sqrt(len(drawn))


def test_the_noise_of_all_peers_together_has_the_variance_that_was_asked_for() -> None:
    peers, total = 16, (3 * 2**24) ** 2
    below = Random(1).randrange
    parts = [discrete_gaussian(total // peers, 200, below) for _ in range(peers)]
    together = np.sum(parts, axis=0) / math.sqrt(total)
    assert stats.kstest(together, "norm").pvalue > 1e-4


def test_none_of_no_variance() -> None:
    assert not discrete_gaussian(0, 5).any()
