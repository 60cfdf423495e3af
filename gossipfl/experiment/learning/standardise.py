"""Scale features to mean 0 and standard deviation 1, and find the constant ones; must not know models."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import issparse
from torch import Tensor

from gossipfl.data import Rows, Schema
from gossipfl.data.fill import MIN_ROWS
from gossipfl.data.scale import Scale, marks
from gossipfl.errors import BadData, BadExperiment
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.study.study import Study
from gossipfl.runs.facts import Moments


def standardise(
    study: Study, train: Sequence[Rows], rows: Tensor, mean_rows: float, agreement: Agreement
) -> list[Scale | None]:
    """The scale of each peer's features: over the training rows of all peers, over its own rows, or None.

    The peers gossip two means: of x, and then of (x - mean)^2.

    Raises:
        BadExperiment: features are sparse.
        BadData: a peer has too few rows to send sums over them.
    """
    how = study.experiment.data.standardise
    if how == "none":
        return [None] * len(train)
    if issparse(train[0].x):
        raise BadExperiment('sparse features would become dense when centred: set data.standardise = "none"')
    if how == "local":
        return [Scale.of(r.x.mean(0), r.x.var(0)) for r in train]
    for row, part in zip(rows.tolist(), train, strict=True):
        if len(part.y) < MIN_ROWS:
            raise BadData(
                f'peer {study.names[row]} has {len(part.y)} training rows, and data.standardise = "gossip" would send sums '
                f"over them to its neighbours; sums over fewer than {MIN_ROWS} rows reveal the rows. Set "
                'data.standardise = "local" or "none", or give the peer more rows'
            )
    if agreement.exact:
        _, mean, variance = agreement.moments([r.x for r in train])
        return [Scale.of(mean, variance)] * len(train)
    share = 1 / mean_rows
    mean = agreement.mean(torch.from_numpy(np.stack([r.x.sum(0) for r in train])))[0].numpy() * share
    squares = torch.from_numpy(np.stack([np.square(r.x - mean).sum(0) for r in train]))
    return [Scale.of(mean, agreement.mean(squares)[0].numpy() * share)] * len(train)


def constant(study: Study, train: Sequence[Rows], schema: Schema, agreement: Agreement) -> tuple[str, ...]:
    """The features that have one value in all training rows of all peers."""
    if agreement.exact:
        return _constant(train, schema, study.experiment.model.intercept, agreement)
    said = torch.from_numpy(np.stack([marks(r, study.experiment.model.intercept) for r in train]))
    high, low = agreement.maximum(said.flatten(1))[0].view(2, -1)
    return tuple(name for name, same in zip(schema.features, (high + low == 0).tolist(), strict=True) if same)


def _constant(
    train: Sequence[Rows], schema: Schema, intercept: bool, agreement: Agreement
) -> tuple[str, ...]:
    """The same from exact moments alone; of sparse features, those that are 0. Without an intercept only 0 is constant."""
    if issparse(train[0].x):
        sparse: list[Any] = [r.x for r in train]
        squares = agreement.total(np.stack([np.asarray(x.power(2).sum(0)).ravel() for x in sparse]))
        same = squares == 0
    else:
        _, mean, variance = agreement.moments([r.x for r in train])
        same = (Scale.of(mean, variance).deviation == 0) & (intercept | (mean == 0))
    return tuple(name for name, one in zip(schema.features, same.tolist(), strict=True) if one)


def agree_moments(train: Sequence[Rows], regression: bool, agreement: Agreement) -> Moments:
    """Means and deviations over all training rows, for a certificate; of the targets, if they are numbers to be fitted.

    Deviations of sparse features are root mean squares.
    """

    def total(sums: Callable[[Rows], list[float]]) -> npt.NDArray[np.float64]:
        return agreement.total(np.array([sums(rows) for rows in train]))

    def weights(rows: Rows) -> npt.NDArray[np.float64]:
        return np.ones(len(rows.y)) if rows.weight is None else rows.weight

    sums = total(lambda r: [r.total, *(weights(r) @ r.x), weights(r) @ r.y])
    mean, centre = sums[1:-1] / sums[0], sums[-1] / sums[0]

    def squares(rows: Rows) -> list[float]:
        x: Any = rows.x
        each = x.power(2) if issparse(x) else (x - mean) ** 2
        return [*(weights(rows) @ each), weights(rows) @ (rows.y - centre) ** 2]

    *deviation, spread = np.sqrt(total(squares) / sums[0]).tolist()
    if not regression:
        return Moments(tuple(mean.tolist()), tuple(deviation))
    return Moments(tuple(mean.tolist()), tuple(deviation), float(centre), spread or 1.0)
