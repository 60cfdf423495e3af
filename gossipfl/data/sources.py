"""From the value of `source =` to raw tables; must not know how rows are divided or used."""

import bz2
import glob
import gzip
import json
import lzma
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, cast

import pandas as pd
from scipy.sparse import csr_array, issparse

from gossipfl.data.bundled import BUNDLED, bundled
from gossipfl.data.memory import read_frame
from gossipfl.data.names import did_you_mean, listed, natural
from gossipfl.data.readers import MISSING, READERS, How, Raw, trim_libsvm
from gossipfl.data.table import Table
from gossipfl.data.target import columns_of, pick
from gossipfl.errors import BadData

INDEX = re.compile(r"|Unnamed: \d+|\.\.\.\d+")  # how pandas and readr name a column without a name

_OPEN: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}


def read(
    source: str,
    target: str | None = None,
    *,
    folder: Path = Path(),
    drop: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    verbatim: Collection[str] = (),
    missing: Collection[str] = MISSING,
    decimal: str = ".",
    one_of_many: bool = False,
) -> Table | dict[str, Table]:
    """Raw tables: one that is to be divided, or one for each peer (file name -> table, in natural order).

    Args:
        source: a data set of scikit-learn (`BUNDLED`), `openml:NAME`, a file (`READERS`, also .gz .xz .bz2),
            or a folder or glob of files, one for each peer. Hidden files are left out.
        target: the column to be predicted, or a comparison such as "num > 0", which makes two classes. Needed if the source
            has no natural target.
        folder: the base of a relative path. It is no part of a glob.
        drop: columns to leave out. If there is a file for each peer, one of them must have the column.
        columns: the names of the columns of a file without a header line.
        verbatim: columns whose values are kept as words, as they are written.
        missing: words that count as missing in text files, and in the text of Parquet files.
        decimal: the decimal sign there, "." or ",".
        one_of_many: a file is that of one peer, so it may lack columns of `drop`.

    Raises:
        BadData: there is no such source or column, a file is unreadable or empty, or the files do not fit together.
    """
    how = How(columns, columns_of(target), verbatim, missing, decimal)
    if (raw := whole(source, folder, how)) is not None:
        return _table(raw, target, drop, verbatim, source, one_of_many)
    files = _one_per_peer(folder / source, source, folder)
    with _perhaps_astray():
        raws = _harmonise({name: _file(file, how) for name, file in files.items()})
        tables = {
            name: _table(raw, target, drop, verbatim, files[name].name, lenient=True)
            for name, raw in raws.items()
        }
    _known(drop, raws, source)
    return _same_columns(tables, source)


def framed(
    frame: pd.DataFrame,
    target: str | None = None,
    *,
    drop: Sequence[str] = (),
    verbatim: Collection[str] = (),
    missing: Collection[str] = MISSING,
    decimal: str = ".",
    where: str = "the data frame",
    one_of_many: bool = False,
) -> Table:
    """The raw table of a data frame in memory, as `read` makes one of a file; its rows count from 1, whatever its index is.

    Raises:
        BadData: there is no such column, or no feature, or columns do not have plain and different names.
    """
    raw = read_frame(frame, How(verbatim=verbatim, missing=missing, decimal=decimal), where)
    return _table(raw, target, drop, verbatim, where, one_of_many)


def divisible(source: str) -> bool:
    """Whether a source is one table, which the peers divide; otherwise it has one file for each peer."""
    return source in BUNDLED or source.startswith("openml:") or Path(source).is_file()


MEMORY = "memory:"  # how a source begins that was a data frame of a program


def whole(source: str, folder: Path, how: How) -> Raw | None:
    """The content of a source that is one table; None if it has a file for each peer."""
    if source in BUNDLED:
        return Raw(bundled(source), "target")
    if source.startswith("openml:"):
        return _openml(source.removeprefix("openml:"))
    if source.startswith(MEMORY):
        raise BadData(
            "the rows of this experiment were a data frame of a program: set data.source to a file with them"
        )
    path = folder / source
    return _harmonise({source: _file(path, how)})[source] if path.is_file() else None


@contextmanager
def _perhaps_astray() -> Iterator[None]:
    """Errors of one of several files say that it may be none of a peer's."""
    try:
        yield
    except BadData as error:
        raise BadData(
            f'{error}; if this is not a file of a peer, remove it, or select the others with a glob ("folder/*.csv")'
        ) from None


def _openml(name: str) -> Raw:
    from sklearn.datasets import fetch_openml

    try:
        found = fetch_openml(name=name, as_frame="auto", parser="auto")
    except Exception as error:
        raise BadData(
            f"openml:{name} could not be fetched ({error}): check the name and the connection, or use a file"
        ) from error
    if issparse(found.data):
        return Raw(csr_array(found.data), found.target, tuple(found.feature_names))
    default = found.target.name if isinstance(found.target, pd.Series) else None
    return Raw(found.frame, default)


def _file(path: Path, how: How) -> Raw:
    """The raw content of one file; any error of a parser becomes one sentence."""
    kind = _kind(path)
    if kind not in READERS:
        raise BadData(
            f"{path}: no reader for {kind or 'a file without a suffix'!r}; use one of {listed(READERS)}"
        )
    if path.stat().st_size == 0:
        raise BadData(f"{path} is empty")
    try:
        with _OPEN.get(path.suffix.lower(), _plain)(path) as file:
            raw = READERS[kind](file, how)
    except BadData as error:
        raise BadData(f"{path} {error}") from None
    except UnicodeDecodeError as error:
        code = "UTF-16" if error.object[:2] in (b"\xff\xfe", b"\xfe\xff") else "WINDOWS-1252"
        raise BadData(
            f"{path} is not UTF-8 text ({error}): save it as UTF-8, for example with iconv -f {code} -t UTF-8"
        ) from error
    except Exception as error:
        raise BadData(
            f"{path} cannot be read as {kind}: {str(error).strip() or type(error).__name__}"
        ) from error
    if raw.features.shape[0] == 0:
        raise BadData(f"{path} has no rows")
    if isinstance(raw.features, pd.DataFrame) and kind == ".parquet":  # it has text and types, as a frame has
        return read_frame(raw.features, how, str(path))
    return raw


def _plain(path: Path) -> BinaryIO:
    return path.open("rb")


def _kind(path: Path) -> str:
    plain = Path(path.stem) if path.suffix.lower() in _OPEN else path
    return plain.suffix.lower()


def _one_per_peer(path: Path, source: str, folder: Path) -> dict[str, Path]:
    """The files of a folder or glob by name without suffixes. Hidden files are left out: some systems make them."""
    if path.is_dir():
        files = [p for p in path.iterdir() if p.is_file() and p.name[0] != "." and _kind(p) in READERS]
    elif glob.has_magic(source):
        found = glob.glob(source, root_dir=folder, recursive=True)
        found = found or glob.glob(
            re.sub(r"\[", "[[]", source), root_dir=folder, recursive=True
        )  # a name with brackets
        files = [p for p in map(folder.joinpath, found) if p.is_file()]
    else:
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        known = did_you_mean(source, BUNDLED) if path.name == source and not path.suffix else ""
        near = did_you_mean(path.name, [b for b in beside if Path(b).suffix in path.suffixes] or beside)
        raise BadData(f"no data {source!r}: there is no file {path}{known or near}")
    if not files:
        raise BadData(
            f"{source!r} matches no data file: give one file for each peer, with a suffix of {listed(READERS)}"
        )
    stems = [(p.stem if p.suffix.lower() in _OPEN else p.name).rpartition(".")[0] or p.name for p in files]
    named = sorted(zip(stems, files, strict=True), key=lambda pair: natural(pair[0]))
    for (name, first), (again, second) in pairwise(named):
        if name == again:
            raise BadData(
                f"{first} and {second} would both be the data of peer {name!r}: rename or remove one"
            )
    return dict(named)


def _harmonise(raws: dict[str, Raw]) -> dict[str, Raw]:
    sparse = {name: not isinstance(raw.features, pd.DataFrame) for name, raw in raws.items()}
    if any(sparse.values()) and not all(sparse.values()):
        raise BadData("some of the peers' files are LIBSVM and some are not: use one format for all")
    return trim_libsvm(raws) if any(sparse.values()) else raws


def _table(
    raw: Raw, target: str | None, drop: Sequence[str], verbatim: Collection[str], where: str, lenient: bool
) -> Table:
    if isinstance(raw.features, pd.DataFrame):
        frame = worded(raw.features, {*verbatim, *columns_of(target or cast("str", raw.target))})
        features, y = pick(frame, target or raw.target, where)
        table = replace(Table.of(features, y, where), absent=dict(raw.absent))
    else:
        if target is not None:
            raise BadData(f"{where} has sparse columns and its own target: leave out target = {target!r}")
        table = Table.of(raw.features, raw.target, where, raw.names)
    table = table.without(
        name for name in drop if not lenient or name in table.columns or name == table.target.name
    )
    numbered = [name for name in table.columns if INDEX.fullmatch(name)]
    if numbered and isinstance(raw.features, pd.DataFrame):
        place = list(raw.features.columns).index(numbered[0]) + 1
        named = f"the name {numbered[0]!r}" if numbered[0] else "no name"
        raise BadData(
            f"{where}: column {place} has {named}, like row numbers that a program wrote: leave it out with "
            f"drop = [{json.dumps(numbered[0])}], or name it in the file"
        )
    if not table.columns:
        raise BadData(f"{where} has only the target column: it needs at least one feature")
    return table


def worded(frame: pd.DataFrame, names: set[str]) -> pd.DataFrame:
    """The frame with words in place of truth values, and of whole numbers that a float may not hold, in these columns."""
    kinds = pd.api.types
    here = [name for name in frame.columns if name in names and frame[name].dtype.kind != "f"]
    plain = {name: frame[name].astype(object) for name in here}
    words = {
        name: column.map(str, na_action="ignore")
        for name, column in plain.items()
        if kinds.infer_dtype(column) in {"boolean", "integer"}
    }
    return frame.assign(**words)


def _known(drop: Sequence[str], raws: dict[str, Raw], source: str) -> None:
    """Raise BadData if a column of `drop` is in none of the files."""
    there = {str(name) for raw in raws.values() for name in (raw.names or raw.features.columns)}
    for name in drop:
        if name not in there:
            raise BadData(f"none of the files in {source!r} has a column {name!r}{did_you_mean(name, there)}")


def _same_columns(tables: dict[str, Table], source: str) -> dict[str, Table]:
    """The same columns in the same order in every file. Raises BadData with a column that only some files have, and which.

    The order is that of the files if it is the same in all; otherwise the natural order of the names.
    """
    every = dict.fromkeys(column for table in tables.values() for column in table.columns)
    holders = {column: [name for name, t in tables.items() if column in t.columns] for column in every}
    for column, holding in holders.items():
        if len(holding) < len(tables):
            lacking = [name for name in tables if name not in holding]
            raise BadData(
                f"the peers' files in {source!r} differ: column {column!r} is in {listed(holding)}, but not in "
                f"{listed(lacking)}; leave it out with drop = [{json.dumps(column)}], or select the files that belong "
                'together with a glob ("folder/site_*.csv")'
            )
    orders = {table.columns for table in tables.values()}
    columns = orders.pop() if len(orders) == 1 else tuple(sorted(holders, key=natural))
    return {name: table.select(columns) for name, table in tables.items()}
