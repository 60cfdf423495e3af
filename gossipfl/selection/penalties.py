"""The penalties that are tried, and the choice among them; must not know where losses come from."""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Rule = Literal["cv", "cv-1se"]

PENALTIES = 10
INFINITE = 1e100  # a mean loss above this has overflowed


class Curve(NamedTuple):
    """The mean loss of rows held out, its standard error, by penalty, all (l,): the largest first, inf where nothing fits."""

    penalties: Array
    mean: Array
    error: Array

    @property
    def found(self) -> bool:
        """Whether there is a fit for any penalty."""
        return bool(np.isfinite(self.mean).any())


def grid(key: Literal["l1", "l2"], deviation: float) -> Array:
    """Penalties, largest first. l2: ten values from 10 to 1e-5. l1: ten values from `deviation` to a thousandth of it.

    They are meant for standardised features. If `deviation` is that of the loss's slopes at 0, the largest l1 makes all
    coefficients 0.
    """
    if key == "l2":
        return 10.0 ** np.linspace(1, -5, PENALTIES)
    return deviation * 10.0 ** np.linspace(0, -3, PENALTIES)


def curve(penalties: Array, weights: Array, losses: Array) -> Curve:
    """The curve from the weights (k,) and summed losses (k, l) of the rows held out in k folds.

    The mean is over all rows. With the mean m_i of fold i and its weight w_i, the error is
    sqrt(sum_i w_i (m_i - m)^2 / (sum_i w_i (k - 1))), as in glmnet.
    """
    mean = losses.sum(0) / weights.sum()
    with np.errstate(invalid="ignore", over="ignore"):
        apart = losses / weights[:, None] - mean
        error = np.sqrt(weights @ apart**2 / weights.sum() / (len(weights) - 1))
    lost = ~(mean < INFINITE)
    return Curve(penalties, np.where(lost, np.inf, mean), np.where(lost, np.inf, error))


def chosen(curve: Curve, rule: Rule) -> float:
    """The penalty with the least mean loss; with "cv-1se" the largest one whose loss is at most one standard error above."""
    best = int(curve.mean.argmin())
    if rule == "cv-1se":
        best = int((curve.mean <= curve.mean[best] + curve.error[best]).argmax())
    return float(curve.penalties[best])
