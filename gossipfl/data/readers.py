"""One reader for each file format; must not know what the columns mean or which peer the file belongs to.

A reader takes an open binary file, and what the experiment says of files.
"""

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array

from gossipfl.data.names import COMMA, NUMBER, number
from gossipfl.errors import BadData

MISSING = (
    "?", "NA", "N/A", "n/a", "#N/A", "#NA", "#N/A N/A", "<NA>", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None",
    "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN",
)  # fmt: skip
_WIDEST = 2**22  # columns of a sparse file: a larger number is a damaged index, not a data set
_SEPARATORS = "\t;|, "
HEADER = (
    "the first line must name all columns, separated as the values are: by commas, semicolons, tabs, bars or blanks; or name "
    'them with columns = ["...", ...]'
)
_HEAD = 50  # lines that tell how a file is written


class How(NamedTuple):
    """How the experiment says that files are written."""

    columns: Sequence[str] | None = None  # the names of the columns, if the file has no header line
    targets: Collection[str] = ()  # the column to predict, or what may be its name
    verbatim: Collection[str] = ()  # columns whose values are words, as they are written: "007" is not 7
    missing: Collection[str] = MISSING  # words that count as missing; an empty field always does
    decimal: str = "."  # or ","
    features: Collection[str] = ()  # columns that are known to be features; a file may have one of them alone
    # Of columns in a frame or a Parquet file, words that are known, and so never missing.
    levels: Mapping[str, Iterable[str]] = MappingProxyType({})

    @property
    def words(self) -> set[str]:
        """The columns that are read as words. The target is one: it may be a class."""
        return {*self.verbatim, *self.targets}


class Raw(NamedTuple):
    """The content of a source: a frame with the target among its columns, or sparse features and a target."""

    features: pd.DataFrame | csr_array
    target: str | npt.NDArray[np.float64] | None  # its column, if the source has a natural one; or its values
    names: tuple[str, ...] = ()  # of sparse columns
    absent: Mapping[str, tuple[str, ...]] = MappingProxyType(
        {}
    )  # of columns of words, those that count as missing


Reader = Callable[[BinaryIO, How], Raw]


def read_csv(file: BinaryIO, how: How) -> Raw:
    """UTF-8 text, separated by commas, semicolons, tabs, bars or blanks, with a header line unless `columns` names the columns.

    Lines above the header that begin with # are comments, but the last of them is the header if no other line can be it. A
    first line "sep=;" names the separator.
    """
    with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as lines:
        names, separator, skipped = _layout(list(islice(lines, _HEAD)), how.columns)
        _unique(name for name in names if name)
        lines.seek(0)
        rows: Iterable[str] = lines
        for _ in islice(lines, skipped):
            pass
        if separator == " ":
            rows, separator = _tabbed(lines, len(names)), "\t"
        words = {place for place, name in enumerate(names) if name in how.words}
        try:
            frame = pd.read_csv(
                rows,
                sep=separator,
                header=None,
                na_values={j: [""] if j in words else ["", *how.missing] for j in range(len(names))},
                keep_default_na=False,
                dtype=dict.fromkeys(words, object),
                decimal="." if separator == "," else how.decimal,
                skipinitialspace=True,
                low_memory=False,
            )
        except pd.errors.EmptyDataError:
            raise BadData("has a header but no rows") from None
        except pd.errors.ParserError as error:
            if not (found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))):
                raise
            raise BadData(
                f"has {found[3]} values in line {found[2]} below its header, and {found[1]} in the lines above: give all rows "
                "equally many, and put values with a separator in quotes"
            ) from None
    return _named(frame, names, how)


def _named(frame: pd.DataFrame, names: list[str], how: How) -> Raw:
    """The frame with its names, missing words and decimal commas."""
    if frame.shape[1] != len(names):
        raise BadData(f"has {len(names)} column names but {frame.shape[1]} values in its first row: {HEADER}")
    if len(names) == 1 and how.targets and names[0] not in {*how.targets, *how.features}:
        raise BadData(f"has only one column, {names[0]!r}: {HEADER}")
    absent = {}
    for j in [j for j, name in enumerate(names) if name in how.words]:
        gone = frame[j].map(str.strip, na_action="ignore").isin(list(how.missing))
        absent[names[j]] = tuple(sorted(frame.loc[gone, j].unique()))
        frame[j] = frame[j].mask(gone)
        if names[j] in how.verbatim:
            apart_as_numbers(frame[j], names[j])
    if how.decimal == ",":
        for j in range(len(names)):
            if names[j] not in how.verbatim:
                frame[j] = pointed(frame[j], names[j])
    frame = frame.set_axis(names, axis=1)
    if "" in names:
        bare = [not name and bool(frame.iloc[:, j].isna().all()) for j, name in enumerate(names)]
        frame = frame.loc[:, ~np.array(bare)]  # a separator at the end of each line makes an empty column
    if (frame.columns == "").sum() > 1:
        raise BadData("has several columns without a name: name them in the first line")
    return Raw(frame, None, absent={name: found for name, found in absent.items() if found})


def _layout(head: list[str], columns: Sequence[str] | None) -> tuple[list[str], str, int]:
    """The names of the columns, the separator, and the number of lines before the first row."""
    first = next((i for i, line in enumerate(head) if line.strip() and line[0] != "#"), len(head))
    comments = [line.lstrip("# ") for line in head[:first] if line[0] == "#"]
    told = re.fullmatch(r'"?sep=(.)"?\s*', head[first]) if first < len(head) else None
    first += told is not None
    body = head[first:]
    separator = told[1] if told else _separator(body, None if columns is None else len(columns))
    record, second = [*islice(_records(body, separator), 2), [], []][:2]
    alike = [line for line in comments if len(next(_records([line], separator), [])) == len(record) > 1]
    named = next(_records(alike[-1:], separator), [])
    if columns is not None:
        if alike:
            raise BadData(
                f"has a first line with # that may be a comment or a row: remove it, or its # ({alike[0].strip()!r})"
            )
        return list(columns), separator, first
    if alike and any(map(NUMBER.fullmatch, record)) and not any(map(NUMBER.fullmatch, named)):
        return [_name(word) for word in named], separator, first
    if alike and not any(map(NUMBER.fullmatch, second)):
        raise BadData(
            f"has two lines that may be the header: remove the line with # ({alike[-1].strip()!r}), or its #"
        )
    if all(NUMBER.fullmatch(word) or word in {"", "?"} for word in record):
        raise BadData('has no header line: name its columns with columns = ["...", ...]')
    lines = iter(body)
    header = next(_records(lines, separator))
    return [_name(word) for word in header], separator, first + len(body) - len(list(lines))


def _separator(lines: Sequence[str], width: int | None) -> str:
    """The separator that cuts all lines into equally many values (`width`, if it is known), and most of them into numbers.

    If there is none, the one that cuts a line into most values; blanks come last.
    """
    cut = {separator: _cut(lines, separator) for separator in _SEPARATORS}
    best, found = -1.0, ""
    for separator, records in cut.items():
        widths = {len(record) for record in records}
        if widths - {1} and len(widths) == 1 and width in (None, *widths):
            values = [value for record in records for value in record]
            share = sum(bool(NUMBER.fullmatch(v) or COMMA.fullmatch(v)) for v in values) / len(values)
            best, found = max((best, found), (share, separator), key=lambda pair: pair[0])
    if found:
        return found
    most = {separator: max(map(len, records), default=1) for separator, records in cut.items()}
    return (
        " " if most.pop(" ") > 1 == max(most.values()) else max(most, key=lambda separator: most[separator])
    )


def _cut(lines: Sequence[str], separator: str) -> list[list[str]]:
    """The values of the first lines."""
    try:
        return list(islice(_records(lines, separator), _HEAD // 2))
    except csv.Error:  # a very long line without this separator
        return []


def _records(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    """The values of each line that is not empty; a value in quotes may have separators and line breaks."""
    if separator == " ":
        lines = (line.replace("\t", " ").strip(" \r\n") for line in lines)
    records = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    return ([value.strip() for value in record] for record in records if any(map(str.strip, record)))


def _tabbed(lines: Iterable[str], width: int) -> io.StringIO:
    """The same rows, separated by tabs in place of blanks: with blanks, a row that lacks a value would be shifted."""
    tabbed = io.StringIO()
    writer = csv.writer(tabbed, delimiter="\t")
    for row, record in enumerate(_records(lines, " "), 1):
        if len(record) != width:
            raise BadData(
                f"has {width} columns, but {len(record)} values in row {row}: values are separated by blanks"
            )
        writer.writerow(record)
    tabbed.seek(0)
    return tabbed


def _name(word: str) -> str:
    """A column's name on one line."""
    return re.sub(r"\s*[\r\n]+\s*", " ", word)


def apart_as_numbers(column: pd.Series, name: str) -> None:
    """Raise BadData if two words of a column, codes such as 250.1 and 250.10, would be one number."""
    seen: dict[float, str] = {}
    for word in dict.fromkeys(word for word in column if isinstance(word, str)):
        value = number(word)
        if (
            value is not None
            and not value.is_integer()
            and (other := seen.setdefault(value, word)).strip() != word.strip()
        ):
            raise BadData(
                f"has {other!r} and {word!r} in column {name!r}, which are one number: write them alike, or as words"
            )


def pointed(column: pd.Series, name: str) -> pd.Series:
    """A column of words as numbers, if all are numbers, and some have a decimal comma. A point is then no decimal point."""
    if column.dtype.kind in "ifb":
        return column
    words = list(map(str, column.dropna()))
    if not any(map(COMMA.fullmatch, words)):
        if words and any("." in word for word in words) and all(map(NUMBER.fullmatch, words)):
            raise BadData(
                f'has {words[0]!r} in column {name!r}, but decimal = ",": write all its numbers in one way'
            )
        return column
    if not all(COMMA.fullmatch(word) or (NUMBER.fullmatch(word) and "." not in word) for word in words):
        return column
    return column.map(lambda word: word.replace(",", "."), na_action="ignore").astype(np.float64)


def read_parquet(file: BinaryIO, how: How) -> Raw:
    """Apache Parquet, by pyarrow."""
    _nameless("parquet", how.columns)
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise BadData("is a Parquet file, which needs pyarrow: pip install 'gossipfl[parquet]'") from None
    return Raw(pd.read_parquet(file, engine="pyarrow").reset_index(drop=True), None)


def read_npz(file: BinaryIO, how: How) -> Raw:
    """NumPy arrays X (n, p) and y (n,), and optionally `features` (p,), the names of the columns."""
    with np.load(file, allow_pickle=False) as arrays:
        if absent := {"X", "y"} - set(arrays.files):
            raise BadData(f"lacks the array {min(absent)!r}: an .npz needs X (rows, columns) and y (rows,)")
        x, y = arrays["X"], arrays["y"]
        names = how.columns or (arrays["features"].tolist() if "features" in arrays else None)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise BadData(
            f"has X of shape {x.shape} and y of shape {y.shape}: they must be (rows, columns) and (rows,)"
        )
    names = [f"x{j}" for j in range(x.shape[1])] if names is None else [str(name) for name in names]
    if len(names) != x.shape[1]:
        raise BadData(f"has {len(names)} column names but {x.shape[1]} columns in X")
    _unique([*names, "y"])
    return Raw(pd.DataFrame(x, columns=names).assign(y=y), "y")


def read_libsvm(file: BinaryIO, how: How) -> Raw:
    """LIBSVM / SVMlight text, kept sparse. Column `xj` is column j of the file; see `trim_libsvm`."""
    from sklearn.datasets import load_svmlight_file

    _nameless("LIBSVM", how.columns)
    x, y = load_svmlight_file(file, dtype=np.float64, zero_based=True)
    if x.shape[1] > _WIDEST:
        raise BadData(f"has a column number above {_WIDEST}: it is damaged or too wide for a linear model")
    return Raw(csr_array(x), y)


def trim_libsvm(raws: dict[str, Raw]) -> dict[str, Raw]:
    """All files with the same width, and without column 0 if all of them count columns from 1."""
    wide = max(raw.features.shape[1] for raw in raws.values())
    from_one = all(raw.features.indices.min(initial=1) > 0 for raw in raws.values())
    names = tuple(f"x{j}" for j in range(int(from_one), wide))

    def trim(x: csr_array) -> csr_array:
        return csr_array((x.data, x.indices - int(from_one), x.indptr), shape=(x.shape[0], len(names)))

    return {name: Raw(trim(raw.features), raw.target, names) for name, raw in raws.items()}


READERS: dict[str, Reader] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".txt": read_csv,
    ".data": read_csv,
    ".parquet": read_parquet,
    ".npz": read_npz,
    ".libsvm": read_libsvm,
    ".svmlight": read_libsvm,
    ".svm": read_libsvm,
}


def _unique(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BadData(
                f"has two columns named {name!r}: rename one in the file, or name all with columns = [...]"
            )
        seen.add(name)


def _nameless(kind: str, columns: Sequence[str] | None) -> None:
    if columns is not None:
        raise BadData(f"is a {kind} file, whose columns already have names: leave out columns = [...]")
