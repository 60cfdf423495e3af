"""From the value of `source =` to raw tables; must not know how rows are divided or used."""

import bz2
import gzip
import lzma
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
from scipy.sparse import csr_array, issparse

from gossipfl.data.bundled import BUNDLED, bundled
from gossipfl.data.names import did_you_mean, listed, natural
from gossipfl.data.readers import READERS, Raw, trim_libsvm
from gossipfl.data.table import Table
from gossipfl.data.target import pick
from gossipfl.errors import BadData

_OPEN: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}


def read(
    source: str,
    target: str | None = None,
    *,
    folder: Path = Path(),
    drop: Sequence[str] = (),
    columns: Sequence[str] | None = None,
) -> Table | dict[str, Table]:
    """Raw tables: one that is to be divided, or one for each peer (file name -> table, in natural order).

    Args:
        source: a data set of scikit-learn (`BUNDLED`), `openml:NAME`, a file (`READERS`, also .gz .xz .bz2),
            or a folder or glob of files, one for each peer.
        target: the column to be predicted, or a comparison such as "num > 0", which makes two classes. Needed if the source
            has no natural target.
        folder: the base of a relative path.
        drop: columns to leave out.
        columns: the names of the columns of a file without a header line.

    Raises:
        BadData: there is no such source or column, a file is unreadable or empty, or the files do not fit together.
    """
    raws, several = _raws(source, folder, columns)
    tables = {name: _table(raw, target, drop, name if several else source) for name, raw in raws.items()}
    return _same_columns(tables, source) if several else tables[source]


def _raws(source: str, folder: Path, columns: Sequence[str] | None) -> tuple[dict[str, Raw], bool]:
    """The raw contents by name, and whether there is one for each peer."""
    if source in BUNDLED:
        return {source: Raw(bundled(source), "target")}, False
    if source.startswith("openml:"):
        return {source: _openml(source.removeprefix("openml:"))}, False
    path = folder / source
    if path.is_file():
        return _harmonise({source: _file(path, columns)}), False
    paths = _one_per_peer(path, source)
    return _harmonise({name: _file(file, columns) for name, file in paths.items()}), True


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


def _file(path: Path, columns: Sequence[str] | None) -> Raw:
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
            raw = READERS[kind](file, columns)
    except BadData as error:
        raise BadData(f"{path} {error}") from None
    except UnicodeDecodeError as error:
        raise BadData(f"{path} is not UTF-8 text ({error}): save it as UTF-8") from error
    except Exception as error:
        raise BadData(
            f"{path} cannot be read as {kind}: {str(error).strip() or type(error).__name__}"
        ) from error
    if raw.features.shape[0] == 0:
        raise BadData(f"{path} has no rows")
    return raw


def _plain(path: Path) -> BinaryIO:
    return path.open("rb")


def _kind(path: Path) -> str:
    plain = Path(path.stem) if path.suffix.lower() in _OPEN else path
    return plain.suffix.lower()


def _one_per_peer(path: Path, source: str) -> dict[str, Path]:
    """The files of a folder or glob by stem, without the words before a dot that all of them begin with."""
    if path.is_dir():
        files = [p for p in path.iterdir() if p.is_file() and p.name[0] != "." and _kind(p) in READERS]
    elif any(sign in source for sign in "*?["):
        pattern = path.relative_to(path.anchor)
        files = [p for p in Path(path.anchor).glob(str(pattern)) if p.is_file()]
    else:
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        known = did_you_mean(source, BUNDLED) if path.name == source and not path.suffix else ""
        near = did_you_mean(path.name, [b for b in beside if Path(b).suffix in path.suffixes] or beside)
        raise BadData(f"no data {source!r}: there is no file {path}{known or near}")
    if not files:
        raise BadData(
            f"{source!r} matches no data file: give one file for each peer, with a suffix of {listed(READERS)}"
        )
    words = [(p.stem if p.suffix.lower() in _OPEN else p.name).split(".")[:-1] for p in files]
    while len(words) > 1 and all(len(w) > 1 and w[0] == words[0][0] for w in words):
        words = [w[1:] for w in words]
    named = sorted(zip((".".join(w) for w in words), files, strict=True), key=lambda pair: natural(pair[0]))
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


def _table(raw: Raw, target: str | None, drop: Sequence[str], where: str) -> Table:
    if isinstance(raw.features, pd.DataFrame):
        features, y = pick(raw.features, target or raw.target, where)
        table = Table.of(features, y, where).without(drop)
    else:
        if target is not None:
            raise BadData(f"{where} has sparse columns and its own target: leave out target = {target!r}")
        table = Table.of(raw.features, raw.target, where, raw.names).without(drop)
    if not table.columns:
        raise BadData(f"{where} has only the target column: it needs at least one feature")
    return table


def _same_columns(tables: dict[str, Table], source: str) -> dict[str, Table]:
    """The same columns in the same order in every file; else BadData, which names a file and what it lacks."""
    first = next(iter(tables.values()))
    everything = dict.fromkeys(column for table in tables.values() for column in table.columns)
    for name, table in tables.items():
        if lacking := [c for c in everything if c not in set(table.columns)]:
            raise BadData(
                f"the peers' files in {source!r} differ: {name!r} lacks {listed(lacking)}; "
                'select the files that belong together with a glob ("folder/site_*.csv"), or drop the columns'
            )
    return {name: table.select(first.columns) for name, table in tables.items()}
