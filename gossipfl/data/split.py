"""Which rows of a peer are kept for testing; must not know what is learned from the others."""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gossipfl.data.table import Table, discrete
from gossipfl.errors import BadData, BadExperiment


def split(table: Table, test: float | str, seed: int) -> Table:
    """The table with its test rows marked.

    Args:
        table: one peer's rows.
        test: 0 for none; or a fraction, of which the rows are those that scikit-learn's `train_test_split` draws with
            `random_state=seed`, by class if the target has at most 20 values and each occurs often enough; or the name
            of a column that is 1 in test rows and 0 in others, and that is then removed from the features.
        seed: 0 or above.

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
    else:
        chosen = _draw(table, test, seed)
    if chosen.all():
        raise BadData(
            f"{table.where} has {len(table)} rows and none is left for training: lower test = {test!r}"
        )
    return replace(table, test=chosen)


def _draw(table: Table, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    chosen = np.zeros(len(table), dtype=np.bool_)
    size = math.ceil(len(table) * fraction)
    if size == 0 or size == len(table):
        return ~chosen if size else chosen
    counts = table.target.value_counts()
    by_class = discrete(table.target) and counts.min() >= 2 and len(counts) <= min(size, len(table) - size)
    if by_class and not table.target.isna().any():
        from sklearn.model_selection import train_test_split

        labels = table.target.to_numpy()
        _, test = train_test_split(
            np.arange(len(table)), test_size=fraction, random_state=seed, stratify=labels
        )
    else:  # as `train_test_split` draws them, whose import is slow
        test = np.random.RandomState(seed).permutation(len(table))[:size]
    chosen[test] = True
    return chosen
