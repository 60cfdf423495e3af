"""A data frame of a program, read as a file with the same values would be; must not know who made it."""

from collections.abc import Collection
from numbers import Number

import numpy as np
import numpy.typing as npt
import pandas as pd

from gossipfl.data.names import NUMBER, text
from gossipfl.data.readers import How, Raw, apart_as_numbers, pointed
from gossipfl.errors import BadData

_WORDS = "OU"  # kinds of columns that may have words; U is that of Arrow's text


def read_frame(frame: pd.DataFrame, how: How, where: str = "the data frame") -> Raw:
    """The rows of a data frame, without the words that count as missing, and with numbers in place of decimal commas.

    A number is missing, too, if a missing word is that number.

    Args:
        frame: columns of any types. Numbers and dates stay as they are.
        how: as for a text file.
        where: what messages call the frame.

    Raises:
        BadData: the columns have no plain and different names, some of the numbers have a decimal point and no comma, or two
            codes would be one number.
    """
    frame = headed(frame, where)
    absent = {}
    for name in frame.columns:
        column = frame[name]
        gone = _gone(column, {"", *how.missing}.difference(how.levels.get(name, ())))
        if gone.any():
            found = {value if isinstance(value, str) else text(value) for value in column[gone]}
            absent[name] = tuple(sorted(word for word in found if word.strip()))
            exact = column.astype(object) if column.dtype.kind in "iu" else column  # a float may not hold it
            column = exact.mask(gone)
        try:
            if name in how.verbatim:
                apart_as_numbers(column, name)
            elif how.decimal == "," and _texts(column):
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


def _gone(column: pd.Series, missing: Collection[str]) -> npt.NDArray[np.bool_]:
    """Which values are missing words, or numbers that one of these is."""
    numbers: set[object] = {float(word) for word in missing if NUMBER.fullmatch(word)}

    def is_gone(value: object) -> bool:
        if isinstance(value, str):
            return value.strip() in missing
        return isinstance(value, Number) and not isinstance(value, bool) and value in numbers

    if column.dtype.kind in _WORDS:
        return np.array([is_gone(value) for value in column], dtype=np.bool_)
    if column.dtype.kind in "iuf" and numbers:
        return np.asarray(column.isin(numbers), dtype=np.bool_)
    return np.zeros(len(column), dtype=np.bool_)


def _texts(column: pd.Series) -> bool:
    """Whether all values are words, and the program does not say that they are categories."""
    if column.dtype.kind not in _WORDS or isinstance(column.dtype, pd.CategoricalDtype):
        return False
    return all(isinstance(v, str) for v in column.dropna())
