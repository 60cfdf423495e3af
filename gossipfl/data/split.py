"""Which rows of a peer are kept for testing; must not know what is learned from the others."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gossipfl import rng
from gossipfl.data.table import FEW, Table, words
from gossipfl.errors import BadData, BadExperiment


def split(table: Table, test: float | str, seed: int, alone: bool = False) -> Table:
    """The table with its test rows marked.

    Args:
        table: one peer's rows.
        test: 0 for none; or a fraction, of which the rows are those that scikit-learn's `train_test_split` draws with
            `random_state=seed`, by class if the target has at most 20 values and each occurs often enough; or the name
            of a column that is 1 in test rows and 0 in others, and that is then removed from the features.
        seed: 0 or above.
        alone: of a fraction, each row is drawn by its number in its source, by the peer that owns this source, and by nothing
            else, so that no row has a say in what becomes of the others. About that fraction are test rows then.

    Raises:
        BadData: no training row is left, or the column is not 0/1.
        BadExperiment: the fraction is outside [0, 1).
    """
    if isinstance(test, str):
        column = table.column(test)
        if not column.isin([0.0, 1.0]).all():
            raise BadData(f"{table.where}: column {test!r} must be 1 in test rows and 0 in all others")
        table, chosen = table.without([test]), column.to_numpy(dtype=np.float64) == 1.0
    elif not 0 <= test < 1:
        raise BadExperiment(f"test = {test} must be a fraction of the rows, at least 0 and below 1")
    elif alone:
        numbers = table.target.index.to_numpy(dtype=np.int64)
        chosen = rng.uniform(seed, f"test{table.owner}", numbers, 0, 1)[:, 0] < test
    else:
        chosen = _draw(table, test, seed)
    if chosen.all():
        raise BadData(
            f"{table.where} has {len(table)} rows, and none is left for training: use fewer peers, or lower test = {test!r}"
        )
    return replace(table, test=chosen)


def _draw(table: Table, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    chosen = np.zeros(len(table), dtype=np.bool_)
    size = math.ceil(len(table) * fraction)
    if size == 0 or size == len(table):
        return ~chosen if size else chosen
    codes, counts = np.unique(pd.factorize(table.target.to_numpy())[0], return_counts=True)
    labelled = words(table.target) or len(counts) <= FEW
    if labelled and codes[0] >= 0 and counts.min() >= 2 and len(counts) <= min(size, len(table) - size):
        chosen[_stratified(table.target.to_numpy(), size, np.random.RandomState(seed))] = True
    else:
        chosen[np.random.RandomState(seed).permutation(len(table))[:size]] = True
    return chosen


def _stratified(labels: npt.NDArray[Any], size: int, draw: np.random.RandomState) -> npt.NDArray[np.int64]:
    """The `size` rows that scikit-learn's `StratifiedShuffleSplit` draws for testing; importing it costs more than a run."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rows = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    train = _shared(counts, len(labels) - size, draw)
    test = _shared(counts - train, size, draw)
    return np.concatenate([
        own[draw.permutation(len(own))[a : a + b]] for own, a, b in zip(rows, train, test, strict=True)
    ])  # fmt: skip


def _shared(counts: npt.NDArray[np.int64], size: int, draw: np.random.RandomState) -> npt.NDArray[np.int64]:
    """`size` rows in proportion to the counts of the classes; the largest remainders are rounded up, equal ones by chance."""
    exact = counts / counts.sum() * size
    shares: npt.NDArray[np.float64] = np.floor(exact)
    remainders = exact - shares
    for value in np.unique(remainders)[::-1]:
        if lacking := int(size - shares.sum()):
            alike = np.flatnonzero(remainders == value)
            shares[draw.choice(alike, min(len(alike), lacking), replace=False)] += 1
    return shares.astype(np.int64)
