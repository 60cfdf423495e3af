"""How the rows are distributed over the peers, in numbers; must not know how they are shown."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gossipfl.data.clean import holes
from gossipfl.data.names import natural, text
from gossipfl.data.table import Table, discrete


@dataclass(frozen=True)
class Share:
    """One peer's rows."""

    peer: str
    train: int  # rows
    test: int  # rows
    classes: dict[str, int] | None  # rows of each class, in natural order; None if the target is a number
    mean: float | None  # of the target; None if it is a class
    sd: float | None  # of the target, population standard deviation
    missing: dict[str, int]  # the number of missing values of each column


@dataclass(frozen=True)
class DataDescription:
    """All peers' rows."""

    columns: tuple[str, ...]
    shares: list[Share]
    heterogeneity: float  # in [0, 1]; 0: every peer sees the same distribution of targets


def describe(tables: Sequence[Table], names: Sequence[str]) -> DataDescription:
    """The data of each peer, and how different the peers are.

    For classes, heterogeneity is the mean over peers of the total variation distance between the peer's class distribution and
    the pooled one, `sum_c |p_ic - p_c| / 2`. For numbers it is the share of the target's variance that lies between the peers,
    `sum_i n_i (m_i - m)^2 / sum_k (y_k - m)^2` (eta squared).
    """
    pooled = pd.concat([table.target for table in tables]).dropna()
    by_class = discrete(pooled)
    targets = [table.target.dropna() for table in tables]
    counts = [_counts(target) for target in targets]
    shares = [
        Share(
            name,
            int((~table.test).sum()),
            int(table.test.sum()),
            count if by_class else None,
            None if by_class or target.empty else float(target.mean()),
            None if by_class or target.empty else float(target.std(ddof=0)),
            holes(table),
        )
        for name, table, target, count in zip(names, tables, targets, counts, strict=True)
    ]
    distance = _total_variation(counts) if by_class else _between(targets, pooled)
    return DataDescription(tables[0].columns, shares, distance)


def _counts(target: pd.Series) -> dict[str, int]:
    counts = Counter({text(value): int(count) for value, count in target.value_counts().items()})
    return dict(sorted(counts.items(), key=lambda pair: natural(pair[0])))


def _total_variation(counts: Sequence[dict[str, int]]) -> float:
    table = pd.DataFrame([count for count in counts if count]).fillna(0).to_numpy(dtype=np.float64)
    if not table.size:
        return 0.0
    pooled = table.sum(axis=0) / table.sum()
    return float(np.abs(table / table.sum(axis=1, keepdims=True) - pooled).sum(axis=1).mean() / 2)


def _between(targets: Sequence[pd.Series], pooled: pd.Series) -> float:
    mean = pooled.mean()
    total = float(((pooled - mean) ** 2).sum())
    between = sum(len(t) * (t.mean() - mean) ** 2 for t in targets if len(t))
    return float(between / total) if total else 0.0
