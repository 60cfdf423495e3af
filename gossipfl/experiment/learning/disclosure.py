"""Whether the rows of all peers are enough for secure sums; must not know how sums travel."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from gossipfl.algorithms import METHODS
from gossipfl.data import Rows, Schema
from gossipfl.data.fill import MIN_ROWS
from gossipfl.errors import BadData
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.study.study import Study
from gossipfl.secrecy import disclosure


def guard(study: Study, schema: Schema, train: Sequence[Rows], rows: Tensor, agreement: Agreement) -> int:
    """The training rows of all peers; 0 if sums are not secure.

    Raises:
        BadData: a peer has too few of them; or a sum over a column or a class would be one over few rows, or few peers.
    """
    privacy = study.experiment.privacy
    if not study.secure or study.private:
        return 0
    for row, part in zip(rows.tolist(), train, strict=True):
        if len(part.y) < MIN_ROWS:
            raise BadData(
                f"peer {study.names[row]} has {len(part.y)} training rows, and secure sums need {MIN_ROWS} at each peer: give "
                "it more rows, or remove it from the topology"
            )
    classes, features = schema.classes or (), schema.features
    counts = agreement.total(np.stack([_counts(part, len(classes)) for part in train])).tolist()
    cells = [*(f"class {name}" for name in classes), *features]
    held = dict(zip(cells, counts[1 : 1 + len(cells)], strict=True))
    holders = dict(zip(features, counts[1 + len(cells) :], strict=True))
    disclosure.refuse(held, holders, privacy.min_cell, privacy.min_peers)
    return round(float(counts[0]))


def borne(study: Study, kind: str, rows: int, width: int, told: int) -> tuple[float, str]:
    """`secrecy.disclosure.borne` for a kind of algorithm, less the numbers that are told before learning; no limit if
    sums are not secure. Raises BadData."""
    if study.private:
        return math.inf, ""
    if not study.secure:
        return math.inf, ""
    data, most = study.experiment.data, study.experiment.privacy.max_parameters_per_row
    known, sentence = disclosure.borne(rows, width, METHODS[kind].curvature, len(study.names), most)
    hidden = data.classes is not None or study.loss.task not in ("binary", "multiclass")
    return known - told, sentence + disclosure.shown(sorted({*data.categorical} - {*data.levels}), hidden)


def _counts(part: Rows, classes: int) -> npt.NDArray[np.float64]:
    """[rows, rows of each class, rows with another value than 0 in each column, whether there are such]."""
    labels = np.bincount(part.y.astype(np.int64), minlength=classes)[:classes] if classes else np.zeros(0)
    held = np.asarray((part.x != 0).sum(axis=0)).ravel()
    return np.concatenate(([len(part.y)], labels, held, held > 0)).astype(np.float64)
