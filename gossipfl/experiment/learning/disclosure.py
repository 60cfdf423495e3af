"""What secure sums would show of few rows or few peers, and how many numbers rows bear; must not know how sums travel."""

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from gossipfl.algorithms import METHODS
from gossipfl.data import Rows, Schema
from gossipfl.data.fill import MIN_ROWS
from gossipfl.data.names import listed
from gossipfl.errors import BadData
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.study.study import Study

FEWEST = 2  # sums that a method needs at least
FRONT = 5  # numbers in a sum beside gradient and Hessian


def guard(study: Study, schema: Schema, train: Sequence[Rows], rows: Tensor, agreement: Agreement) -> int:
    """The training rows of all peers; 0 if sums are not secure.

    Raises:
        BadData: a peer has too few of them; or a sum over a column or a class would be one over few rows, or few peers.
    """
    privacy = study.experiment.privacy
    if not study.secure:
        return 0
    for row, part in zip(rows.tolist(), train, strict=True):
        if len(part.y) < MIN_ROWS:
            raise BadData(
                f"peer {study.names[row]} has {len(part.y)} training rows, and secure sums need {MIN_ROWS} at each peer: give "
                "it more rows, or remove it from the topology"
            )
    classes, features = schema.classes or (), schema.features
    counts = agreement.total(np.stack([_counts(part, len(classes)) for part in train]))
    sums = counts[1:].tolist()
    cells, holders = sums[: len(classes) + len(features)], sums[len(classes) + len(features) :]
    cell = [*(f"class {name}" for name in classes), *features]
    if few := [name for name, count in zip(cell, cells, strict=True) if 0 < count < privacy.min_cell]:
        raise BadData(
            f"fewer than {privacy.min_cell} training rows of all peers have {listed(few)}: secure sums would show these rows. "
            "Leave such a column out with drop, or join the level or class with another one"
        )
    if alone := [n for n, count in zip(features, holders, strict=True) if 0 < count < privacy.min_peers]:
        raise BadData(
            f"fewer than {privacy.min_peers} peers have rows with {listed(alone)}: a sum over these rows is no secret of one "
            "peer among many. Leave such a column out with drop, or join the level with another one, at all peers"
        )
    return round(float(counts[0]))


def borne(study: Study, kind: str, rows: int, width: int) -> tuple[float, str]:
    """The numbers whose totals may become known, and a sentence for them: at most half as many as the rows have.

    Raises:
        BadData: rows do not bear the sums of this kind of algorithm, or so many parameters.
    """
    if not study.secure:
        return math.inf, ""
    privacy, allowance = study.experiment.privacy, rows * width / 2
    each = width * (width + 3) // 2 + FRONT if METHODS[kind].curvature else width + FRONT
    sums = int(allowance // each)
    known = f"{rows:,} training rows and {width:,} parameters"
    if width > privacy.max_parameters_per_row * rows:
        raise BadData(
            f"{known} are more than {privacy.max_parameters_per_row:g} parameters for each row "
            "(privacy.max_parameters_per_row): totals would show rows. Use fewer columns, or more rows"
        )
    if sums < FEWEST:
        raise BadData(
            f"{known} do not bear {FEWEST} sums of {each:,} numbers: more would be known of the rows than half of what they "
            'hold. Use fewer columns, more rows or algorithm.kind = "lbfgs", which sums gradients only'
        )
    return allowance, (
        f"secure sums: a peer learns the totals of all {len(study.names)} peers and nothing else of other peers' rows; {known} "
        f"bear {sums:,} sums of {each:,} numbers"
    )


def _counts(part: Rows, classes: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """[rows, rows of each class, rows with another value than 0 in each column, whether there are such]."""
    labels = np.bincount(part.y.astype(np.int64), minlength=classes)[:classes] if classes else np.zeros(0)
    held = np.asarray((part.x != 0).sum(axis=0)).ravel()
    return np.concatenate(([len(part.y)], labels, held, held > 0)).astype(np.float64)
