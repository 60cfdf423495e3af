"""The longest step with which methods are stable over directed links; must not know any engine, or how links are made."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
MARGIN = (
    1.25  # of the bound. On 37 directed graphs, peers with different curvatures lowered it by 6 % at most
)
HALVINGS = 3  # of the last interval: the step is at most 9 % shorter than it could be
NEARLY = 0.999  # of what is needed: peers compute it with their own rounding
SQUARINGS = 40  # a step that shows no decay after 2^40 periods counts as unstable


class Round(NamedTuple):
    """The matrices of one round: `pull` mixes parameters, and `push` mixes trackers, each (n, n)."""

    pull: Array
    push: Array


def longest_step(rounds: Sequence[Round], most: float, weighted: bool, tracks: bool) -> float:
    """The longest step up to `most`, in units of 1/L, with which a method is stable; 0 if there is none above 1e-9.

    For quadratics with curvature L at all peers a round is linear, with A = pull, B = push, h = step L and D = diag(1 / w):

        x' = A (x - h y),  y' = B y + D (x' - x)       if the method tracks gradients
        x' = A (x - h D x)                             if it does not

    With push-sum, x is u = x w, and w are its weights in the long run; without, w = 1. A step counts as stable if MARGIN
    times it makes all of this decay, apart from the invariant sum of y - D x, which is 0. On directed rings the bound falls
    as 1/n^3, because eigenvalues of A close to 1 are complex. (For bounds that hold for any convex functions and are much
    shorter see Nedic, Olshevsky, Shi, SIAM J. Optimization 27(4), 2017, and Pu, Shi, Xu, Nedic, IEEE TAC 66(1), 2021.)

    Args:
        rounds: the rounds of one period.
        most: the longest step to return.
        weighted: parameters are weighted, as with push-sum.
        tracks: the method tracks gradients.
    """
    weights = _weights(rounds) if weighted else [np.ones(len(rounds[0].pull))] * (len(rounds) + 1)

    def stable(h: float) -> bool:
        return _decays(_period(rounds, weights, MARGIN * h, tracks))

    h = most
    while not stable(h):
        h /= 2
        if h < 1e-9:
            return 0.0
    factor = 2.0
    for _ in range(HALVINGS if h < most else 0):
        factor = factor**0.5
        h = h * factor if stable(h * factor) else h
    return h


def _weights(rounds: Sequence[Round]) -> list[Array]:
    """The weights of push-sum before each round of a late period, and after it."""
    period = np.eye(len(rounds[0].push))
    for round in rounds:
        period = round.push @ period
    w = [np.linalg.matrix_power(period, 2**20).mean(1) * len(period)]
    for round in rounds:
        w.append(round.push @ w[-1])
    return w


def _period(rounds: Sequence[Round], weights: Sequence[Array], h: float, tracks: bool) -> Array:
    """The linear map of a period, without its invariant part."""
    n = len(weights[0])
    state, one = np.eye(2 * n if tracks else n), np.ones(n)
    if tracks:  # take the invariant away from y; in a period it returns to its value
        state[n:] -= np.concatenate((-one / weights[0], one)) / n
    x, y = state[:n], state[n:]
    for (a, b), before, after in zip(rounds, weights, weights[1:], strict=False):
        moved = a @ (x - h * (y if tracks else x / before[:, None]))
        y = b @ y + moved / after[:, None] - x / before[:, None] if tracks else y
        x = moved
    return np.concatenate((x, y))


def _decays(m: Array) -> bool:
    """Whether powers of m tend to 0: then a norm of one of them is below 1."""
    for _ in range(SQUARINGS):
        size = float(np.linalg.norm(m))
        if size < 1:
            return True
        if not size < 1e50:
            return False
        m = m @ m
    return False


def halved(step: float, needed: float) -> float:
    """A step, halved until it is about as short as needed.

    Peers that shorten an agreed step so have only few steps to agree on, however many they ask for.
    """
    while needed < NEARLY * step < math.inf:
        step /= 2
    return step
