"""From raw rows to numbers, by a schema that all peers agree on; must not know how they agree."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array, diags_array, issparse

from gossipfl.data.clean import clean, holes
from gossipfl.data.names import COMMA, FALSE, GROUPED, NUMBER, TRUE, listed, natural, text
from gossipfl.data.table import Table, numbers
from gossipfl.errors import BadData


class Rows(NamedTuple):
    """The rows that a model learns from."""

    x: npt.NDArray[np.float64] | csr_array  # (n, p)
    y: npt.NDArray[np.float64]  # (n,): the number, or the class as 0..K-1
    weight: npt.NDArray[np.float64] | None = None  # (n,) of each row in the objective; None: 1
    offset: npt.NDArray[np.float64] | None = None  # (n,) added to each row's margin; None: 0

    @property
    def total(self) -> float:
        """The sum of the rows' weights."""
        return float(len(self.y) if self.weight is None else self.weight.sum())


@dataclass(frozen=True)
class Schema:
    """What the columns mean at every peer. `agree` builds it, in an order that is the same at every peer.

    Levels and classes are in natural order, those without training rows last.
    """

    columns: tuple[str, ...]  # of the raw table
    levels: Mapping[str, tuple[str, ...]]  # of each categorical column
    classes: (
        tuple[str, ...] | None
    )  # of the target, the positive one last of two; None: the target is a number
    unseen: tuple[str, ...] = ()  # classes without training rows; a model learns nothing about them
    constant: tuple[str, ...] = ()  # features with one value in all training rows; they become 0
    fill: Mapping[str, float | str] = field(default_factory=dict)  # what replaces missing values of a column
    class_weights: tuple[float, ...] = ()  # factors of the rows' weights, in the order of classes; empty: 1

    @classmethod
    def agree(
        cls,
        columns: Sequence[str],
        levels: Mapping[str, Iterable[str]],
        classes: Iterable[str] | None,
        positive: str | None = None,
        seen: Mapping[str | None, Iterable[str]] | None = None,
    ) -> "Schema":
        """The schema from the unions over all peers.

        Args:
            columns: of the raw tables.
            levels: of each categorical column.
            classes: of the target; None: it is a number.
            positive: becomes the last of two classes.
            seen: the levels, and for None the classes, that have training rows; the default is all.

        Raises:
            BadData: fewer than two classes have rows, or training rows, `positive` is none of two classes, or two levels or
                classes are so alike that they may be the same.
        """

        def ordered(words: Iterable[str], key: str | None) -> tuple[str, ...]:
            known = set(words)
            _apart(known, "the target has the classes" if key is None else f"column {key!r} has the levels")
            trained = known if seen is None else set(seen.get(key, ()))
            return tuple(sorted(known, key=lambda word: (word not in trained, natural(word))))

        named = None if classes is None else ordered(classes, None)
        unseen = () if named is None or seen is None else tuple(c for c in named if c not in set(seen[None]))
        if named is not None and len(named) - len(unseen) < 2:
            which = "training rows" if unseen else "rows"
            raise BadData(
                f"the target is {listed(named[: len(named) - len(unseen)])} in all {which} of all peers: use a target with at "
                "least two classes"
            )
        if positive is not None:
            last = text(positive)
            if named is None or len(named) != 2 or last not in named:
                has = "is a number" if named is None else f"has the classes {listed(named)}"
                raise BadData(
                    f"positive = {positive!r} must be one of two classes of the target, which {has}"
                )
            named = tuple(sorted(named, key=lambda name: name == last))
        return cls(
            tuple(columns),
            {name: ordered(levels[name], name) for name in columns if name in levels},
            named,
            unseen,
        )

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the columns of `Rows.x`: `cp` becomes `cp=2`, `cp=3`, ..., without its first level."""
        return tuple(
            feature
            for column in self.columns
            for feature in (
                [f"{column}={level}" for level in self.levels[column][1:]]
                if column in self.levels
                else [column]
            )
        )

    def fingerprint(self) -> int:
        """`mark` of the schema: the same for equal schemas, almost never for others."""
        return mark(json.dumps([self.columns, list(self.levels.items()), self.classes]))


def mark(words: str) -> int:
    """A number in [0, 2^53), which a float64 can hold: the same for equal words, almost never for others."""
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "big") >> 11


def levels(table: Table, categorical: Sequence[str] = (), training: bool = False) -> dict[str, set[str]]:
    """The levels that this peer has of each categorical column, in all rows or only in the training rows.

    Raises:
        BadData: a column of words is not declared categorical, or a declared column does not exist.
    """
    table.require(categorical)
    if not isinstance(table.features, pd.DataFrame):
        if categorical:
            raise BadData(f"{table.where}: sparse columns cannot be categorical: {listed(categorical)}")
        return {}
    unclear = {c: no_numbers(table.features[c]) for c in table.wordy if c not in set(categorical)}
    if unclear := {name: values for name, values in unclear.items() if len(values)}:
        first = next(iter(unclear.values()))
        commas = [name for name, values in unclear.items() if all(map(_marked, values))]
        if commas:
            value = unclear[commas[0]]
            raise BadData(
                f"{table.where}: the columns {listed(commas)} have numbers with a comma or thousands separators (for example "
                f'{value.iloc[0]!r} in row {value.index[0] + 1}): set decimal = "," if it is a decimal comma, and write '
                "numbers without thousands separators"
            )
        raise BadData(
            f"{table.where}: the columns {listed(unclear)} are not numbers (for example {first.iloc[0]!r} in row "
            f"{first.index[0] + 1}): set categorical = {json.dumps(list(unclear), ensure_ascii=False)}, or leave "
            "them out with drop"
        )
    return {name: _distinct(table, table.features[name], training) for name in categorical}


def _marked(value: object) -> bool:
    """Whether a word is a number with a decimal comma or thousands separators."""
    return any(pattern.fullmatch(str(value)) for pattern in (COMMA, GROUPED))


def no_numbers(column: pd.Series) -> pd.Series:
    """The words that cannot be read as numbers."""
    values = column.dropna()
    return values[[NUMBER.fullmatch(str(value)) is None for value in values]]


def classes(table: Table, training: bool = False) -> set[str]:
    """The classes that this peer has, in all rows or only in the training rows."""
    return _distinct(table, table.target, training)


def encode(table: Table, schema: Schema) -> tuple[Rows, Rows]:
    """The training rows and the test rows, as numbers.

    Missing values become those of the schema. A categorical column is one-hot without its first level. Classes are numbered in
    the order of the schema. Constant features are 0.

    Raises:
        BadData: a value is missing or infinite, the columns are not those of the schema, a level or class is unknown, or the
            target has words where it must be a number.
    """
    table = clean(filled(table, schema.fill), "refuse")
    if set(table.columns) != set(schema.columns):
        lacks, more = (
            [name for name in some if name not in set(others)]
            for some, others in ((schema.columns, table.columns), (table.columns, schema.columns))
        )
        parts = [f"lacks {listed(lacks)}"] * bool(lacks) + [f"also has {listed(more)}"] * bool(more)
        raise BadData(
            f"{table.where} does not have the columns that the peers agreed on: it {' and '.join(parts)}; leave columns out "
            f"with drop = {json.dumps(more or lacks, ensure_ascii=False)} at all peers, or change the file"
        )
    table = table.select(schema.columns)
    x, y = features(table, schema), _target(table, schema)
    rows = weighted(without(Rows(x, y, table.weights, table.offset), schema), schema)
    return taken(rows, ~table.test), taken(rows, table.test)


def filled(table: Table, fill: Mapping[str, float | str]) -> Table:
    """The table with a value in place of each missing one, in the columns of `fill`."""
    lacking = [name for name in holes(table) if name in fill] if fill else []
    if not lacking or not isinstance(table.features, pd.DataFrame):
        return table
    columns = {}
    for name in lacking:
        column, value = table.features[name], fill[name]
        columns[name] = (column.map(text, na_action="ignore") if isinstance(value, str) else column).fillna(
            value
        )
    return replace(table, features=table.features.assign(**columns))


def without(rows: Rows, schema: Schema) -> Rows:
    """The rows with 0 in the constant features of the schema."""
    if not schema.constant:
        return rows
    kept = ~np.isin(schema.features, schema.constant)
    x = rows.x @ diags_array(kept.astype(np.float64)) if issparse(rows.x) else np.where(kept, rows.x, 0.0)
    return rows._replace(x=csr_array(x) if issparse(x) else x)


def weighted(rows: Rows, schema: Schema) -> Rows:
    """The rows with their weights times those of their classes."""
    if not schema.class_weights:
        return rows
    factor = np.array(schema.class_weights)[rows.y.astype(np.int64)]
    return rows._replace(weight=factor if rows.weight is None else rows.weight * factor)


def counted(rows: Rows) -> Rows:
    """The rows whose weight is not 0."""
    return rows if rows.weight is None or rows.weight.all() else taken(rows, rows.weight > 0)


def taken(rows: Rows, which: npt.NDArray[np.bool_] | slice) -> Rows:
    weight, offset = (None if part is None else part[which] for part in (rows.weight, rows.offset))
    return Rows(rows.x[which], rows.y[which], weight, offset)


def features(table: Table, schema: Schema) -> npt.NDArray[np.float64] | csr_array:
    """The columns of the schema as numbers, (n, p), one-hot without the first level where they are categorical.

    The table has exactly these columns, in this order, and no missing value. Raises BadData as `encode`.
    """
    if not isinstance(table.features, pd.DataFrame):
        return table.features
    levels(table, tuple(schema.levels))
    if not schema.levels:
        return np.ascontiguousarray(table.features.to_numpy(dtype=np.float64))
    x = np.zeros((len(table), len(schema.features)))
    here = 0
    for name in schema.columns:
        column = table.features[name]
        if name not in schema.levels:
            x[:, here] = column
            here += 1
            continue
        codes = _number(column, schema.levels[name], f"{table.where}: column {name!r} has the level")
        shown = np.flatnonzero(codes)
        x[shown, here + codes[shown] - 1] = 1.0
        here += max(len(schema.levels[name]) - 1, 0)
    return x


def _target(table: Table, schema: Schema) -> npt.NDArray[np.float64]:
    if schema.classes is not None:
        codes = _number(table.target, schema.classes, f"{table.where}: the target has the class")
        return codes.astype(np.float64)
    target = numbers(table.target)
    if target is None:
        raise BadData(
            f"{table.where}: the target {table.target.name!r} is not a number (for example "
            f"{table.target.iloc[0]!r}): use a classification model, or another target"
        )
    y: npt.NDArray[np.float64] = target.to_numpy(dtype=np.float64, copy=True)
    return y


def _number(column: pd.Series, known: Sequence[str], complaint: str) -> npt.NDArray[np.int64]:
    """The position of each value's text among the known ones."""
    codes, found = pd.factorize(column.to_numpy())
    place = {word: i for i, word in enumerate(known)}
    texts = [text(value) for value in found]
    if unknown := [word for word in texts if word not in place]:
        raise BadData(f"{complaint} {unknown[0]!r}, which the peers did not agree on")
    numbers: npt.NDArray[np.int64] = np.array([place[word] for word in texts], dtype=np.int64)[codes]
    return numbers


def _apart(words: Iterable[str], what: str) -> None:
    """Raise BadData if two words differ only by blanks or line breaks, or if some are truth values and others 0 or 1."""
    words = sorted(words, key=natural)
    seen: dict[str, str] = {}
    for word in words:
        if (other := seen.setdefault(" ".join(word.split()), word)) != word:
            raise BadData(
                f"{what} {other!r} and {word!r}, which differ only by blanks or line breaks: write them alike in all files"
            )
    if {TRUE, FALSE} & set(words) and {"0", "1"} & set(words):
        raise BadData(
            f"{what} {listed(words)}: truth values and numbers: write {TRUE} and {FALSE}, or 1 and 0, in all files"
        )


def _distinct(table: Table, column: pd.Series, training: bool) -> set[str]:
    chosen = column.to_numpy()[~table.test] if training else column.to_numpy()
    return {text(value) for value in pd.unique(chosen) if not pd.isna(value)}
