"""Standardisation of features; must not know how peers agree on it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gossipfl.data.encode import Rows


@dataclass(frozen=True)
class Scale:
    """Standardisation of features: x -> (x - mean) / deviation, both (p,)."""

    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]

    def apply(self, rows: Rows) -> Rows:
        return Rows((rows.x - self.mean) / self.deviation, rows.y)
