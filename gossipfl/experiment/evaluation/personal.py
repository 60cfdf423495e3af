"""Each peer's own model, near the shared one; must not know engines or other peers' rows."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from gossipfl.data import Rows
from gossipfl.experiment.evaluation.evaluate import evaluated
from gossipfl.experiment.study.study import Study
from gossipfl.models import Linear, scores
from gossipfl.models.personal import personal
from gossipfl.runs.learned import Learned


class Own(NamedTuple):
    """The peers' own models, (n, d), and what the summary says of them."""

    models: Tensor
    told: Mapping[str, Any]


def personalise(study: Study, learned: Learned, problem: Linear, mean: Tensor) -> Own:
    """The model of each peer that is present, from its own training rows, and its scores on its own test rows.

    The summary has "strength", how strongly each peer holds to the shared model (None: it keeps it), and "test" like that of
    the shared model.
    """
    e, models, strength = study.experiment, [], {}
    for name, rows in zip(learned.names, learned.train, strict=True):
        x = rows.x.toarray() if isinstance(rows.x, csr_array) else rows.x
        full = np.column_stack([x, np.ones(len(x))]) if e.model.intercept else x
        found = personal(
            problem.loss_of_row, full, rows.y, _margins(mean, rows, problem.outputs), rows.weight
        )
        models.append(mean + found.change.reshape(-1).to(mean.dtype))
        strength[name] = found.strength if math.isfinite(found.strength) else None
    margins = [_margins(x, rows, problem.outputs) for x, rows in zip(models, learned.test, strict=True)]
    test = evaluated(e.model.kind, margins, learned.test, learned.names) if any(map(len, margins)) else None
    return Own(torch.stack(models), {"strength": strength, "test": test})


def _margins(x: Tensor, rows: Rows, outputs: int) -> Any:
    z = scores(x, rows.x, outputs).numpy().astype(np.float64)
    return z if rows.offset is None else z + rows.offset[:, None]
