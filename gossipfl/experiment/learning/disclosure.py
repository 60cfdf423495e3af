"""Whether the rows of all peers are enough for secure sums; must not know how sums travel."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from torch import Tensor

from gossipfl.algorithms import METHODS
from gossipfl.data import Rows, Schema, census
from gossipfl.data.encode import weighted
from gossipfl.data.fill import MIN_ROWS
from gossipfl.data.names import listed
from gossipfl.errors import BadData
from gossipfl.experiment.learning import alike
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.learning.standardise import agree_moments
from gossipfl.experiment.study.refusals import refusal
from gossipfl.experiment.study.study import Study
from gossipfl.models import Problem
from gossipfl.runs.facts import Moments
from gossipfl.secrecy import disclosure
from gossipfl.secrecy.disclosure import DOMINATES, ENOUGH, PARTS, Held, OneSum
from gossipfl.secrecy.fixed import rounding

Array = npt.NDArray[np.float64]
PAIRS = 5000  # of columns, at most, that are compared
MANY = 24  # varying columns above which rows can be different enough
VALUES = 2, 4, 8  # in a column, which are told apart
ROUNDED = 1e-6  # of what a column adds to a sum
FLAT = 1e-9  # of a mean: a deviation below it is that of one value


class Guarded(NamedTuple):
    """The rows of all peers, those of each peer here, the names of these, and at how many peers rows differ in each cell.

    Cells are the columns, the first level of each categorical column, which is what its other levels leave, and pairs of
    these: in a pair those rows differ that differ in one of both alone. variables: the columns of the data in each cell.
    patterns: different rows that there can be, at least. pairs: the cells of each, (2, pairs). uncompared: pairs, where they
    are too many. flat: features that have one value at each peer; whether it is the same one nobody asks.
    """

    all: Held
    own: Sequence[Held]
    here: Sequence[str]
    peers: Array
    names: Sequence[str]
    variables: Sequence[str]
    patterns: float
    pairs: census.Pairs = np.zeros((2, 0), np.int64)
    uncompared: int = 0
    flat: tuple[str, ...] = ()


def guard(
    study: Study, schema: Schema, train: Sequence[Rows], rows: Tensor, agreement: Agreement
) -> Guarded | None:
    """Count rows; None if sums are not secure, or have noise.

    Raises:
        BadData: a peer has too few of them; or a sum over a column or a class would be one over few rows, or few peers.
    """
    if not study.secure or study.private:
        return None
    parts = [weighted(part, schema) for part in train]
    sizes = [census.size(part) for part in parts]
    for row, part, size in zip(rows.tolist(), parts, sizes, strict=True):
        if size < MIN_ROWS:
            told = f"{size:.3g} training rows" + (" by their weights" if part.weight is not None else "")
            raise BadData(
                f"peer {study.names[row]} has {told}, and secure sums need {MIN_ROWS} at each peer: give it more rows, or "
                "remove it from the topology"
            )
    classes, names = schema.classes or (), [*schema.features, *census.firsts(schema)]
    counts = [np.bincount(part.y.astype(np.int64), minlength=len(classes)) for part in parts if classes]
    labels = np.stack(counts) if classes else np.zeros((len(parts), 0))
    cells = np.stack([census.cells(part, schema) for part in parts])
    masses = [census.masses(part, study.loss.task == "count") for part in parts]
    sums = [float(mass.sum()) for mass in masses]
    numbers = np.column_stack((sizes, sums, labels, labels > 0, cells, cells > 0)).astype(np.float64)
    ends = np.cumsum([2, len(classes), len(classes), len(names)])
    (size, mass), of_class, at_class, of_cell, at_cell = np.split(agreement.total(numbers), ends)
    for row, own_masses in zip(rows.tolist(), masses, strict=True):
        if (share := own_masses.max() / mass) > DOMINATES:
            raise BadData(
                f"peer {study.names[row]}: one training row has {share:.0%} of the weight of all rows, so secure sums would "
                "nearly show it: give it less, or leave it out"
            )
    labelled = [*(f"class {name}" for name in classes), *names]
    _refuse(study, labelled, [*of_class, *of_cell], [*at_class, *at_cell])
    own = [Held(size, held) for size, held in zip(sizes, cells, strict=True)]
    variables = [*census.columns(schema), *schema.levels]
    flat = alike.flat(study, schema, parts, np.flatnonzero(at_cell == 0), names, agreement)
    here = [study.names[row] for row in rows.tolist()]
    patterns = _patterns(schema, parts, of_cell, agreement)
    found = Guarded(Held(float(size), of_cell), own, here, at_cell, names, variables, patterns, flat=flat)
    return _paired(study, schema, parts, found, agreement)


def _paired(
    study: Study, schema: Schema, parts: Sequence[Rows], found: Guarded, agreement: Agreement
) -> Guarded:
    """The same with pairs of cells in which most rows have the most frequent value, if they are of different variables."""
    rare = np.flatnonzero(disclosure.rare(found.all)).tolist()
    compared = [(j, k) for j, k in combinations(rare, 2) if found.variables[j] != found.variables[k]]
    if len(compared) > PAIRS:
        return found._replace(uncompared=len(compared))
    if not compared:
        return found
    pairs = np.array(compared).T
    cells = np.stack([census.apart(part, schema, pairs) for part in parts]).astype(np.float64)
    of_pair, at_pair = np.split(agreement.total(np.hstack((cells, cells > 0))), 2)
    names = [f"{found.names[j]} beside {found.names[k]}" for j, k in compared]
    _refuse(study, names, of_pair.tolist(), at_pair.tolist())
    if len(same := np.flatnonzero(at_pair == 0)):
        flags = np.stack([census.paired(part, schema, pairs[:, same]) for part in parts])
        alike.refuse_split([names[j] for j in same.tolist()], flags, agreement)
    own = [Held(o.rows, np.append(o.cells, new)) for o, new in zip(found.own, cells, strict=True)]
    return Guarded(
        Held(found.all.rows, np.append(found.all.cells, of_pair)),
        own,
        found.here,
        np.append(found.peers, at_pair),
        [*found.names, *names],
        [*found.variables, *names],
        found.patterns,
        pairs,
        flat=found.flat,
    )


def _patterns(schema: Schema, parts: Sequence[Rows], cells: Array, agreement: Agreement) -> float:
    """How many different rows there can be, at least: the product of the levels that rows have, and of values of columns.

    Peers tell whether some peer has more than 2, 4 or 8 values in a column; and more than 8 in more than half of its rows: then
    there is no limit.
    """
    varying = np.count_nonzero(cells[: len(schema.features)])
    if sparse.issparse(parts[0].x) or varying > MANY:
        return math.inf
    columns = np.array([*census.columns(schema), *schema.levels])
    found = math.prod(max(1.0, float(np.count_nonzero(cells[columns == column]))) for column in schema.levels)
    numbers = [
        j for j, column in enumerate(census.columns(schema)) if column not in schema.levels and cells[j] > 0
    ]
    if numbers:
        different = [[len(np.unique(part.x[:, j])) for j in numbers] for part in parts]
        flags = [
            [count > most for count in own for most in (*VALUES, max(VALUES[-1], len(part.y) // 2))]
            for own, part in zip(different, parts, strict=True)
        ]
        more = agreement.anybody(flags).reshape(-1, len(VALUES) + 1).sum(1)
        found *= math.prod(np.array([2, *(most + 1 for most in VALUES), math.inf])[more].tolist())
    return max(found, 1.0)


def _refuse(study: Study, names: Sequence[str], counts: Sequence[float], peers: Sequence[float]) -> None:
    rows, holders = (dict(zip(names, numbers, strict=True)) for numbers in (counts, peers))
    disclosure.refuse(rows, holders, study.experiment.privacy.min_cell, study.experiment.privacy.min_peers)


def scaled(
    study: Study,
    schema: Schema,
    train: Sequence[Rows],
    rows: Tensor,
    moments: Moments,
    found: Guarded | None,
    curved: bool = True,
) -> None:
    """Check columns by their means and deviations over all rows; a method that takes no sums has neither.

    Raises:
        BadData: one row has nearly all of the spread of a column; or a column varies less than integers show, `curved` saying
            whether sums have a Hessian.
    """
    if found is None or not moments.deviation:
        return
    mean, deviation = np.array(moments.mean), np.array(moments.deviation)
    varies = deviation > FLAT * abs(mean)
    lost = rounding(mean, deviation, found.all.rows, len(study.names), curved) > ROUNDED
    if coarse := [name for name, one in zip(schema.features, varies & lost, strict=True) if one]:
        raise BadData(
            f"{listed(coarse)}: beside the size of other columns these vary too little for the integers of secure sums. Set "
            'data.standardise = "gossip", or give columns other units at all peers'
        )
    for row, part in zip(rows.tolist(), train, strict=True):
        share = census.largest(part.x, mean, np.where(varies, deviation, math.inf)) / found.all.rows
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
    own = _limit(study, schema, kind, found, agreement)
    free = study.experiment.algorithm.kind == "auto" and METHODS[kind].curvature and not own.sums.fixed
    if free and own.borne < ENOUGH and refusal(study, "lbfgs", problem) is None:
        return "lbfgs", _limit(study, schema, "lbfgs", found, agreement)
    return kind, own


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
    _pods(study, found, limit.sums)
    said = disclosure.sentence(limit.sums, found.all, limit.borne, len(study.names), found.names)
    if found.uncompared:
        said += (
            f". {found.uncompared:,} pairs of columns are too many to compare (at most {PAIRS:,}): of columns with a value "
            "that most rows share, leave out those that follow from others but for a few rows"
        )
    hidden = data.classes is not None or study.loss.task not in ("binary", "multiclass")
    levels = sorted({*data.categorical} - {*data.levels})
    return limit.borne * limit.sums.each - told, said + disclosure.shown(levels, hidden)


def _pods(study: Study, found: Guarded, sums: OneSum) -> None:
    """Where a pod may leave, its rows without any one peer's must bear one sum: that at the last model is then taken without
    them, too.

    Raises:
        BadData: a peer has less than its part of them.
    """
    if study.experiment.privacy.on_leave != "pods":
        return
    least = math.ceil(1 / sums.borne(Held(1.0, np.zeros(0))) / (study.experiment.privacy.pod - 1))
    for name, own in zip(found.here, found.own, strict=True):
        if own.rows < least:
            raise BadData(
                f"peer {name} has {own.rows:,.0f} training rows. Where a pod leaves, a sum of {sums.each:,} numbers over its "
                f'rows may become known, so privacy.on_leave = "pods" needs {least} at each peer here: set on_leave = "wait", '
                'a larger privacy.pod, or algorithm.kind = "lbfgs"'
            )


def _sums(study: Study, schema: Schema, kind: str, found: Guarded) -> OneSum:
    features = len(schema.features) + study.experiment.model.intercept
    curved = METHODS[kind].curvature or bool(study.l1)
    outputs = study.loss.outputs(len(schema.classes or ()))
    return OneSum(features, outputs, curved, study.loss.task == "regression", found.variables, found.patterns)


def _limit(study: Study, schema: Schema, kind: str, found: Guarded, agreement: Agreement) -> Limit:
    """How many sums are borne by the rows of all peers but any one, which knows its own.

    They are rounded down to sixteenths of those that all rows bear: peers tell no more of how even the rows lie.
    """
    sums = _sums(study, schema, kind, found)
    whole = sums.borne(found.all)
    steps = np.arange(1, PARTS + 1) / PARTS
    rest = [sums.borne(Held(found.all.rows - own.rows, found.all.cells - own.cells)) for own in found.own]
    short = [[one < step * whole * (1 - FLAT) for step in steps.tolist()] for one in rest]
    return Limit(sums, whole * float(np.count_nonzero(~agreement.anybody(short))) / PARTS)
