"""The data sets that come with scikit-learn, read from its files; must not know who uses them.

scikit-learn's own loaders give the same tables, but importing them costs more than learning from such a table. They are
used if the files are elsewhere or not as expected.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

_CELL = [
    *["radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity"],
    "concave points",
    "symmetry",
    "fractal dimension",
]
_COLUMNS = {
    "breast_cancer": [form.format(c) for form in ("mean {}", "{} error", "worst {}") for c in _CELL],
    "diabetes": ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"],
    "digits": [f"pixel_{i}_{j}" for i in range(8) for j in range(8)],
    "iris": [f"{part} {side} (cm)" for part in ("sepal", "petal") for side in ("length", "width")],
    "wine": [
        *["alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids"],
        *["nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue"],
        "od280/od315_of_diluted_wines",
        "proline",
    ],
}
BUNDLED = tuple(_COLUMNS)


def bundled(name: str) -> pd.DataFrame:
    """The data set `name` of `BUNDLED`: its features and the column "target"."""
    spec = find_spec("sklearn")
    folder = Path(str(spec and spec.origin)).parent / "datasets" / "data"
    try:
        rows, target = _diabetes(folder) if name == "diabetes" else _classes(folder, name)
    except (OSError, ValueError):
        from sklearn import datasets

        frame: pd.DataFrame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        return frame
    frame = pd.DataFrame(rows, columns=_COLUMNS[name])
    frame["target"] = target
    return frame


def _classes(folder: Path, name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    """Features, and the class in the last column. Only digits has no line with the sizes before its rows."""
    file = {"digits": "digits.csv.gz", "wine": "wine_data.csv"}.get(name, f"{name}.csv")
    rows = np.loadtxt(folder / file, delimiter=",", skiprows=int(name != "digits"))
    return rows[:, :-1], rows[:, -1].astype(np.int64)


def _diabetes(folder: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    """Features with mean 0 and a sum of squares of 1, and the progression of the disease."""
    rows = np.loadtxt(folder / "diabetes_data_raw.csv.gz")
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0) / len(rows) ** 0.5
    return rows, np.loadtxt(folder / "diabetes_target.csv.gz")
