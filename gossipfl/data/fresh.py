"""New rows for a finished model, which may lack the target; must not know how a model predicts.

All rows keep their order. Words that training never saw become the first level of their column; a row that lacks a value which
nothing replaces is left out, and a note says so.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array

from gossipfl.data.clean import LEVEL, Missing, holes_in, refuse_infinite
from gossipfl.data.encode import Schema, filled, no_numbers
from gossipfl.data.memory import read_frame
from gossipfl.data.names import did_you_mean, listed, text
from gossipfl.data.readers import MISSING, How
from gossipfl.data.sources import whole, worded
from gossipfl.data.table import Table, numbers, values
from gossipfl.data.target import columns_of, pick
from gossipfl.errors import BadData

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Wanted:
    """What a finished model reads from a file, and how."""

    schema: Schema
    target: str | None = None  # as in the experiment file: a column, or a comparison
    offset: str | None = None
    how: Missing = "refuse"  # missing values were treated in training
    missing: Collection[str] = MISSING  # words of text files that count as missing
    decimal: str = "."
    header: Sequence[str] | None = None  # the names of the columns of a file without a header line

    @property
    def level(self) -> bool:
        """Whether a missing value of a categorical column is a level of its own."""
        return self.how == "level"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a file must have."""
        return (*self.schema.columns, *((self.offset,) if self.offset else ()))


def read_fresh(source: str, wanted: Wanted, folder: Path = Path()) -> tuple[Table, pd.Series | None]:
    """The rows of a file with the columns that the model needs, and the target where the file has it; others are left out.

    Raises:
        BadData: the file is missing or unreadable, or lacks a column that the model needs.
    """
    if (raw := whole(source, folder, _how(wanted))) is None:
        raise BadData(f"no data {source!r}: give one file with the rows to predict")
    if isinstance(raw.features, pd.DataFrame):
        return from_frame(raw.features, wanted, source)
    return _sparse(raw.features, raw.names, wanted, source), pd.Series(raw.target)


def from_frame(
    frame: pd.DataFrame, wanted: Wanted, where: str = "the data"
) -> tuple[Table, pd.Series | None]:
    """As `read_fresh`, of a data frame with columns of any types."""
    names = columns_of(wanted.target)
    frame = cast("pd.DataFrame", read_frame(frame, _how(wanted), where).features)
    if lacking := [name for name in wanted.columns if name not in frame.columns]:
        raise BadData(
            f"{where} lacks {listed(lacking)}, which the model needs{did_you_mean(lacking[0], frame.columns)}"
        )
    frame = worded(frame, {*wanted.schema.levels, *(names if wanted.schema.classes else ())})
    labels = None
    if any(name in frame.columns for name in names):
        labels = pick(frame, wanted.target, where)[1]
    table = Table.of(frame[[*wanted.schema.columns]], np.zeros(len(frame)), where)
    if wanted.offset:
        table = replace(table, offset=_offset(frame[wanted.offset], where))
    return table, labels


def _how(wanted: Wanted) -> How:
    """How files are written."""
    names = columns_of(wanted.target)
    labels = set(names) if wanted.schema.classes else set[str]()
    known = {**dict.fromkeys(names[:1], wanted.schema.classes or ()), **wanted.schema.levels}
    words = labels | {*wanted.schema.levels}
    return How(wanted.header, names, words, wanted.missing, wanted.decimal, wanted.columns, known)


def _offset(column: pd.Series, where: str) -> Array:
    found = numbers(pd.Series(values(column)))
    if found is None:
        raise BadData(f"{where}: the offset {column.name!r} is not a number in each row: correct the file")
    offset: Array = found.to_numpy(dtype=np.float64)
    return offset


def _sparse(x: csr_array, names: Sequence[str], wanted: Wanted, where: str) -> Table:
    """The columns of the model; one that the file does not mention is 0 in all rows."""
    if strange := [name for name in wanted.columns if not name.startswith("x")]:
        raise BadData(
            f"{where} has numbered columns, and the model needs {listed(strange)}: give a file with names"
        )
    place = {name: j for j, name in enumerate(names)}
    known = [(place[name], j) for j, name in enumerate(wanted.columns) if name in place]
    moves = csr_array(
        (np.ones(len(known)), tuple(np.array(known, dtype=np.int64).reshape(-1, 2).T)),
        shape=(x.shape[1], len(wanted.columns)),
    )
    return Table.of(x @ moves, np.zeros(x.shape[0]), where, wanted.columns)


def complete(table: Table, wanted: Wanted) -> tuple[Table, npt.NDArray[np.bool_]]:
    """The rows that the model can predict, without missing values or unknown levels, and which of all rows these are, (n,).

    Raises:
        BadData: a column of numbers has a word, or a value is infinite.
    """
    schema = wanted.schema
    for name in table.wordy:
        if name not in schema.levels and len(strange := no_numbers(table.features[name])):
            raise BadData(
                f"{table.where}: column {name!r} has {strange.iloc[0]!r} in row {strange.index[0] + 1}, and the model needs "
                "numbers there: correct the file, or leave the field empty if the value is missing"
            )
    refuse_infinite(table)
    table = filled(table, schema.fill)
    if wanted.level and isinstance(table.features, pd.DataFrame):
        found = {
            name: table.features[name].map(text, na_action="ignore").fillna(LEVEL) for name in schema.levels
        }
        table = replace(table, features=table.features.assign(**found))
    table = _known(table, schema.levels)
    holes = holes_in(table)
    if table.offset is not None and not np.isfinite(table.offset).all():
        holes = {**holes, str(wanted.offset): ~np.isfinite(table.offset)}
    if not holes:
        return table, np.ones(len(table), dtype=np.bool_)
    full = ~np.any([*holes.values()], axis=0)
    lacking = "; ".join([f"{name!r} in {_rows(where)}" for name, where in holes.items()][:8])
    gone = int((~full).sum())
    note = (
        f"{gone} of {len(table)} rows {'has' if gone == 1 else 'have'} no prediction, for lack of a value that the model "
        f"cannot replace: {lacking}"
    )
    kept = table.take(full)
    return replace(kept, notes=(*kept.notes, note)), full


def _rows(which: npt.NDArray[np.bool_]) -> str:
    """How many rows these are, and the first of them."""
    count, first = int(which.sum()), int(which.argmax()) + 1
    return f"row {first}" if count == 1 else f"{count} rows, first row {first}"


def _known(table: Table, levels: Mapping[str, Sequence[str]]) -> Table:
    """The table with the first level in place of words that are no level, and a note for each column that has some."""
    notes, columns = [], {}
    for name, known in levels.items():
        column = table.features[name].map(text, na_action="ignore")
        strange = (column.notna() & ~column.isin(known)).to_numpy()
        if not strange.any():
            continue
        words = listed(dict.fromkeys(column[strange]), 5)
        notes.append(
            f"column {name!r} has {words}, which the model has never seen ({_rows(strange)}): it predicts as for {known[0]!r}, "
            "the level that the coefficients of this column compare with"
        )
        columns[name] = column.mask(strange, known[0])
    if not notes:
        return table
    return replace(table, features=table.features.assign(**columns), notes=(*table.notes, *notes))
