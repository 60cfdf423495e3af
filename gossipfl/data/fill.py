"""The values that replace missing ones, over the training rows of all peers; must not know how peers add up their numbers."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from gossipfl.data.clean import Missing, holes
from gossipfl.data.encode import Schema
from gossipfl.data.names import listed, natural, text
from gossipfl.data.table import FEW, Table
from gossipfl.errors import BadData

MIN_ROWS = 5  # a sum over fewer rows reveals too much of them

Array = npt.NDArray[np.float64]
Total = Callable[
    [Array], Array
]  # numbers of each peer in this process, (n, k) -> their sums over all peers, (k,)
Union = Callable[
    [Sequence[Iterable[str]], Callable[[str], object]], set[str]
]  # words of each peer in this process, and what refuses a word -> the words of all


def agree_fill(
    tables: Sequence[Table], schema: Schema, missing: Missing, total: Total, union: Union, fewest: int = 0
) -> dict[str, float | str]:
    """The value for each column that has a missing value at any peer, the same at all peers.

    Args:
        tables: of the peers in this process.
        schema: its levels are the candidates for the mode of a categorical column.
        missing: "mean"; "median", the mean of the two middle values if their number is even; "mode", the most frequent value,
            of several the first one in natural order. Others need no values.
        total: the sum over all peers.
        union: the union over all peers.
        fewest: peers that must have known values of a column: a sum over fewer would be theirs.

    Raises:
        BadData: a column has no known value, or at too few peers, or too few for a sum, or too many different ones for a mode.
    """
    find = {"mean": _means, "median": _medians, "mode": _modes}.get(missing)
    columns = schema.columns
    if find is None or not isinstance(tables[0].features, pd.DataFrame):
        return {}
    own = [holes(table) for table in tables]
    lacking = total(np.array([[float(name in found) for name in columns] for found in own])) > 0.5
    names = [name for name, lacks in zip(columns, lacking, strict=True) if lacks]
    if not names:
        return {}
    known = [{name: table.features[name][~table.test].dropna() for name in names} for table in tables]
    having = [[float(len(one[name])) for name in names] for one in known]
    if fewest:
        peers = total(np.array([[float(count > 0) for count in one] for one in having]))
        if alone := [
            name for name, one in zip(names, peers.tolist(), strict=True) if 0.5 < one < fewest - 0.5
        ]:
            raise BadData(
                f"fewer than {fewest} peers have values of {listed(alone)}, so a sum would tell theirs: leave such columns "
                "out with drop, at all peers"
            )
    counts = np.rint(total(np.array(having)))
    if not counts.all():
        name = names[int(counts.argmin())]
        raise BadData(
            f"column {name!r} has no value in any training row of any peer: leave it out with drop = [{name!r}]"
        )
    if find is _modes:
        return _modes(tables, known, schema, total, union)
    values = [{name: column.to_numpy(dtype=np.float64) for name, column in one.items()} for one in known]
    found = _means(tables, values, counts, total) if find is _means else _medians(values, counts, total)
    return dict(zip(names, found.tolist(), strict=True))


def _means(
    tables: Sequence[Table], values: Sequence[Mapping[str, Array]], counts: Array, total: Total
) -> Array:
    for table, one in zip(tables, values, strict=True):
        for name, known in one.items():
            if 0 < len(known) < MIN_ROWS:
                raise BadData(
                    f'{table.where} has {len(known)} known values of {name!r} in its training rows, and missing = "mean" would '
                    f"send their sum to its neighbours; sums over fewer than {MIN_ROWS} rows reveal the rows. Set missing = "
                    '"median" (with secure sums leave the column out with drop), or give the peer more rows'
                )
    return total(np.array([[known.sum() for known in one.values()] for one in values])) / counts


def _medians(values: Sequence[Mapping[str, Array]], counts: Array, total: Total) -> Array:
    """By bisection on the 64 bits of a number: the peers count the values up to a limit, which all of them know."""
    keys = [[np.sort(_ordered(known)) for known in one.values()] for one in values]
    ranks = np.stack([(counts + 1) // 2, counts // 2 + 1])  # of the two middle values
    low, high = np.full(ranks.shape, np.iinfo(np.int64).min), np.full(ranks.shape, np.iinfo(np.int64).max)
    while (low < high).any():
        middle = (low >> 1) + (high >> 1) + (low & high & 1)
        below = [[np.searchsorted(key, middle[:, j], "right") for j, key in enumerate(one)] for one in keys]
        counted = np.rint(total(np.array(below, dtype=np.float64).reshape(len(keys), -1)))
        enough = ranks <= counted.reshape(-1, 2).T
        low, high = np.where(enough, low, middle + 1), np.where(enough, middle, high)
    first, second = _numbers(low)
    found: Array = np.where(first == second, first, first / 2 + second / 2)
    return found


def _ordered(numbers: Array) -> npt.NDArray[np.int64]:
    """Integers in the order of the numbers."""
    bits = (numbers + 0.0).view(np.int64)
    return bits ^ ((bits >> 63) & np.int64(2**63 - 1))


def _numbers(ordered: npt.NDArray[np.int64]) -> Array:
    bits = ordered ^ ((ordered >> 63) & np.int64(2**63 - 1))
    numbers: Array = bits.view(np.float64)
    return numbers


def _modes(
    tables: Sequence[Table],
    known: Sequence[Mapping[str, pd.Series]],
    schema: Schema,
    total: Total,
    union: Union,
) -> dict[str, float | str]:
    names = [*known[0]]
    words = [{name: column.map(text) for name, column in one.items()} for one in known]
    numbers = [name for name in names if name not in schema.levels]
    for table, one in zip(tables, words, strict=True):
        if many := [name for name in numbers if one[name].nunique() > FEW]:
            raise BadData(
                f"{table.where}: {listed(many)} has more than {FEW} different values, so a mode means little and would be sent "
                'word by word: set missing = "median", or declare it in categorical'
            )

    def read(told: str) -> tuple[str, str]:
        j, _, word = told.partition(" ")
        if not math.isfinite(float(word)) or int(j) not in range(len(numbers)):
            raise ValueError("no number of a column")
        return numbers[int(j)], word

    shown = union(
        [{f"{j} {word}" for j, name in enumerate(numbers) for word in set(one[name])} for one in words], read
    )
    found: dict[str, list[str]] = {name: [*schema.levels.get(name, ())] for name in names}
    for name, word in map(read, shown):
        found[name].append(word)
    candidates = [(name, word) for name in names for word in sorted(found[name], key=natural)]
    tallies = [{name: one[name].value_counts() for name in names} for one in words]
    counts = np.rint(
        total(np.array([[float(t[name].get(word, 0)) for name, word in candidates] for t in tallies]))
    )
    best: dict[str, tuple[float, str]] = {}
    for (name, word), count in zip(candidates, counts.tolist(), strict=True):
        if name not in best or count > best[name][0]:
            best[name] = (count, word)
    return {name: word if name in schema.levels else float(word) for name, (_, word) in best.items()}
