"""Whether groups of rows are enough for secure sums, where totals with and without them are taken: those that a fold holds out,
and those of a pod; must not know how sums travel."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from gossipfl.data import Rows, Schema, census
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.learning.alike import refuse_split
from gossipfl.experiment.learning.disclosure import Guarded
from gossipfl.experiment.learning.select import fold_numbers
from gossipfl.experiment.study.study import Study
from gossipfl.secrecy import disclosure
from gossipfl.secrecy.partners import pods

NONE = 0.5  # a group without rows that differ, where others have some, is one with few of them


def refuse_groups(
    study: Study,
    schema: Schema,
    train: Sequence[Rows],
    rows: Tensor,
    found: Guarded | None,
    agreement: Agreement,
) -> None:
    """Refuse folds and pods with few rows of a cell. Raises BadData."""
    if found is None:
        return
    if study.experiment.model.selects:
        _refuse_folds(study, schema, train, rows, found, agreement)
    if study.experiment.privacy.on_leave == "pods":
        _refuse_pods(study, schema, train, found, agreement)


def _refuse_folds(
    study: Study, schema: Schema, train: Sequence[Rows], rows: Tensor, found: Guarded, agreement: Agreement
) -> None:
    """Count the rows that differ in each cell and pair of cells, in each fold.

    That is before the sums over the other folds, since all of them together tell those over this one.

    Raises:
        BadData: they are few, or at few peers.
    """
    model = study.experiment.model
    each = [
        census.folded(part, schema, found.pairs, fold_numbers(study, part, row), model.folds).ravel()
        for row, part in zip(rows.tolist(), train, strict=True)
    ]
    own = np.stack(each).astype(np.float64)
    totals = agreement.total(np.hstack((own, own > 0))).reshape(2, model.folds, -1)
    names = [f"{name} in fold {k + 1}" for k in range(model.folds) for name in found.names]
    way = f", or set model.folds lower, or give model.{model.selects} a number"
    _refuse_few(study, names, np.maximum(totals, NONE * (found.all.cells > 0)), way)


def _refuse_pods(
    study: Study, schema: Schema, train: Sequence[Rows], found: Guarded, agreement: Agreement
) -> None:
    """Count the rows of each class, and those that differ in each cell and pair of cells, in each pod that may leave.

    Raises:
        BadData: they are few, or at few peers; or a level has all rows of some peers of a pod and none of others.
    """
    groups, classes = pods(study.names, study.experiment.privacy.pod), schema.classes or ()
    names = [*(f"class {name}" for name in classes), *found.names]
    mine = [next(k for k, pod in enumerate(groups) if name in pod) for name in found.here]
    own = np.zeros((len(groups), len(mine), len(names)))
    for i, (k, held, part) in enumerate(zip(mine, found.own, train, strict=True)):
        labels = np.bincount(part.y.astype(np.int64), minlength=len(classes)) if classes else ()
        own[k, i] = [*labels, *held.cells]
    # one sum for each pod: all in one message would be longer than peers accept
    sums = [agreement.total(np.hstack((counts, counts > 0))) for counts in own]
    totals = np.stack(sums).reshape(len(groups), 2, -1).swapaxes(0, 1)
    numbers = ~np.isin([*census.columns(schema), *schema.levels], [*schema.levels])
    alone = np.zeros(len(names), dtype=bool)
    alone[len(classes) : len(classes) + len(numbers)] = numbers & (found.all.cells[: len(numbers)] > 0)
    told = [f"{name} in the pod of {', '.join(pod)}" for pod in groups for name in names]
    _refuse_few(study, told, np.maximum(totals, NONE * alone), ', or set privacy.on_leave = "wait"')
    nobody = np.flatnonzero(totals[1] == 0)
    split = census.states(schema, mine, train, found.pairs, totals[1] == 0)
    refuse_split([told[j] for j in nobody.tolist()], split.reshape(len(mine), 2, -1)[:, :, nobody], agreement)


def _refuse_few(study: Study, names: Sequence[str], totals: npt.NDArray[np.float64], way: str) -> None:
    """Refuse what few rows, or rows of few peers, have by the totals of both, (2, groups, cells)."""
    cells, peers = (dict(zip(names, one, strict=True)) for one in totals.reshape(2, -1).tolist())
    disclosure.refuse(
        cells, peers, study.experiment.privacy.min_cell, study.experiment.privacy.min_peers, way
    )
