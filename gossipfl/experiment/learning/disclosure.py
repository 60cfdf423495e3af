"""Whether the rows of all peers are enough for secure sums; must not know how sums travel."""

import math
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from torch import Tensor

from gossipfl.algorithms import METHODS
from gossipfl.data import Rows, Schema
from gossipfl.data.fill import MIN_ROWS
from gossipfl.errors import BadData
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.learning.standardise import agree_moments
from gossipfl.experiment.study.refusals import refusal
from gossipfl.experiment.study.study import Study
from gossipfl.models import Problem
from gossipfl.runs.facts import Moments
from gossipfl.secrecy import disclosure
from gossipfl.secrecy.disclosure import DOMINATES, ENOUGH, PARTS, Held, OneSum

Array = npt.NDArray[np.float64]
FLAT = 1e-9  # of a mean: a deviation below it is that of one value


class Guarded(NamedTuple):
    """The rows of all peers, those of each peer here, and at how many peers rows differ in each cell.

    Cells are columns, and the first level of each categorical column, which is what its other levels leave.
    """

    all: Held
    own: Sequence[Held]
    peers: Array
    names: Sequence[str]


def guard(
    study: Study, schema: Schema, train: Sequence[Rows], rows: Tensor, agreement: Agreement
) -> Guarded | None:
    """Count rows; None if sums are not secure, or have noise.

    Raises:
        BadData: a peer has too few of them; or a sum over a column or a class would be one over few rows, or few peers.
    """
    privacy = study.experiment.privacy
    if not study.secure or study.private:
        return None
    heavy = [part.y if part.weight is None else part.y[part.weight > 0] for part in train]
    for row, y in zip(rows.tolist(), heavy, strict=True):
        if len(y) < MIN_ROWS:
            raise BadData(
                f"peer {study.names[row]} has {len(y)} training rows, and secure sums need {MIN_ROWS} at each peer: give "
                "it more rows, or remove it from the topology"
            )
    classes, cells_of = schema.classes or (), [*schema.features, *_firsts(schema)]
    own = [Held(len(y), _cells(part, schema)) for part, y in zip(train, heavy, strict=True)]
    labels = [np.bincount(y.astype(np.int64), minlength=len(classes))[: len(classes)] for y in heavy]
    counts = [
        np.concatenate(([one.rows], part, part > 0, one.cells, one.cells > 0)).astype(np.float64)
        for one, part in zip(own, labels if classes else [np.zeros(0)] * len(own), strict=True)
    ]
    ends = np.cumsum([1, len(classes), len(classes), len(cells_of)])
    (n,), of_class, at_class, cells, peers = np.split(agreement.total(np.stack(counts)), ends)
    names = [*(f"class {name}" for name in classes), *cells_of]
    disclosure.refuse(
        dict(zip(names, (*of_class, *cells), strict=True)),
        dict(zip(names, (*at_class, *peers), strict=True)),
        privacy.min_cell,
        privacy.min_peers,
    )
    return Guarded(Held(float(n), cells), own, peers, cells_of)


def scaled(
    study: Study, schema: Schema, train: Sequence[Rows], rows: Tensor, moments: Moments, found: Guarded | None
) -> None:
    """Check columns by their means and deviations over all rows.

    Raises:
        BadData: a column has one value at each peer, and not the same at all; or one row has nearly all of its spread.
    """
    if found is None:
        return
    privacy = study.experiment.privacy
    mean, deviation = np.array(moments.mean), np.array(moments.deviation)
    varies = deviation > FLAT * abs(mean)
    alone = varies & (found.peers[: len(mean)] == 0)
    flat = {name: float(one) for name, one in zip(schema.features, alone.tolist(), strict=True)}
    disclosure.refuse({}, flat, privacy.min_cell, privacy.min_peers)
    for row, part in zip(rows.tolist(), train, strict=True):
        share = _largest(part.x, mean, np.where(varies, deviation, math.inf)) / found.all.rows
        column = int(share.argmax()) if len(share) else 0
        if len(share) and share[column] > DOMINATES:
            raise BadData(
                f"peer {study.names[row]}: one training row has {share[column]:.0%} of the spread of all rows in "
                f"{schema.features[column]!r}, so secure sums would nearly show it: correct that value, take its logarithm, or "
                "leave the column out with drop at all peers"
            )


class Limit(NamedTuple):
    """What a sum tells, and how many such sums the rows bear."""

    sums: OneSum
    borne: float


def limit(
    study: Study, schema: Schema, kind: str, problem: Problem, found: Guarded | None, agreement: Agreement
) -> tuple[str, Limit | None]:
    """The kind, and its limit; "lbfgs" in place of a kind with Hessians that was not asked for and has too few sums."""
    if found is None:
        return kind, None
    limit = _limit(study, schema, kind, found, agreement)
    free = study.experiment.algorithm.kind == "auto" and METHODS[kind].curvature and not limit.sums.fixed
    if free and limit.borne < ENOUGH and refusal(study, "lbfgs", problem) is None:
        return "lbfgs", _limit(study, schema, "lbfgs", found, agreement)
    return kind, limit


def bearing(
    study: Study,
    schema: Schema,
    train: Sequence[Rows],
    rows: Tensor,
    found: Guarded | None,
    agreement: Agreement,
) -> None:
    """Whether the rows bear a cross-validation, before it is made. Raises BadData."""
    model = study.experiment.model
    if found is None or model.selects is None:
        return
    scaled(study, schema, train, rows, agree_moments(study, train, agreement), found)
    sums, borne = _limit(study, schema, "newton", found, agreement)
    most = study.experiment.privacy.max_parameters_per_row
    disclosure.check(sums, found.all, borne, found.names, most, model.folds + disclosure.FEWEST)


def borne(study: Study, found: Guarded | None, limit: Limit | None, told: int) -> tuple[float, str]:
    """The numbers whose totals may become known, less those told before, and a sentence; no limit if sums are not secure.

    Raises BadData.
    """
    if found is None or limit is None:
        return math.inf, ""
    data, most = study.experiment.data, study.experiment.privacy.max_parameters_per_row
    disclosure.check(limit.sums, found.all, limit.borne, found.names, most)
    said = disclosure.sentence(limit.sums, found.all, limit.borne, len(study.names), found.names)
    hidden = data.classes is not None or study.loss.task not in ("binary", "multiclass")
    levels = sorted({*data.categorical} - {*data.levels})
    return limit.borne * limit.sums.each - told, said + disclosure.shown(levels, hidden)


def _sums(study: Study, schema: Schema, kind: str) -> OneSum:
    features = len(schema.features) + study.experiment.model.intercept
    curved = METHODS[kind].curvature or bool(study.l1)
    outputs = study.loss.outputs(len(schema.classes or ()))
    return OneSum(
        features, outputs, curved, study.loss.task == "regression", [*_columns(schema), *schema.levels]
    )


def _limit(study: Study, schema: Schema, kind: str, found: Guarded, agreement: Agreement) -> Limit:
    """How many sums are borne by the rows of all peers but any one, which knows its own.

    They are rounded down to sixteenths of those that all rows bear: peers tell no more of how even the rows lie.
    """
    sums = _sums(study, schema, kind)
    whole = sums.borne(found.all)
    steps = np.arange(1, PARTS + 1) / PARTS
    rest = [Held(found.all.rows - own.rows, found.all.cells - own.cells) for own in found.own]
    short = [[sums.borne(one) < step * whole * (1 - FLAT) for step in steps.tolist()] for one in rest]
    return Limit(sums, whole * float(np.count_nonzero(~_any(short, agreement))) / PARTS)


def _any(flags: Sequence[Sequence[bool]], agreement: Agreement) -> npt.NDArray[np.bool_]:
    """Which flags anybody raises. A flag is a random number, so that nobody sees how many do."""
    raised = [[float(secrets.randbelow(2**40) + 1) if flag else 0.0 for flag in own] for own in flags]
    found: npt.NDArray[np.bool_] = agreement.total(np.array(raised)) > 0.5
    return found


def _firsts(schema: Schema) -> list[str]:
    """The first level of each categorical column, which has no column of its own."""
    return [f"{column}={levels[0] if levels else ''}" for column, levels in schema.levels.items()]


def _columns(schema: Schema) -> list[str]:
    """The column of the data that each feature is of."""
    return [column for column in schema.columns for _ in schema.levels.get(column, ("", ""))[1:]]


def _cells(part: Rows, schema: Schema) -> Array:
    """For each column and each first level how many rows that count differ from the most frequent value."""
    x: Any = part.x if part.weight is None else part.x[part.weight > 0]
    if not sparse.issparse(x):
        columns = np.array(_columns(schema))
        firsts = [1 - x[:, columns == column].sum(1) for column in schema.levels]
        return disclosure.differing(np.column_stack((x, *firsts))).astype(np.float64)
    found = np.asarray((x != 0).sum(axis=0)).ravel().astype(np.float64)
    full = np.flatnonzero(2 * found > x.shape[0])
    found[full] = disclosure.differing(x[:, full].toarray())
    return found


def _largest(x: Any, mean: Array, deviation: Array) -> Array:
    """The largest squared deviation of a row from the mean, (p,), in units of the variance; of sparse columns, from 0."""
    if sparse.issparse(x):
        return np.asarray(x.power(2).max(axis=0).todense()).ravel() / deviation**2
    found: Array = (((x - mean) / deviation) ** 2).max(axis=0)
    return found
