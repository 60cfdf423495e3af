"""Tables in a file and back, all that peers learn from; must not know who wrote it or why.

A file has what code is never asked for: arrays of numbers and of text (`allow_pickle=False`).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from gossipfl.data.table import Table, words
from gossipfl.errors import BadData

Arrays = dict[str, Any]


def save(tables: Sequence[Table], path: Path) -> None:
    """Write tables to an .npz file, from which `restore` reads equal ones."""
    arrays: Arrays = {"where": _texts([table.where for table in tables])}
    for i, table in enumerate(tables):
        arrays |= {f"{i} {name}": array for name, array in _arrays(table).items()}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def restore(path: Path) -> list[Table]:
    """The tables in a file that `save` wrote. Raises BadData if it is none."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [_table(arrays, i, str(where)) for i, where in enumerate(arrays["where"])]
    except (OSError, ValueError, KeyError) as why:
        raise BadData(f"{path} holds no tables: {why}") from None


def _arrays(table: Table) -> Arrays:
    found: Arrays = {
        "test": table.test,
        "rows": table.target.index.to_numpy(),
        "columns": _texts(table.columns),
        "notes": _texts(table.notes),
        "target name": np.array(str(table.target.name)),
    }
    found |= _column("target", table.target)
    found |= {name: part for name in ("weights", "offset") if (part := getattr(table, name)) is not None}
    if not isinstance(table.features, pd.DataFrame):
        x = table.features
        return found | {"data": x.data, "indices": x.indices, "indptr": x.indptr}
    wordy = set(table.wordy)
    found["x"] = table.features.drop(columns=list(wordy)).to_numpy(dtype=np.float64)
    for j, name in enumerate(table.columns):
        if name in wordy:
            found |= _column(f"column {j}", table.features[name])
    return found


def _table(arrays: Any, number: int, where: str) -> Table:
    have = {name.partition(" ")[2]: name for name in arrays.files if name.partition(" ")[0] == str(number)}
    read = {name: arrays[full] for name, full in have.items()}
    names, rows = tuple(map(str, read["columns"])), len(read["rows"])
    index = pd.Index(read["rows"])
    target = pd.Series(_values(read, "target"), index=index, name=str(read["target name"]))
    features: pd.DataFrame | csr_array
    if "indptr" in read:
        parts = read["data"], read["indices"], read["indptr"]
        features = csr_array(parts, shape=(rows, len(names)))
    else:
        numbers = iter(read["x"].T)
        columns = {
            name: _values(read, f"column {j}") if f"column {j} codes" in read else next(numbers)
            for j, name in enumerate(names)
        }
        wordless = not any(name.endswith(" codes") for name in read if name.startswith("column "))
        labels = pd.Index(names, dtype=object)
        features = (
            pd.DataFrame(read["x"], index=index, columns=labels)
            if wordless
            else pd.DataFrame(columns, index=index, columns=labels)
        )
    made = Table(
        features,
        target,
        read["test"],
        where,
        () if isinstance(features, pd.DataFrame) else names,
        read.get("weights"),
        read.get("offset"),
    )
    return replace(made, notes=tuple(map(str, read["notes"])))


def _column(name: str, column: pd.Series) -> Arrays:
    if not words(column):
        return {name: column.to_numpy(dtype=np.float64)}
    codes, found = pd.factorize(column)
    return {f"{name} codes": codes, f"{name} words": _texts(found)}


def _values(read: Arrays, name: str) -> Any:
    """The values of a column as `Table` holds them: numbers, or words with NaN where one is missing."""
    if name in read:
        return read[name]
    return np.array([*map(str, read[f"{name} words"]), np.nan], dtype=object)[read[f"{name} codes"]]


def _texts(words: Any) -> Any:
    return np.array(list(map(str, words)), dtype=np.str_)
