"""One reader for each file format; must not know what the columns mean or which peer the file belongs to.

A reader takes an open binary file and, for formats without column names, the names of the columns.
"""

import csv
import io
from collections.abc import Callable, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array

from gossipfl.data.names import NUMBER
from gossipfl.errors import BadData

_WIDEST = 2**22  # columns of a sparse file: a larger number is a damaged index, not a data set


class Raw(NamedTuple):
    """The content of a source: a frame with the target among its columns, or sparse features and a target."""

    features: pd.DataFrame | csr_array
    target: str | npt.NDArray[np.float64] | None  # its column, if the source has a natural one; or its values
    names: tuple[str, ...] = ()  # of sparse columns


Reader = Callable[[BinaryIO, Sequence[str] | None], Raw]


def read_csv(file: BinaryIO, columns: Sequence[str] | None) -> Raw:
    """Comma, semicolon or tab separated UTF-8 text, with a header line unless `columns` names the columns.

    A value is missing if it is "", "?", "NA", "NaN", "null" or the like.
    """
    with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as lines:
        first = next((line for line in lines if line.strip()), "")
        separator = max(",;\t", key=first.count)
        if columns is None:
            names = [n.strip() for n in next(csv.reader([first], delimiter=separator, skipinitialspace=True))]
            if all(NUMBER.fullmatch(name) or name in {"", "?"} for name in names):
                raise BadData('has no header line: name its columns with columns = ["...", ...]')
        else:
            names = list(columns)
            lines.seek(0)
        _unique(names)
        try:
            frame = pd.read_csv(
                lines, sep=separator, header=None, na_values=["?"], skipinitialspace=True, low_memory=False
            )
        except pd.errors.EmptyDataError:
            raise BadData("has a header but no rows") from None
    if frame.shape[1] != len(names):
        raise BadData(f"has {len(names)} column names but {frame.shape[1]} values in its first row")
    return Raw(frame.set_axis(names, axis=1), None)


def read_parquet(file: BinaryIO, columns: Sequence[str] | None) -> Raw:
    """Apache Parquet, by pyarrow."""
    _nameless("parquet", columns)
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise BadData("is a Parquet file, which needs pyarrow: pip install 'gossipfl[parquet]'") from None
    return Raw(pd.read_parquet(file, engine="pyarrow").reset_index(drop=True), None)


def read_npz(file: BinaryIO, columns: Sequence[str] | None) -> Raw:
    """NumPy arrays X (n, p) and y (n,), and optionally `features` (p,), the names of the columns."""
    with np.load(file, allow_pickle=False) as arrays:
        if absent := {"X", "y"} - set(arrays.files):
            raise BadData(f"lacks the array {min(absent)!r}: an .npz needs X (rows, columns) and y (rows,)")
        x, y = arrays["X"], arrays["y"]
        names = columns or (arrays["features"].tolist() if "features" in arrays else None)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise BadData(
            f"has X of shape {x.shape} and y of shape {y.shape}: they must be (rows, columns) and (rows,)"
        )
    names = [f"x{j}" for j in range(x.shape[1])] if names is None else [str(name) for name in names]
    if len(names) != x.shape[1]:
        raise BadData(f"has {len(names)} column names but {x.shape[1]} columns in X")
    _unique([*names, "y"])
    return Raw(pd.DataFrame(x, columns=names).assign(y=y), "y")


def read_libsvm(file: BinaryIO, columns: Sequence[str] | None) -> Raw:
    """LIBSVM / SVMlight text, kept sparse. Column `xj` is column j of the file; see `trim_libsvm`."""
    from sklearn.datasets import load_svmlight_file

    _nameless("LIBSVM", columns)
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


def _unique(names: Sequence[str]) -> None:
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
