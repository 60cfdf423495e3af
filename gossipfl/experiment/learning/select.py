"""The penalty that all peers choose by cross-validation before they learn; must not know which engine carries the sums."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from gossipfl.data import Rows, Schema
from gossipfl.data.fill import MIN_ROWS
from gossipfl.errors import BadData
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.study.problem import loss_of
from gossipfl.experiment.study.study import Study
from gossipfl.runs.facts import Selection
from gossipfl.selection import Validation, chosen, divided, numbered

LARGE = 2**22  # numbers in one message


def fold_numbers(study: Study, part: Rows, row: int) -> npt.NDArray[np.int64]:
    """The fold of each training row of the peer with this number, (m,)."""
    classes = study.loss.task in ("binary", "multiclass")
    return numbered(part.y, study.experiment.model.folds, study.experiment.seed, row, classes)


def select(
    study: Study, schema: Schema, train: Sequence[Rows], rows: Tensor, agreement: Agreement
) -> Selection | None:
    """The penalty with the least loss on rows held out, the same at all peers; None if the experiment gives numbers.

    Raises:
        BadData: a peer has too few rows, the model has too many parameters, or no penalty has an optimum.
    """
    model = study.experiment.model
    if (key := model.selects) is None:
        return None
    other, rule = (model.l2, model.l1) if key == "l1" else (model.l1, model.l2)
    assert isinstance(rule, str)
    assert not isinstance(other, str)
    for row, part in zip(rows.tolist(), train, strict=True):
        if len(part.y) < MIN_ROWS * model.folds:
            raise BadData(
                f'peer {study.names[row]} has {len(part.y)} training rows, and model.{key} = "{rule}" with {model.folds} folds '
                f"needs {MIN_ROWS * model.folds}: sums over fewer than {MIN_ROWS} rows reveal the rows. Set model.folds lower, "
                f"or give model.{key} a number"
            )
    outputs = study.loss.outputs(len(schema.classes or ()))
    d = (len(schema.features) + model.intercept) * outputs
    validation = Validation(
        loss_of(study, schema), outputs, model.intercept, key, other, study.experiment.data.standardise
    )
    if (numbers := validation.numbers(d, model.folds)) > LARGE:
        raise BadData(
            f'model.{key} = "{rule}" would send {numbers:,} numbers in a message, for {d:,} parameters; the limit is '
            f"{LARGE:,}: give model.{key} a number"
        )
    folds = [
        divided(part, fold_numbers(study, part, row), model.folds)
        for row, part in zip(rows.tolist(), train, strict=True)
    ]
    curve, sums = validation.curve(folds, agreement)
    if not curve.found:
        raise BadData(
            f'model.{key} = "{rule}": there is no optimum in any fold, since a class has too few rows. Set model.folds lower, '
            f"or give model.{key} a number"
        )
    mean, error = (tuple(v if v < math.inf else None for v in each.tolist()) for each in curve[1:])
    penalties, value = tuple(curve.penalties.tolist()), chosen(curve, rule)
    return Selection(
        key, value, rule, validation.measure, penalties, mean, error, model.folds, sums.sums, sums.numbers
    )
