"""Scale features to mean 0 and deviation 1 (sparse ones to mean square 1), and find constant ones; must not know models."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from gossipfl.data import Rows, Schema
from gossipfl.data.encode import counted
from gossipfl.data.fill import MIN_ROWS
from gossipfl.data.scale import Scale, bounded, marks, squares_about
from gossipfl.errors import BadData, BadExperiment
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.study.study import Study
from gossipfl.runs.facts import Moments
from gossipfl.secrecy.promise import PLACES, sensitivity

CANCELLED = 1e3  # times the variance: above this squared mean, sums of squares have lost too many digits
LEAST = 2.0  # times the noise of a mean: a smaller variance is not seen
HUGE = 1e290  # a sum of squares that is not sent

Array = npt.NDArray[np.float64]
Sizes = Sequence[Sequence[float]]  # further numbers of each peer in this process


class Standard(NamedTuple):
    """The scale of the features of each peer in this process, None where they are learned from as they are.

    moments: of the scaled features and the target, if they follow from the scales; else None.
    """

    scales: list[Scale | None]
    moments: Moments | None = None


def standardise(
    study: Study, train: Sequence[Rows], rows: Tensor, sizes: Sizes, agreement: Agreement
) -> tuple[list[float], Standard]:
    """The sums of `sizes` over all peers, and the scales of the features over rows whose weight is not 0. Both are one sum.

    Raises:
        BadExperiment: features are sparse, and sums are secure.
        BadData: a peer has too few rows to send sums over them.
    """
    if study.experiment.data.standardise != "gossip":
        return agreement.total(np.array(sizes)).tolist(), Standard(own_scales(study, train))
    train = [counted(r) for r in train]
    for row, part in zip(rows.tolist(), train, strict=True):
        if len(part.y) < MIN_ROWS:
            raise BadData(
                f'peer {study.names[row]} has {len(part.y)} training rows, and data.standardise = "gossip" would send sums '
                f"over them to its neighbours; sums over fewer than {MIN_ROWS} rows reveal the rows. Set "
                'data.standardise = "local" or "none", or give the peer more rows'
            )
    if agreement.exact:
        _check_dense(train)
        found = agreement.total(np.array(sizes)).tolist()
        _, mean, variance = agreement.moments([r.x for r in train])
        return found, Standard([Scale.of(mean, variance)] * len(train))
    found, mean, variance = spread([_with_target(r) for r in train], None, sizes, agreement)
    centre, moments = np.zeros_like(mean[:-1]), None
    if sparse.issparse(train[0].x):
        scale = Scale.uncentred(variance[:-1])
        np.divide(mean[:-1], scale.deviation, out=centre, where=scale.deviation > 0)
    else:
        scale = Scale.of(mean[:-1], variance[:-1])
    e = study.experiment
    if e.data.row_weights is None and e.model.class_weight is None and e.model.kind != "module":
        varies: Array = (scale.deviation > 0).astype(np.float64)
        moments = _moments(study, centre, varies, mean[-1], np.sqrt(variance[-1]))
    return found, Standard([scale] * len(train), moments)


def noised_scales(
    study: Study, schema: Schema, train: Sequence[Rows], rows: float, agreement: Agreement
) -> Standard:
    """The scales with private sums, and the moments of a target to be fitted: from a noised sum of [z, z^2] over about so many
    rows, z a row, with such a target, in units of its bounds.

    A row counts with the norm 1 at most. A deviation is no smaller than the noise lets see.

    Raises:
        BadData: a feature has no declared bounds.
    """
    if study.experiment.data.standardise == "none":
        return Standard([None] * len(train), Moments())
    _check_dense(train)
    bounds = dict(study.experiment.data.bounds)
    bounds |= {f"{column}={level}": (0.0, 1.0) for column, found in schema.levels.items() for level in found}
    if lacking := [name for name in schema.features if name not in bounds]:
        raise BadData(
            f"data.bounds lacks {', '.join(map(repr, lacking[:10]))}: private sums need the range of each column, from "
            'knowledge and not from the rows, [data] bounds = { age = [0, 120] }, or data.standardise = "none"'
        )
    fitted = [study.target] if study.loss.task == "regression" else []
    low, high = np.array([bounds[name] for name in (*schema.features, *fitted)]).T
    own = []
    for part in train:
        columns = np.column_stack((part.x, part.y)) if fitted else part.x
        own.append(bounded(columns, low, high, PLACES).sum(0).astype(np.int64).tolist())
    promise, c = study.promise, len(low)
    most = sensitivity(1.0, 2 * c)
    told = agreement.noised("moments", own, most, promise.standardising)
    means = np.ldexp(np.array(told, dtype=np.float64), -PLACES) / rows
    noise = most * 2.0**-PLACES / promise.standardising * promise.noise / rows
    mean = np.clip(means[:c], 0.0, 1.0)
    variance = np.maximum(means[c:] - mean**2, LEAST * noise)
    mean, variance = low + mean * (high - low), variance * (high - low) ** 2
    p, varies = len(schema.features), np.ones(len(schema.features))
    moments = _moments(study, 0 * varies, varies, mean[-1], np.sqrt(variance[-1]))
    return Standard([Scale.of(mean[:p], variance[:p])] * len(train), moments)


def own_scales(study: Study, train: Sequence[Rows]) -> list[Scale | None]:
    """The scale of each peer's features over its own rows that have a weight; None where they are learned from as they are."""
    if study.experiment.data.standardise == "none":
        return [None] * len(train)
    _check_dense(train, '"gossip", which scales them by the rows of all peers and does not centre them, or ')
    return [Scale.of(x.mean(0), x.var(0)) for x in (counted(r).x for r in train)]


def _check_dense(train: Sequence[Rows], instead: str = "") -> None:
    if sparse.issparse(train[0].x):
        raise BadExperiment(
            f'sparse features would become dense when centred: set data.standardise = {instead}"none"'
        )


def _with_target(rows: Rows) -> Any:
    """The features and the target, (n, p + 1), dense or CSR."""
    if sparse.issparse(rows.x):
        return sparse.hstack((rows.x, rows.y[:, None]), format="csr")
    return np.column_stack((rows.x, rows.y))


def spread(
    columns: Sequence[Any], weights: Sequence[Array] | None, sizes: Sizes, agreement: Agreement
) -> tuple[list[float], Array, Array]:
    """The sums of `sizes`, and the weighted mean and variance (c,) of columns (n_i, c), dense or CSR, over all rows.

    All are one sum over all peers, [sizes, weight, sums, squares]. Where squares cancel, squared deviations are a second one;
    for all columns, if sums are secure. Of CSR columns but the last one, the variance is the mean square.
    """
    each, c = weights or [np.ones(x.shape[0]) for x in columns], columns[0].shape[1]
    centred = np.arange(c) >= (c - 1 if sparse.issparse(columns[0]) else 0)

    def squares(about: Array) -> list[Array]:
        return [
            np.minimum(squares_about(x, w, about, centred), HUGE) for x, w in zip(columns, each, strict=True)
        ]

    own = [[*size, w.sum(), *(w @ x)] for x, w, size in zip(columns, each, sizes, strict=True)]
    if not agreement.exact:
        own = [[*first, *second] for first, second in zip(own, squares(np.zeros(c)), strict=True)]
    head, (weight,), sums, around = np.split(agreement.total(np.array(own)), np.cumsum([len(sizes[0]), 1, c]))
    mean, lost = sums / weight, np.ones(c, dtype=bool)
    variance = np.zeros(c)
    if not agreement.exact:
        with np.errstate(over="ignore"):
            square = np.where(centred, mean, 0.0) ** 2
        variance = around / weight - square
        lost = centred & (around > 0) & ~((square <= CANCELLED * variance) & (around < HUGE))
    if lost.any():
        variance[lost] = agreement.total(np.stack(squares(mean))[:, lost]) / weight
    return head.tolist(), mean, variance


def agree_moments(study: Study, train: Sequence[Rows], agreement: Agreement) -> Moments:
    """Means and deviations over all training rows, by weight, for a certificate; of the targets, if they are numbers to be
    fitted.

    Deviations of sparse features are root mean squares.
    """
    weights = [np.ones(len(r.y)) if r.weight is None else r.weight for r in train]
    _, mean, variance = spread([_with_target(r) for r in train], weights, [()] * len(train), agreement)
    return _moments(study, mean[:-1], np.sqrt(variance[:-1]), mean[-1], np.sqrt(variance[-1]))


def _moments(study: Study, mean: Array, deviation: Array, centre: float, spread: float) -> Moments:
    features = tuple(mean.tolist()), tuple(deviation.tolist())
    if study.loss.task != "regression":
        return Moments(*features)
    return Moments(*features, float(centre), float(spread) or 1.0)


def constant(
    study: Study, train: Sequence[Rows], schema: Schema, scale: Scale | None, agreement: Agreement
) -> tuple[str, ...]:
    """The features that have one value in all training rows with a weight, of all peers: a scale that centres says it.

    None with private sums, since nobody tells that.
    """
    if study.private:
        return ()
    train = [counted(r) for r in train]
    if scale and study.experiment.data.standardise == "gossip" and not sparse.issparse(train[0].x):
        same = scale.deviation == 0
    elif agreement.exact:
        same = _constant(train, study.experiment.model.intercept, agreement)
    else:
        said = torch.from_numpy(np.stack([marks(r, study.experiment.model.intercept) for r in train]))
        same = agreement.maximum(said.flatten(1))[0].view(2, -1).sum(0).numpy() == 0
    return tuple(name for name, one in zip(schema.features, same.tolist(), strict=True) if one)


def _constant(train: Sequence[Rows], intercept: bool, agreement: Agreement) -> npt.NDArray[np.bool_]:
    """The same from exact moments alone; of sparse features, those that are 0. Without an intercept only 0 is constant."""
    if sparse.issparse(train[0].x):
        rows: list[Any] = [r.x for r in train]
        zero: npt.NDArray[np.bool_] = agreement.total(np.stack([x.power(2).sum(0) for x in rows])) == 0
        return zero
    _, mean, variance = agreement.moments([r.x for r in train])
    same: npt.NDArray[np.bool_] = (Scale.of(mean, variance).deviation == 0) & (intercept | (mean == 0))
    return same
