"""The scores of a model as two sums over test rows; must not know who holds the rows, nor how they are summed.

Peers sum `first` over all rows, then `second`, which needs the first total, and each has the scores of all test rows. Only the
area under the ROC curve is not exact: it is computed from counts of rows in bins, and its largest error is known.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from gossipfl.models.losses import Logistic, Loss, Poisson, Softmax

Array = npt.NDArray[np.float64]

BINS = 1024  # of margins, for the area under the ROC curve
DECILES = 10  # bins of probability, for calibration
_COARSE = np.sinh(
    np.linspace(-20, 20, BINS - 1)
)  # the edges of the first bins: margins of up to 2e8, finer near 0


class Area(NamedTuple):
    """The area under the ROC curve lies within `bound` of `value`."""

    value: float
    bound: float


@dataclass(frozen=True)
class Scoring:
    """The scores of models with this loss.

    Args:
        loss: which says what targets are.
        outputs: margins of a row.
    """

    loss: Loss
    outputs: int

    def first(self, z: Array, y: Array) -> Array:
        """The first vector to sum, (D,), from margins (r, outputs) and targets (r,).

        Classes: rows, correct ones, log loss, Brier score, and counts in coarse bins. Numbers: rows, targets, squared errors,
        deviance.
        """
        if not self._classes:
            predicted = self._predicted(z)
            excess = deviance(y, predicted).sum() if self._counts else 0.0
            return np.array([len(y), y.sum(), np.square(y - predicted).sum(), excess])
        correct = (z.argmax(1) if self.outputs > 1 else z[:, 0] > 0) == y
        losses = brier = np.zeros(len(y))
        if self._probable:
            logs = self._logs(z)
            hot = np.arange(logs.shape[1]) == y[:, None]
            losses = -logs[hot]
            brier = np.square(np.exp(logs) - hot).sum(1)
            if self.outputs == 1:
                brier = brier / 2  # the score of the positive class, as usual for two classes
        counts = _counts(self._ranked(z), y, np.tile(_COARSE, (self.outputs, 1)))
        return np.concatenate(([len(y), correct.sum(), losses.sum(), brier.sum()], counts.ravel()))

    def second(self, z: Array, y: Array, total: Array) -> Array:
        """The second vector to sum, from the same rows and the total of the first one.

        Classes: counts in bins that are narrow where classes overlap, and for calibration, for ten intervals of the
        probability of the predicted class: rows, the sum of that probability, correct ones. Numbers: squares of the targets
        about their mean.
        """
        if not self._classes:
            return np.array([np.square(y - total[1] / max(total[0], 1.0)).sum()])
        counts = _counts(self._ranked(z), y, self._edges(total))
        if not self._probable:
            return counts.ravel()
        chances = np.exp(self._logs(z))
        sure = chances.max(1)
        correct = chances.argmax(1) == y
        where = np.minimum((sure * DECILES).astype(int), DECILES - 1)
        sums = [np.bincount(where, weights, DECILES) for weights in (np.ones(len(y)), sure, correct)]
        return np.concatenate((counts.ravel(), *sums))

    def metrics(self, first: Array, second: Array) -> dict[str, float | None]:
        """The scores of all rows from both totals: None where one is not defined, {} without rows.

        accuracy, auc with `auc_bound`, its largest error, and where the model gives probabilities log_loss, brier and
        calibration, sum_b |sum of probabilities - correct rows| / rows; or else r2 and rmse, and deviance for counts. With
        several classes, auc and its bound are the means over the classes, each against all others.
        """
        rows = first[0]
        if not rows:
            return {}
        if not self._classes:
            found: dict[str, float | None] = {
                "r2": float(1 - first[2] / second[0]) if second[0] > 0 else None,
                "rmse": float(np.sqrt(first[2] / rows)),
            }
            return found | ({"deviance": float(first[3] / rows)} if self._counts else {})
        areas = [area(*counts) for counts in self._split(second)]
        known = [one for one in areas if one is not None]
        whole = len(known) == len(areas)
        auc, bound = np.mean(known, axis=0).tolist() if whole else (None, None)
        scores = {"accuracy": float(first[1] / rows), "auc": auc, "auc_bound": bound}
        if not self._probable:
            return scores | {"log_loss": None}
        number, sure, correct = second[-3 * DECILES :].reshape(3, DECILES)
        calibration = np.abs(sure - correct).sum() / number.sum()
        scores |= {"log_loss": float(first[2] / rows), "brier": float(first[3] / rows)}
        return scores | {"calibration": float(calibration)}

    @property
    def _classes(self) -> bool:
        return self.loss.task in ("binary", "multiclass")

    @property
    def _counts(self) -> bool:
        return isinstance(self.loss, Poisson)

    @property
    def _probable(self) -> bool:
        """Whether the margins are those of probabilities."""
        return isinstance(self.loss, Logistic | Softmax)

    def _predicted(self, z: Array) -> Array:
        return np.exp(z[:, 0]) if self._counts else z[:, 0]

    def _logs(self, z: Array) -> Array:
        """The logarithms of the probabilities of the classes, (r, classes)."""
        if self.outputs > 1:
            return np.asarray(log_softmax(z, axis=1))
        return np.asarray(-np.logaddexp(0.0, np.concatenate((z, -z), 1)))

    def _ranked(self, z: Array) -> Array:
        """What rows are ranked by, (r, outputs): the margin, or a class's log odds against all others."""
        if self.outputs == 1:
            return z
        others: list[Array] = [np.logaddexp.reduce(np.delete(z, c, 1), axis=1) for c in range(self.outputs)]
        return z - np.asarray(others).T

    def _split(self, vector: Array, start: int = 0) -> Array:
        """The counts in a vector, (outputs, 2, BINS)."""
        size = self.outputs * 2 * BINS
        return vector[start : start + size].reshape(self.outputs, 2, BINS)

    def _edges(self, total: Array) -> Array:
        """Bins for the second sum, (outputs, BINS - 1): half of them by rows, half by the error that coarse bins may cause."""
        edges = []
        for positives, negatives in self._split(total, 4):
            error, rows = np.sqrt(positives * negatives), positives + negatives
            dense = rows / max(rows.sum(), 1.0) + error / max(error.sum(), 1.0)
            # The outermost bins have no width to divide.
            upto = np.concatenate(([0.0], dense[1:-1].cumsum()))
            edges.append(np.interp(np.linspace(0, upto[-1], BINS - 1), upto, _COARSE))
        return np.array(edges)


def area(positives: Array, negatives: Array) -> Area | None:
    """sum_b p_b (sum_{c < b} q_c + q_b / 2) / (P N), from counts (BINS,); None if a class has no rows.

    It is the area for scores of which those in one bin count as equal. The order within bins changes it by at most
    sum_b p_b q_b / (2 P N).
    """
    pairs = positives.sum() * negatives.sum()
    if not pairs:
        return None
    below = negatives.cumsum() - negatives
    ties = positives @ negatives / 2
    return Area(float((positives @ below + ties) / pairs), float(ties / pairs))


def _counts(ranked: Array, y: Array, edges: Array) -> Array:
    """Rows of a class, and all others, in each bin, (outputs, 2, BINS), from (r, outputs), (r,) and (outputs, BINS - 1)."""
    found = []
    for c, (scores, between) in enumerate(zip(ranked.T, edges, strict=True)):
        positive = y == (c if len(edges) > 1 else 1)
        place = np.searchsorted(between, scores, side="right")
        found.append([np.bincount(place[which], minlength=BINS) for which in (positive, ~positive)])
    return np.array(found, dtype=np.float64)


def deviance(y: Array, mean: Array) -> Array:
    """2 (y log(y / mean) - y + mean), the deviance of a Poisson distribution, (r,); y log y = 0 where y is 0."""
    mean = np.maximum(mean, 1e-300)
    return 2 * (np.where(y > 0, y * np.log(np.where(y > 0, y, 1.0) / mean), 0.0) - y + mean)
