"""One peer's raw rows as they were read; must not know where they came from or which model learns from them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array

from gossipfl.data.names import FALSE, NUMBER, TRUE, did_you_mean, number, text
from gossipfl.errors import BadData

FEW = 20  # up to this many distinct numbers may be classes


@dataclass(frozen=True, eq=False)
class Table:
    """Raw rows: columns of numbers (float64, NaN = missing) or of words (str, NaN = missing).

    The index of `target` holds each row's number in its source, counted from 0. `take` keeps it, so that a message can name
    the row in the file.
    """

    features: pd.DataFrame | csr_array
    target: pd.Series  # float64 or words, like a column
    test: npt.NDArray[np.bool_]  # (n,); all False until `split`
    where: str = "data"  # what messages call it: a file, a peer
    sparse_names: tuple[str, ...] = ()  # the columns of a csr_array; a DataFrame names its own
    weights: npt.NDArray[np.float64] | None = None  # (n,), 0 or above; None: all rows count alike
    offset: npt.NDArray[np.float64] | None = None  # (n,), added to the rows' margins
    absent: Mapping[str, Sequence[str]] = field(
        default_factory=dict
    )  # of a column of words, those that count as missing
    owner: str = ""  # the peer whose file it is, where each peer has its own
    notes: tuple[str, ...] = ()  # what was done to the rows that a person should know, in sentences

    @classmethod
    def of(
        cls,
        features: pd.DataFrame | csr_array,
        target: pd.Series | npt.ArrayLike,
        where: str = "data",
        sparse_names: Iterable[str] = (),
    ) -> "Table":
        """A table of any pandas columns, or of sparse columns, which are named x0, x1, ... by default."""
        rows = len(np.asarray(target))
        index = pd.RangeIndex(rows)
        name = getattr(target, "name", None)
        series = pd.Series(values(pd.Series(target)), index=index, name="target" if name is None else name)
        test = np.zeros(rows, dtype=np.bool_)
        if isinstance(features, pd.DataFrame):
            # Not Arrow's strings: peers never load it.
            names = pd.Index([str(c) for c in features.columns], dtype=object)
            columns = {c: values(features[given]) for c, given in zip(names, features.columns, strict=True)}
            return cls(pd.DataFrame(columns, index=index, columns=names), series, test, where)
        names = tuple(sparse_names) or tuple(f"x{j}" for j in range(features.shape[1]))
        return cls(csr_array(features, dtype=np.float64), series, test, where, names)

    def __len__(self) -> int:
        return len(self.target)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the features, in order."""
        return tuple(self.features.columns) if isinstance(self.features, pd.DataFrame) else self.sparse_names

    @cached_property
    def wordy(self) -> tuple[str, ...]:
        """The features that hold words."""
        if not isinstance(self.features, pd.DataFrame):
            return ()
        if (
            self.features.iloc[:0].to_numpy().dtype == np.float64
        ):  # four times as fast as a look at each column
            return ()
        kinds = zip(self.features.columns, self.features.dtypes, strict=True)
        return tuple(name for name, kind in kinds if kind != np.float64)

    @cached_property
    def finite(self) -> bool:
        """Whether all values are finite numbers; False for sparse features."""
        return (
            isinstance(self.features, pd.DataFrame)
            and not (self.wordy or words(self.target))
            and bool(
                np.isfinite(self.target.to_numpy()).all() and np.isfinite(self.features.to_numpy()).all()
            )
        )

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_], where: str | None = None) -> "Table":
        """The given rows (numbers or a mask), in that order."""
        dense = isinstance(self.features, pd.DataFrame)
        features = self.features.iloc[rows] if dense else self.features[rows]
        named = self.where if where is None else where
        weights, offset = (None if x is None else x[rows] for x in (self.weights, self.offset))
        return replace(
            self, features=features, target=self.target.iloc[rows], test=self.test[rows], where=named,
            weights=weights, offset=offset,
        )  # fmt: skip

    def aside(self, weights: str | None, offset: str | None) -> "Table":
        """The table with the columns of these names as row weights and offset, and no longer as features.

        Raises:
            BadData: there is no such column, a value is not a finite number, or a weight is below 0.
        """
        if not (weights or offset):
            return self
        numbers = {
            name: self._numbers(name, role)
            for name, role in ((weights, "data.row_weights"), (offset, "data.offset"))
            if name
        }
        if weights and (numbers[weights] < 0).any():
            row = self.row(int((numbers[weights] < 0).argmax()))
            raise BadData(f"{self.where}: the weight {weights!r} is below 0 in row {row}: correct the file")
        return replace(
            self.without(numbers),
            weights=numbers[weights] if weights else None,
            offset=numbers[offset] if offset else None,
        )

    def _numbers(self, name: str, role: str) -> npt.NDArray[np.float64]:
        column = self.column(name)
        values = np.full(len(self), np.nan) if words(column) else column.to_numpy(dtype=np.float64)
        if not np.isfinite(values).all():
            row = self.row(int((~np.isfinite(values)).argmax()))
            raise BadData(
                f"{self.where}: {role} = {name!r} needs a number in each row, but there is none in row {row}: correct the "
                "file, or choose another column"
            )
        return values

    def column(self, name: str) -> pd.Series:
        """One feature; raises BadData if none has that name."""
        self.require([name])
        if isinstance(self.features, pd.DataFrame):
            return self.features[name]
        dense = self.features[:, [self.columns.index(name)]].toarray()[:, 0]
        return pd.Series(dense, index=self.target.index, name=name)

    def select(self, names: Iterable[str]) -> "Table":
        """Only the features with these names, in this order."""
        names = tuple(names)
        self.require(names)
        if names == self.columns:
            return self
        if isinstance(self.features, pd.DataFrame):
            return replace(self, features=self.features[list(names)])
        place = {name: i for i, name in enumerate(self.sparse_names)}
        return replace(self, features=self.features[:, [place[n] for n in names]], sparse_names=names)

    def without(self, names: Iterable[str]) -> "Table":
        """All features but these; raises BadData if one of these does not exist."""
        gone = set(names)
        self.require(gone)
        return self.select(c for c in self.columns if c not in gone) if gone else self

    def require(self, names: Iterable[str]) -> None:
        """Raise BadData if one of these features does not exist."""
        there = set(self.columns)
        for name in names:
            if name == self.target.name and name not in there:
                raise BadData(
                    f"{self.where}: {name!r} is the target: it cannot be dropped or declared categorical (its classes are "
                    "found automatically); remove it from that list, or choose another target"
                )
            if name not in there:
                raise BadData(f"{self.where} has no column {name!r}{did_you_mean(name, there)}")

    def row(self, place: int) -> int:
        """The row's number in messages: 1 is the first data row of the source."""
        return int(self.target.index[place]) + 1


def discrete(target: pd.Series) -> bool:
    """Whether a target looks like classes: words, or at most `FEW` distinct numbers."""
    return words(target) or bool(target.nunique() <= FEW)


def words(column: pd.Series) -> bool:
    """Whether a column of a table holds words; otherwise it holds numbers."""
    return bool(column.dtype != np.float64)


def values(column: pd.Series) -> npt.NDArray[np.float64] | npt.NDArray[np.object_]:
    """A column of any pandas type as float64 or as words; a missing value is NaN in both.

    Words are numbers if all are, and their texts say no more than the numbers: 1.50, but not 007.
    """
    kinds = pd.api.types
    if kinds.is_numeric_dtype(column.dtype) and not kinds.is_complex_dtype(column.dtype):
        numbers: npt.NDArray[np.float64] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers
    found = column.astype(object).to_numpy(dtype=object, na_value=np.nan)
    kind = kinds.infer_dtype(found, skipna=True)
    if kind in {"boolean", "integer", "floating", "mixed-integer-float", "decimal", "empty"}:
        return np.array(found, dtype=np.float64)
    codes, uniques = pd.factorize(np.array([v if isinstance(v, float) else str(v) for v in found], object))
    known: list[float | None] = [number(unique) for unique in uniques]
    if None in known:
        return np.asarray(np.array([*map(text, uniques), np.nan], dtype=object)[codes])
    return np.asarray(np.array([*known, np.nan], dtype=np.float64)[codes])


def numbers(column: pd.Series) -> pd.Series | None:
    """A column as float64; None if it holds words that are not numbers, and not all TRUE or FALSE."""
    if not words(column):
        return column
    codes, found = pd.factorize(column)
    if set(found) <= {TRUE, FALSE}:
        known = [float(word == TRUE) for word in found]
    elif all(NUMBER.fullmatch(word.strip()) for word in found):
        known = [float(word) for word in found]
    else:
        return None
    return pd.Series(np.array([*known, np.nan])[codes], index=column.index, name=column.name)
