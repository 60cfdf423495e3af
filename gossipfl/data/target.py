"""The column to be predicted, taken from a frame; must not know which file the frame came from."""

import operator
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from gossipfl.data.names import FALSE, NUMBER, TRUE, did_you_mean, listed, text
from gossipfl.data.table import numbers, values, words
from gossipfl.errors import BadData

_SIGNS: dict[str, Callable[[pd.Series, float | str], pd.Series]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_COMPARISON = re.compile(r"(.+?)\s*(==|!=|>=|<=|>|<)\s*(.+)", re.DOTALL)


def columns_of(target: str | None) -> tuple[str, ...]:
    """What may be the name of the target's column: the target itself, and the part of it before a sign."""
    if target is None:
        return ()
    return (target, match[1]) if (match := _COMPARISON.fullmatch(target)) else (target,)


def pick(
    frame: pd.DataFrame, target: str | npt.NDArray[np.float64] | None, where: str
) -> tuple[pd.DataFrame, pd.Series]:
    """The features and the target.

    Args:
        frame: the target among other columns.
        target: a column; or `COLUMN SIGN VALUE` with a sign of == != >= <= > < ("num > 0"), which makes the target 1 where
            this is true and 0 where it is false; a missing value stays missing.
        where: what messages call the frame.
    """
    if not isinstance(target, str):
        raise BadData(f'{where} needs a target: set target = "..."; its columns are {listed(frame.columns)}')
    if target in frame.columns:
        return frame.drop(columns=target), frame[target]
    column, sign, value = match.groups() if (match := _COMPARISON.fullmatch(target)) else (target, "", "")
    if column not in frame.columns:
        hint = ""
        if any(NUMBER.fullmatch(str(name)) for name in frame.columns):
            hint = "; if its first line is no header, name the columns with columns = [...]"
        raise BadData(f"{where} has no target column {column!r}{did_you_mean(column, frame.columns)}{hint}")
    return frame.drop(columns=column), _compare(frame[column], sign, value, where)


def _compare(column: pd.Series, sign: str, value: str, where: str) -> pd.Series:
    """1.0 where the comparison is true, 0.0 where it is false, NaN where the value is missing."""
    column = pd.Series(values(column), index=column.index, name=column.name)
    equal = sign in {"==", "!="} and words(column) and not set(column.dropna()) <= {TRUE, FALSE}
    if NUMBER.fullmatch(value) and not equal and (plain := numbers(column)) is not None:
        holds = _SIGNS[sign](plain, float(value))
    elif sign in {"==", "!="}:
        holds = _SIGNS[sign](column.map(text, na_action="ignore"), text(value))
    else:
        raise BadData(
            f"{where}: {column.name!r} {sign} {value!r} compares values that are not numbers; use == or !="
        )
    return holds.astype(np.float64).where(column.notna())
