"""Whether the rows that each fold of a cross-validation holds out are enough for secure sums; must not know how sums travel."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from gossipfl.data import Rows, Schema, census
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.learning.disclosure import Guarded
from gossipfl.experiment.learning.select import fold_numbers
from gossipfl.experiment.study.study import Study
from gossipfl.secrecy import disclosure

NONE = 0.5  # a fold without rows that differ, where others have some, is one with few of them


def refuse_folds(
    study: Study,
    schema: Schema,
    train: Sequence[Rows],
    rows: Tensor,
    found: Guarded | None,
    agreement: Agreement,
) -> None:
    """Count the rows that differ in each cell and pair of cells, in each fold.

    That is before the sums over the other folds, since all of them together tell those over this one.

    Raises:
        BadData: they are few, or at few peers.
    """
    model, privacy = study.experiment.model, study.experiment.privacy
    if found is None or model.selects is None:
        return
    each = [
        census.folded(part, schema, found.pairs, fold_numbers(study, part, row), model.folds).ravel()
        for row, part in zip(rows.tolist(), train, strict=True)
    ]
    own = np.stack(each).astype(np.float64)
    totals = agreement.total(np.hstack((own, own > 0))).reshape(2, model.folds, -1)
    cells, peers = np.maximum(totals, NONE * (found.all.cells > 0)).reshape(2, -1).tolist()
    names = [f"{name} in fold {k + 1}" for k in range(model.folds) for name in found.names]
    way = f", or set model.folds lower, or give model.{model.selects} a number"
    disclosure.refuse(
        dict(zip(names, cells, strict=True)),
        dict(zip(names, peers, strict=True)),
        privacy.min_cell,
        privacy.min_peers,
        way,
    )
