"""A data frame of a program, read as a file with the same values would be; must not know who made it."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from gossipfl.data.readers import How, Raw, pointed
from gossipfl.errors import BadData

NONE: Mapping[str, Iterable[str]] = MappingProxyType({})


def read_frame(
    frame: pd.DataFrame, how: How, where: str = "the data frame", levels: Mapping[str, Iterable[str]] = NONE
) -> Raw:
    """The rows of a data frame, without the words that count as missing, and with numbers in place of decimal commas.

    Args:
        frame: columns of any types. Numbers and dates stay as they are.
        how: as for a text file.
        where: what messages call the frame.
        levels: words of a column that are known, and so never missing.

    Raises:
        BadData: the columns have no plain and different names, or some of the numbers have a decimal point and no comma.
    """
    frame = headed(frame, where)
    absent = {}
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind != "O":
            continue
        missing = {"", *how.missing}.difference(levels.get(name, ()))
        gone = np.array([isinstance(v, str) and v.strip() in missing for v in column], dtype=np.bool_)
        if gone.any():
            absent[name] = tuple(sorted({word for word in column[gone] if word.strip()}))
            column = column.mask(gone)
        if how.decimal == "," and name not in how.verbatim and _texts(column):
            try:
                column = pointed(column, name)
            except BadData as error:
                raise BadData(f"{where} {error}") from None
        frame[name] = column
    return Raw(frame, None, absent={name: found for name, found in absent.items() if found})


def headed(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """The frame with text as names of its columns, and with rows that count from 0, whatever its index is.

    Raises:
        BadData: the columns have names of several levels, or two have the same name.
    """
    if frame.columns.nlevels > 1:
        raise BadData(
            f"{where} has columns with names of {frame.columns.nlevels} levels: give each one name, for example "
            'frame.columns = ["_".join(map(str, name)) for name in frame.columns]'
        )
    names = pd.Index([str(name) for name in frame.columns], dtype=object)
    if names.has_duplicates:
        twice = names[names.duplicated()][0]
        raise BadData(f"{where} has two columns named {twice!r}: rename one, or leave one out")
    return frame.set_axis(names, axis=1).reset_index(drop=True)


def declared(frame: pd.DataFrame) -> set[str]:
    """The columns of pandas' type "category"."""
    return {str(name) for name, kind in frame.dtypes.items() if isinstance(kind, pd.CategoricalDtype)}


def _texts(column: pd.Series) -> bool:
    """Whether all values are words, and the program does not say that they are categories."""
    return not isinstance(column.dtype, pd.CategoricalDtype) and all(
        isinstance(v, str) for v in column.dropna()
    )
