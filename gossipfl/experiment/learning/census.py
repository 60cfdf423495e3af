"""What a peer counts in its own rows before secure sums; must not know other peers.

Cells are the columns, and the first level of each categorical column, which is what its other levels leave.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from gossipfl.data import Rows, Schema
from gossipfl.data.encode import taken
from gossipfl.experiment.study.study import Study
from gossipfl.secrecy.disclosure import differing, usual

Array = npt.NDArray[np.float64]


def firsts(schema: Schema) -> list[str]:
    """The first level of each categorical column, which has no column of its own."""
    return [f"{column}={levels[0] if levels else ''}" for column, levels in schema.levels.items()]


def columns(schema: Schema) -> list[str]:
    """The column of the data that each feature is of."""
    return [column for column in schema.columns for _ in schema.levels.get(column, ("", ""))[1:]]


def counting(part: Rows) -> Rows:
    """The rows that have a weight."""
    return part if part.weight is None else taken(part, part.weight > 0)


def size(part: Rows) -> float:
    """The number of rows, or as many of equal weight as count as much: Kish, "Survey sampling", 1965."""
    if part.weight is None or not len(part.weight):
        return float(len(part.y))
    share = part.weight / part.weight.max()
    return float(share.sum() ** 2 / (share**2).sum())


def masses(study: Study, part: Rows) -> Array:
    """What each row counts for, about: its weight and, for counts, its exposure."""
    found = np.ones(len(part.y)) if part.weight is None else part.weight
    return found * np.exp(part.offset) if part.offset is not None and study.loss.task == "count" else found


def _dense(x: Any, schema: Schema) -> Array:
    """The columns of dense rows, and the first level of each categorical column."""
    named = np.array(columns(schema))
    return np.column_stack((x, *(1 - x[:, named == column].sum(1) for column in schema.levels)))


def cells(part: Rows, schema: Schema) -> Array:
    """For each column and each first level how many rows differ from the most frequent value."""
    x: Any = part.x
    if not sparse.issparse(x):
        return differing(_dense(x, schema)).astype(np.float64)
    found = np.asarray((x != 0).sum(axis=0)).ravel().astype(np.float64)
    full = np.flatnonzero(2 * found > x.shape[0])
    found[full] = differing(x[:, full].toarray())
    return found


def apart(
    part: Rows, schema: Schema, one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """For each pair of cells how many rows differ from the most frequent value in one of both alone; or, if fewer, in both or
    none."""
    x: Any = part.x
    dense = x.toarray() if sparse.issparse(x) else _dense(x, schema)
    cells, places = np.unique(np.append(one, other), return_inverse=True)
    unusual = dense[:, cells] != usual(dense[:, cells])
    alone = (unusual[:, places[: len(one)]] != unusual[:, places[len(one) :]]).sum(0)
    least: npt.NDArray[np.int64] = np.minimum(alone, len(dense) - alone)
    return least


def largest(x: Any, mean: Array, deviation: Array) -> Array:
    """The largest squared deviation of a row from the mean, (p,), in units of the variance; of sparse columns, from 0."""
    if sparse.issparse(x):
        return np.asarray(x.power(2).max(axis=0).todense()).ravel() / deviation**2
    found: Array = (((x - mean) / deviation) ** 2).max(axis=0)
    return found
