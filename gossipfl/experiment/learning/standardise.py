"""Features to mean 0 and deviation 1, by statistics that the peers agree on; must not know models."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import issparse
from torch import Tensor

from gossipfl.data import Rows
from gossipfl.data.scale import Scale
from gossipfl.errors import BadData, BadExperiment
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.study.study import Study

MIN_ROWS = 5  # a sum over fewer rows than this gives too much away


def standardise(
    study: Study, train: Sequence[Rows], rows: Tensor, mean_rows: float, agreement: Agreement
) -> list[Scale | None]:
    """Mean and deviation of each feature: over the training rows of all peers, or of each by itself, or not at all.

    Two means are gossiped, of x and then of (x - mean)^2; a constant feature keeps its size.
    """
    how = study.experiment.data.standardise
    if how == "none":
        return [None] * len(train)
    if issparse(train[0].x):
        raise BadExperiment('sparse features would fill up when centred: set data.standardise = "none"')
    if how == "local":
        return [_scale(r.x.mean(0), r.x.var(0)) for r in train]
    for row, part in zip(rows.tolist(), train, strict=True):
        if len(part.y) < MIN_ROWS:
            raise BadData(
                f"peer {study.names[row]} has {len(part.y)} training rows: the sums of fewer than {MIN_ROWS} rows, "
                'which data.standardise = "gossip" would tell its neighbours, give the rows away. Use "local" or '
                '"none", or give it more rows'
            )
    share = 1 / mean_rows
    mean = agreement.mean(torch.from_numpy(np.stack([r.x.sum(0) for r in train])))[0].numpy() * share
    squares = torch.from_numpy(np.stack([np.square(r.x - mean).sum(0) for r in train]))
    return [_scale(mean, agreement.mean(squares)[0].numpy() * share)] * len(train)


def _scale(mean: npt.NDArray[np.float64], variance: npt.NDArray[np.float64]) -> Scale:
    deviation = np.sqrt(variance)
    constant = deviation <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
    return Scale(mean, np.where(constant, 1.0, deviation))
