"""The folds of one peer's rows; must not know other peers."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gossipfl import rng
from gossipfl.data import Rows
from gossipfl.data.encode import counted


class Fold(NamedTuple):
    """One division of a peer's rows: those that a model is fitted to, and those held out."""

    train: Rows
    held: Rows


def numbered(
    y: npt.NDArray[np.float64], folds: int, seed: int, peer: int, classes: bool
) -> npt.NDArray[np.int64]:
    """The fold of each row of a peer, (m,), 0 ... folds - 1: rows in random order, dealt out in turn.

    Each fold has m / folds rows, up to one. With classes, so it is among the rows of each class.
    """
    drawn = rng.uniform(seed, "folds", np.array([peer]), 0, len(y))[0]
    order = np.lexsort((drawn, y)) if classes else drawn.argsort(kind="stable")
    found = np.empty(len(y), np.int64)
    found[order] = (np.arange(len(y)) + peer) % folds
    return found


def divided(rows: Rows, number: npt.NDArray[np.int64], folds: int) -> list[Fold]:
    """For each fold, the rows of all others that have a weight, and its own."""
    return [Fold(counted(_part(rows, number != k)), _part(rows, number == k)) for k in range(folds)]


def _part(rows: Rows, which: npt.NDArray[np.bool_]) -> Rows:
    taken: list[Any] = [None if column is None else column[which] for column in rows]
    return Rows(*taken)
