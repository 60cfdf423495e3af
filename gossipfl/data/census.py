"""What a peer counts in its own rows before secure sums; must not know other peers.

Cells are the columns, and the first level of each categorical column, which is what its other levels leave.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from gossipfl.data.encode import Rows, Schema, taken, weighted

Array = npt.NDArray[np.float64]
Pairs = npt.NDArray[np.int64]  # the numbers of both cells, (2, pairs)
EVERY = slice(None)


def firsts(schema: Schema) -> list[str]:
    """The first level of each categorical column, which has no column of its own."""
    return [f"{column}={levels[0] if levels else ''}" for column, levels in schema.levels.items()]


def columns(schema: Schema) -> list[str]:
    """The column of the data that each feature is of."""
    return [column for column in schema.columns for _ in schema.levels.get(column, ("", ""))[1:]]


def counting(part: Rows, schema: Schema) -> Rows:
    """The rows that have a weight: those of weight 0 would be in sums of columns, and not in counts."""
    weight = weighted(part, schema).weight
    return part if weight is None else taken(part, weight > 0)


def size(part: Rows) -> float:
    """The number of rows, or as many of equal weight as count as much: Kish, "Survey sampling", 1965."""
    if part.weight is None or not len(part.weight):
        return float(len(part.y))
    share = part.weight / part.weight.max()
    return float(share.sum() ** 2 / (share**2).sum())


def masses(part: Rows, counts: bool) -> Array:
    """What each row counts for, about: its weight and, where targets are counts, its exposure."""
    found = np.ones(len(part.y)) if part.weight is None else part.weight
    return found * np.exp(part.offset) if part.offset is not None and counts else found


def _dense(x: Any, schema: Schema) -> Array:
    """The columns of dense rows, and the first level of each categorical column."""
    named = np.array(columns(schema))
    return np.column_stack((x, *(1 - x[:, named == column].sum(1) for column in schema.levels)))


def _these(part: Rows, schema: Schema, cells: npt.NDArray[np.int64] | slice) -> Array:
    """These cells, (m, cells); of sparse rows no others become dense."""
    x: Any = part.x
    found: Array = x[:, cells].toarray() if sparse.issparse(x) else _dense(x, schema)[:, cells]
    return found


def cells(part: Rows, schema: Schema) -> Array:
    """For each column and each first level how many rows differ from the most frequent value."""
    x: Any = part.x
    if not sparse.issparse(x):
        return differing(_dense(x, schema)).astype(np.float64)
    found = np.asarray((x != 0).sum(axis=0)).ravel().astype(np.float64)
    full = np.flatnonzero(2 * found > x.shape[0])
    found[full] = differing(x[:, full].toarray())
    return found


def apart(part: Rows, schema: Schema, pairs: Pairs) -> npt.NDArray[np.int64]:
    """For each pair of cells how many rows differ from the most frequent value in one of both alone; or, if fewer, in both or
    none."""
    cells, places = np.unique(pairs, return_inverse=True)
    found: npt.NDArray[np.int64] = _alone(_unusual(part, schema, cells), places.reshape(pairs.shape)).sum(0)
    return found


def folded(
    part: Rows, schema: Schema, pairs: Pairs, number: npt.NDArray[np.int64], folds: int
) -> npt.NDArray[np.int64]:
    """How many rows of each fold differ, in each cell and then in each pair, (folds, cells + pairs), as in all rows."""
    unusual = _unusual(part, schema)
    differ = np.hstack((unusual, _alone(unusual, pairs)))
    return np.stack([differ[number == k].sum(0) for k in range(folds)])


def _unusual(
    part: Rows, schema: Schema, cells: npt.NDArray[np.int64] | slice = EVERY
) -> npt.NDArray[np.bool_]:
    """Where rows differ from the most frequent value of these cells, (m, cells)."""
    dense = _these(part, schema, cells)
    found: npt.NDArray[np.bool_] = dense != usual(dense)
    return found


def _alone(unusual: npt.NDArray[np.bool_], pairs: Pairs) -> npt.NDArray[np.bool_]:
    """Where rows differ in one cell of a pair alone; or, in fewer rows, in both or none."""
    alone = unusual[:, pairs[0]] != unusual[:, pairs[1]]
    found: npt.NDArray[np.bool_] = alone ^ (2 * alone.sum(0) > len(alone))
    return found


def flat(part: Rows, schema: Schema, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which of these cells are 0 in all rows, and which 1, (2, cells)."""
    dense = _these(part, schema, cells)
    return np.stack([(dense == value).all(0) for value in (0, 1)])


def paired(part: Rows, schema: Schema, pairs: Pairs) -> npt.NDArray[np.bool_]:
    """Which pairs are equal in all rows, and which add up to 1, (2, pairs)."""
    cells, places = np.unique(pairs, return_inverse=True)
    dense, (one, other) = _these(part, schema, cells), places.reshape(pairs.shape)
    one, other = dense[:, one], dense[:, other]
    return np.stack([(one == other).all(0), (one + other == 1).all(0)])


def states(
    schema: Schema, groups: Sequence[int], train: Sequence[Rows], pairs: Pairs, nobody: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Which cells are 0, or pairs equal, in all rows of a peer, and which 1, or different, (n, 2, groups, names).

    That is looked up where rows of no peer of some group differ, `nobody` (groups, names). Names are classes, cells and pairs.
    `groups` are those of the peers, (n,).
    """
    asked: npt.NDArray[np.bool_] = np.any(nobody, axis=0)
    after, cells = asked.size - pairs.shape[1], len(columns(schema)) + len(firsts(schema))
    one, two = np.flatnonzero(asked[after - cells : after]), np.flatnonzero(asked[after:])
    found = np.zeros((len(train), 2, *nobody.shape), dtype=bool)
    for i, (k, part) in enumerate(zip(groups, train, strict=True)):
        found[i, :, k, after - cells + one] = flat(part, schema, one).T
        found[i, :, k, after + two] = paired(part, schema, pairs[:, two]).T
    return found


def largest(x: Any, mean: Array, deviation: Array) -> Array:
    """The largest squared deviation of a row from the mean, (p,), in units of the variance; of sparse columns, from 0."""
    if sparse.issparse(x):
        return np.asarray(x.power(2).max(axis=0).todense()).ravel() / deviation**2
    found: Array = (((x - mean) / deviation) ** 2).max(axis=0)
    return found


def differing(x: Array) -> npt.NDArray[np.int64]:
    """For each column (n, p) how many rows differ from its most frequent value, (p,)."""
    found: npt.NDArray[np.int64] = (x != usual(x)).sum(0)
    return found


def usual(x: Array) -> Array:
    """The most frequent value of each column (n, p), of several the least one, (p,)."""
    found = np.zeros(x.shape[1])
    ordered = np.sort(x, axis=0)
    for j in range(x.shape[1] if len(x) else 0):
        places = np.flatnonzero(np.append(True, ordered[1:, j] != ordered[:-1, j]))
        found[j] = ordered[places[np.diff(np.append(places, len(x))).argmax()], j]
    return found
