"""Which peer each row goes to, one function a scheme; must not know how tables are divided or used.

The schemes have the names and definitions of flwr-datasets (Beutel et al. 2020, Flower). `partition` moves rows to peers that
`dirichlet` and `quantity` give too few.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from gossipfl.data.matching import match
from gossipfl.data.names import natural, text
from gossipfl.data.table import Table
from gossipfl.errors import BadData, BadExperiment

Owner = npt.NDArray[np.int64]  # (rows,): the number of the peer that a row goes to
Scheme = Callable[..., Owner]  # (table, peers, generator, *, settings of the scheme)

LEAST = 5  # training rows: standardisation by gossip sends sums over no fewer


def iid(table: Table, peers: Sequence[str], draw: np.random.Generator, *, imbalance: float = 1.0) -> Owner:
    """Rows at random. Sizes rise linearly from the first peer to the last, which has `imbalance` times as many."""
    return _deal(draw.permutation(len(table)), _ramp(len(peers), imbalance))


def sorted_(
    table: Table, peers: Sequence[str], _draw: np.random.Generator, *, imbalance: float = 1.0
) -> Owner:
    """Rows sorted by target: the first peer has the lowest. Sizes as in `iid`. Nothing is random."""
    return _deal(_order(table), _ramp(len(peers), imbalance))


def quantity(table: Table, peers: Sequence[str], draw: np.random.Generator, *, alpha: float) -> Owner:
    """Rows at random, with sizes in proportion to Dirichlet(alpha)."""
    _above_zero("alpha", alpha)
    return _deal(draw.permutation(len(table)), _shares(len(peers), draw, alpha))


def dirichlet(table: Table, peers: Sequence[str], draw: np.random.Generator, *, alpha: float) -> Owner:
    """Each class divided in proportions Dirichlet(alpha) (Hsu, Qi, Brown 2019).

    With a small alpha each peer has few classes; a large alpha is close to iid.
    """
    _above_zero("alpha", alpha)
    codes = _codes(table.target)
    classes = int(codes.max()) + 1
    if classes > 20 and len(table) < 3 * classes:
        raise BadData(
            f"{table.where}: the target {table.target.name!r} has {classes} distinct values in {len(table)} "
            'rows, too many for classes; use scheme "sorted", "shards" or "quantity" instead of "dirichlet"'
        )
    members = [draw.permutation(np.flatnonzero(codes == c)) for c in range(classes)]
    owner = np.empty(len(table), dtype=np.int64)
    for rows in members:
        owner[rows] = _runs(len(rows), _shares(len(peers), draw, alpha))
    return owner


def shards(table: Table, peers: Sequence[str], draw: np.random.Generator, *, per_peer: int = 2) -> Owner:
    """Rows sorted by target and cut into `per_peer` * peers equal shards, which are dealt out at random.

    McMahan et al. 2017, section 3.
    """
    if per_peer < 1:
        raise BadExperiment(f"per_peer = {per_peer} must be at least 1")
    number = per_peer * len(peers)
    shard = _deal(_order(table), np.ones(number))
    dealt = draw.permutation(np.repeat(np.arange(len(peers)), per_peer))
    return np.asarray(dealt[shard], dtype=np.int64)


def column(table: Table, peers: Sequence[str], _draw: np.random.Generator, *, name: str) -> Owner:
    """One peer for each value of a column, which is removed from the features; `match` assigns values to peers."""
    values = table.column(name)
    if len(unknown := np.flatnonzero(values.isna())):
        raise BadData(
            f"{table.where}: column {name!r} is missing in row {table.row(int(unknown[0]))}: fill in a value"
        )
    codes, found = pd.factorize(values)
    words = [text(value) for value in found]
    place = {word: i for i, word in enumerate(match(words, peers, f"values of column {name!r}"))}
    owner: Owner = np.array([place[word] for word in words], dtype=np.int64)[codes]
    return owner


PARTITIONS: dict[str, Scheme] = {
    "iid": iid,
    "dirichlet": dirichlet,
    "shards": shards,
    "sorted": sorted_,
    "column": column,
    "quantity": quantity,
}
UNEVEN = {"dirichlet", "quantity"}  # may leave peers without rows; they have the setting `min_partition_size`


def _codes(target: pd.Series) -> npt.NDArray[np.int64]:
    """The rank of each row's target among the distinct values, in natural order; missing values come last."""
    codes, values = pd.factorize(target, use_na_sentinel=False)
    ranked = sorted(range(len(values)), key=lambda i: (pd.isna(values[i]), natural(text(values[i]))))
    ranks: npt.NDArray[np.int64] = np.argsort(np.array(ranked))[codes]
    return ranks


def _order(table: Table) -> npt.NDArray[np.int64]:
    return np.argsort(_codes(table.target), kind="stable")


def _ramp(peers: int, imbalance: float) -> npt.NDArray[np.float64]:
    if not 1 <= imbalance < np.inf:
        raise BadExperiment(
            f"imbalance = {imbalance} must be at least 1: it is the largest size over the smallest"
        )
    return np.linspace(1.0, imbalance, peers)


def _runs(rows: int, shares: npt.NDArray[np.float64]) -> Owner:
    """0..0 1..1 2..2 ... of length `rows`, in proportion to `shares`; each run ends at the nearest row."""
    ends = np.rint(np.cumsum(shares) / np.sum(shares) * rows).astype(np.int64)
    return np.repeat(np.arange(len(shares)), np.diff(ends, prepend=0))


def _deal(rows: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]) -> Owner:
    """The rows in the given order, cut into contiguous runs in proportion to `shares`."""
    owner = np.empty(len(rows), dtype=np.int64)
    owner[rows] = _runs(len(rows), shares)
    return owner


def _shares(peers: int, draw: np.random.Generator, alpha: float) -> npt.NDArray[np.float64]:
    """Shares of the peers, Dirichlet(alpha). For a tiny alpha all would be 0 / 0: then one peer has everything."""
    shares: npt.NDArray[np.float64] = draw.dirichlet(np.full(peers, alpha))
    return shares if np.isfinite(shares).all() and shares.sum() > 0 else np.eye(peers)[draw.integers(peers)]


def _above_zero(name: str, value: float) -> None:
    if not 0 < value < np.inf:
        raise BadExperiment(f"{name} = {value} must be a number above 0")
