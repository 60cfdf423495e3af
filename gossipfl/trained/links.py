"""What a margin says of the target; must not know where margins come from.

The margin of a row is z = intercept + sum_j coefficient_j x_j, plus the row's offset.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from gossipfl.data.scale import Scale
from gossipfl.models.losses import LOSSES

Array = npt.NDArray[np.float64]

# model.kind -> how its margins are read
LINKS = {
    "linear": "identity",
    "huber": "identity",
    "poisson": "exp",
    "logistic": "logit",
    "softmax": "softmax",
    "svm": "sign",
    "squared-svm": "sign",
}


def own_link(kind: str) -> str:
    """How margins of a loss of the user's own are read, by its task; "" for the losses of gossipfl."""
    return "" if kind in LINKS else {"binary": "sign"}.get(LOSSES[kind]().task, "identity")


def formula(link: str, classes: Sequence[str], scale: Scale | None, offset: str | None) -> str:
    """The prediction for a row as a formula, in plain text.

    >>> print(formula("logit", ("ill", "well"), Scale(np.ones(1), np.ones(1)), None))
    P(well) = 1 / (1 + exp(-z)), z = intercept + sum_j coefficient_j (x_j - mean_j) / deviation_j
    """
    x = "x_j" if scale is None else "(x_j - mean_j) / deviation_j" if scale.centred else "x_j / deviation_j"
    z = f"intercept + sum_j coefficient_j {x}" + (f" + {offset}" if offset else "")
    match link:
        case "identity":
            return f"prediction = z, z = {z}"
        case "exp":
            return f"prediction = exp(z), z = {z}"
        case "logit":
            return f"P({classes[1]}) = 1 / (1 + exp(-z)), z = {z}"
        case "softmax":
            return f"P(c) = exp(z_c) / sum_k exp(z_k) for the classes c, z_c = {z} with the coefficients of c"
    return f"{classes[1]} where z > 0, otherwise {classes[0]}; z = {z}"


def chances(link: str, z: Array) -> Array | None:
    """The probabilities of the classes, (n, classes), from margins (n, outputs); None if the model gives none."""
    if link == "logit":
        return np.column_stack([expit(-z[:, 0]), expit(z[:, 0])])
    return np.asarray(softmax(z, axis=1)) if link == "softmax" else None


def mean(link: str, z: Array) -> Array:
    """The predicted numbers, (n,), from margins (n, 1) of a model of numbers."""
    return np.asarray(np.exp(z[:, 0])) if link == "exp" else z[:, 0]


def chosen(z: Array) -> npt.NDArray[np.int64]:
    """The number of the predicted class of each row, (n,): the largest margin, or for one margin whether it is above 0."""
    found: npt.NDArray[np.int64] = z.argmax(1) if z.shape[1] > 1 else (z[:, 0] > 0).astype(np.int64)
    return found
