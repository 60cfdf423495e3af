"""How missing values are treated; must not know why they are missing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from gossipfl.data.names import listed, text
from gossipfl.data.table import Table, words
from gossipfl.errors import BadData

Missing = Literal["refuse", "drop", "mean", "mode", "median", "level"]
LEVEL = "(missing)"  # of missing values, with "level"


def clean(table: Table, missing: Missing = "refuse", categorical: Sequence[str] = ()) -> Table:
    """A table without missing values, or with those that all peers together will fill in (`fill`).

    - "refuse": raise BadData with the column, the number of values and the first row.
    - "drop": leave out rows with missing values. Call it before `split`, which then divides the remaining rows.
    - "level": a missing value of a categorical column is a level of its own.
    - "mean", "median": the column must be numeric. "mode": any column. The values stay missing until the peers agree.

    An infinite value is always refused, a missing target unless its row is dropped.
    """
    if table.finite:
        return table
    refuse_infinite(table)
    holes = holes_in(table)
    unlabelled = table.target.isna().to_numpy()
    if missing == "drop":
        kept = ~np.any([unlabelled, *holes.values()], axis=0)
        if not kept.any():
            raise BadData(f'{table.where} has a missing value in every row, so missing = "drop" leaves none')
        return table if kept.all() else _told(table.take(kept), table, holes, unlabelled)
    if unlabelled.any():
        raise BadData(
            f"{table.where}: the target {table.target.name!r} is missing in {unlabelled.sum()} rows, first "
            f"in row {table.row(int(unlabelled.argmax()))}{_word(table, str(table.target.name))}; drop them with "
            'missing = "drop"'
        )
    if not holes:
        return table
    if missing == "refuse":
        name, where = next(iter(holes.items()))
        others = f" (also in {listed(list(holes)[1:])})" if len(holes) > 1 else ""
        raise BadData(
            f"{table.where}: column {name!r} has {where.sum()} missing values, first in row "
            f'{table.row(int(where.argmax()))}{_word(table, name)}{others}; leave the rows out with missing = "drop", fill in '
            f'a value with missing = "mean", "median" or "mode", make it a level with missing = "level", or leave out the '
            f"column with drop = [{name!r}]"
        )
    return _levelled(table, holes, missing, set(categorical))


def _told(
    kept: Table, table: Table, holes: dict[str, npt.NDArray[np.bool_]], unlabelled: npt.NDArray[np.bool_]
) -> Table:
    """The kept rows of a table, with a note of those that were left out."""
    counts = {name: int(where.sum()) for name, where in holes.items()}
    counts |= {str(table.target.name): int(unlabelled.sum())} if unlabelled.any() else {}
    left = f"{len(table) - len(kept)} of {len(table)} rows are left out, as values are missing"
    return _noted(kept, table, left, counts)


def _noted(kept: Table, table: Table, what: str, counts: dict[str, int]) -> Table:
    """A table with a note of what was done, where each column of `table` had so many missing values."""
    why = [f"{name!r} in {count}{_word(table, name)}" for name, count in counts.items()]
    why = [*why[:8], f"{len(why) - 8} more columns"] if len(why) > 9 else why
    return replace(kept, notes=(*kept.notes, f"{what}: {', '.join(why)}"))


def _word(table: Table, name: str) -> str:
    """The words of a column that count as missing, and the key that says so, in brackets; "" if it has none."""
    words = table.absent.get(name)
    return f" ({listed(words)} counts as missing: see missing_words)" if words else ""


def holes(table: Table) -> dict[str, int]:
    """The number of missing values of each column that has any."""
    return {name: int(where.sum()) for name, where in holes_in(table).items()}


def holes_in(table: Table) -> dict[str, npt.NDArray[np.bool_]]:
    """Where values are missing, (n,) for each column that has a missing value."""
    if isinstance(table.features, pd.DataFrame):
        frame = table.features
        absent = frame.isna().to_numpy() if table.wordy else np.isnan(frame.to_numpy())
        return {table.columns[j]: absent[:, j] for j in np.flatnonzero(absent.any(axis=0))}
    found = table.features.tocoo()
    rows, columns = (index[np.isnan(found.data)] for index in found.coords)
    here = np.arange(len(table))
    return {table.columns[j]: np.isin(here, rows[columns == j]) for j in np.unique(columns)}


def refuse_infinite(table: Table) -> None:
    """Raise BadData for the first infinite value of the target or of the features."""
    if not words(table.target) and np.isinf(table.target.to_numpy()).any():
        row = table.row(int(np.isinf(table.target.to_numpy()).argmax()))
        raise BadData(f"{table.where}: the target is infinite in row {row}: correct the file")
    if isinstance(table.features, pd.DataFrame):
        numbers = table.features.drop(columns=list(table.wordy))
        names, (rows, columns) = numbers.columns, np.nonzero(np.isinf(numbers.to_numpy()))
    else:
        found = table.features.tocoo()
        names, (rows, columns) = table.columns, (index[np.isinf(found.data)] for index in found.coords)
    if len(rows):
        name = names[columns[0]]
        raise BadData(
            f"{table.where}: column {name!r} is infinite in row {table.row(int(rows[0]))}: correct the file, "
            f"or leave the column out with drop = [{name!r}]"
        )


def _levelled(
    table: Table, holes: dict[str, npt.NDArray[np.bool_]], missing: Missing, categorical: set[str]
) -> Table:
    """Check that `missing` fits the columns with holes; for "level", the table with that level. A word that counts is told."""
    if not isinstance(table.features, pd.DataFrame):
        raise BadData(
            f'{table.where}: missing = "{missing}" cannot fill sparse columns; use missing = "drop"'
        )
    for name in holes:
        levels = name in categorical or words(table.features[name])
        if levels and missing in ("mean", "median"):
            raise BadData(
                f"{table.where}: column {name!r} is categorical: its missing values cannot be filled with a {missing}; "
                f'use missing = "level", "mode" or "drop", or drop = [{name!r}]'
            )
        if missing == "level" and not levels:
            raise BadData(
                f"{table.where}: column {name!r} is numeric: its missing values cannot be a level; declare it in categorical, "
                'or use missing = "mean", "median", "mode" or "drop"'
            )
    done, level = table, missing == "level"
    if level:
        columns = {name: table.features[name].map(text, na_action="ignore").fillna(LEVEL) for name in holes}
        done = replace(table, features=table.features.assign(**columns))
    counts = {name: int(where.sum()) for name, where in holes.items() if _word(table, name)}
    what = "values are missing, and become a level" if level else "values are missing, and are filled in"
    return _noted(done, table, what, counts) if counts else done
