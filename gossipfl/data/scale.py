"""Standardisation of features, and which of them are constant; must not know how peers agree on it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import diags_array, issparse

from gossipfl.data.encode import Rows, mark

ROUNDING = (
    1e-12  # the spread of a constant column, relative to its values: a mean of equal numbers is not exact
)


@dataclass(frozen=True)
class Scale:
    """Standardisation of features: x -> (x - mean) / deviation, both (p,); a feature with deviation 0 becomes 0.

    Sparse features are only scaled, by their root mean square, with mean 0: centred ones would be dense.
    """

    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]

    @classmethod
    def of(cls, mean: npt.NDArray[np.float64], variance: npt.NDArray[np.float64]) -> "Scale":
        """The scale for these moments (p,); deviations that are only rounding errors are 0."""
        deviation = np.sqrt(variance)
        return cls(mean, np.where(deviation <= ROUNDING * np.abs(mean), 0.0, deviation))

    @classmethod
    def uncentred(cls, square: npt.NDArray[np.float64]) -> "Scale":
        """The scale for these mean squares (p,)."""
        return cls.of(np.zeros_like(square), square)

    @property
    def centred(self) -> bool:
        """Whether it moves any feature."""
        return bool(self.mean.any())

    def apply(self, rows: Rows) -> Rows:
        varies = self.deviation > 0
        divisor = np.where(varies, self.deviation, 1.0)
        if issparse(rows.x):
            return rows._replace(x=(rows.x @ diags_array(varies / divisor)).tocsr())
        return rows._replace(x=np.where(varies, (rows.x - self.mean) / divisor, 0.0))


def standardised(how: str, scale: Scale | None) -> str:
    """How features were standardised, `how` being the setting, in words."""
    return how if scale is None or scale.centred else f"{how}: scaled, not centred"


def marks(rows: Rows, intercept: bool) -> npt.NDArray[np.float64]:
    """What a peer says of its features, (2, p): (m, -m) if a feature has one value in all rows, m being its `mark`;
    else (1, 1).

    The maximum over all peers then adds up to 0 if and only if the feature has the same value at all of them, and nobody sees
    the value. Values that differ in their 13th digit count as one. Without an intercept only 0 is constant: the model needs
    other values.
    """
    high, low = (_extreme(rows, end) for end in ("max", "min"))
    single = (high - low <= ROUNDING * np.maximum(np.abs(high), np.abs(low))) & (intercept | (high == 0))
    said = np.ones((2, len(high)))
    values, place = np.unique(high[single] + 0.0, return_inverse=True)
    numbers = np.array([mark(f"{value:.11e}") for value in values], dtype=np.float64)[place]
    said[:, single] = numbers, -numbers
    return said


def _extreme(rows: Rows, end: str) -> npt.NDArray[np.float64]:
    found = getattr(rows.x, end)(axis=0)
    return np.asarray(found.todense() if issparse(found) else found, dtype=np.float64).ravel()


def bounded(
    columns: npt.NDArray[np.float64], low: npt.NDArray[np.float64], high: npt.NDArray[np.float64], places: int
) -> npt.NDArray[np.float64]:
    """Of each row (m, c) the numbers [z, z^2], (m, 2 c), whole ones in units of 2^-places; z is the row in units of its bounds.

    Before it is rounded each row has the norm 1 at most, whatever its values.
    """
    with np.errstate(over="ignore"):
        z = np.clip((columns - low) / (high - low), 0.0, 1.0)
    each = np.hstack((z, z**2))
    each /= np.maximum(np.linalg.norm(each, axis=1, keepdims=True) * (1 + 1e-9), 1.0)
    return np.rint(np.ldexp(each, places))


def squares_about(
    x: Any, w: npt.NDArray[np.float64], mean: npt.NDArray[np.float64], centred: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Weighted sums of squares around the mean, or around 0 where columns are not to be centred, (c,)."""
    with np.errstate(over="ignore"):
        if not issparse(x):
            dense: npt.NDArray[np.float64] = w @ (x - mean) ** 2
            return dense
        sums: npt.NDArray[np.float64] = w @ x.power(2)
        sums[centred] = w @ (x[:, centred].toarray() - mean[centred]) ** 2
        return sums
