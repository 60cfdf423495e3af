"""A linear model of gossipfl as a scikit-learn pipeline. Needs numpy, pandas and scikit-learn only, and not gossipfl.

Only scikit-learn's own classes are in the pipeline, so joblib and skops can save it. It takes a data frame with columns as
pandas.read_csv makes them: numbers; truth values; words, and codes such as 007, which need dtype=str. A word that is no level
counts as the first level of its column; a missing value that the model cannot replace is an error.
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC


def pipeline(model: dict[str, Any]) -> Pipeline:
    """The fitted pipeline of a model, from the content of its model.json."""
    levels, fill = model["levels"], model["missing"]["fill"]
    numbers = [name for name in model["columns"] if name not in levels]
    filled, whole = [n for n in numbers if n in fill], [n for n in numbers if n not in fill]
    whole += [model["offset"]] if model["offset"] else []
    # A row with which fitting gives each step what the model says.
    row: dict[str, Any] = {name: fill.get(name, 0.0) for name in numbers}
    row |= {model["offset"]: 0.0} if model["offset"] else {}
    steps: list[tuple[str, Any, list[str]]] = []
    if filled:
        steps.append(("filled", SimpleImputer(strategy="mean"), filled))
    if whole:
        steps.append(("numbers", "passthrough", whole))
    features = [*filled, *whole]
    for name, known in levels.items():
        values = _as_read(known, model["missing"]["level"])
        order = sorted(range(len(known)), key=lambda i, values=values: _sorting(values[i]))  # type: ignore[misc]
        categories = np.array([values[i] for i in order], dtype=None if _plain(values) else object)
        row[name] = next(value for value in values if not pd.isna(value))
        encoder: Any = OneHotEncoder(categories=[categories], handle_unknown="ignore", sparse_output=False)
        if name in fill:
            row[name] = values[known.index(fill[name])]
            encoder = Pipeline([("fill", SimpleImputer(strategy="most_frequent")), ("encode", encoder)])
        steps.append((f"levels of {name}", encoder, [name]))
        features += [f"{name}={known[i]}" for i in order]
        if name not in fill and not model["missing"]["level"]:  # NaN stays NaN, and the model refuses it
            absent = OrdinalEncoder(
                categories=[categories],
                handle_unknown="use_encoded_value",
                unknown_value=-1,
                encoded_missing_value=np.nan,
            )
            steps.append((f"missing in {name}", absent, [name]))
            features.append("")
    encode, scale = ColumnTransformer(steps, sparse_threshold=0), StandardScaler()
    frame = pd.DataFrame([row])[[*numbers, *([model["offset"]] if model["offset"] else []), *levels]]
    width = encode.fit_transform(frame).shape[1]
    assert width == len(features)
    scale.fit(np.zeros((1, width)))
    given = model["standardisation"] or {"mean": {}, "deviation": {}}
    scale.mean_ = np.array([given["mean"].get(name, 0.0) for name in features])
    scale.scale_ = np.array([given["deviation"].get(name, 1.0) for name in features])
    scale.var_ = scale.scale_**2
    intercept = np.atleast_1d(np.array(model["intercept"], dtype=float))
    none = [0.0] * len(intercept)
    coefficients = model["coefficients"] | (
        {model["offset"]: [1.0] * len(intercept)} if model["offset"] else {}
    )
    weights = (
        np.array([np.atleast_1d(coefficients.get(name, none)) for name in features]).reshape(width, -1).T
    )
    return Pipeline([("encode", encode), ("scale", scale), ("model", _estimator(model, weights, intercept))])


def _estimator(model: dict[str, Any], weights: Any, intercept: Any) -> Any:
    """The fitted estimator with these weights (outputs, features)."""
    x = np.zeros((2, weights.shape[1]))
    if not model["classes"]:
        linear = LinearRegression().fit(x, np.ones(2))
        linear.coef_, linear.intercept_ = weights[0], float(intercept[0])
        if model["link"] != "exp":
            return linear
        counts = TransformedTargetRegressor(
            LinearRegression(), transformer=FunctionTransformer(np.log, np.exp, check_inverse=False)
        ).fit(x, np.ones(2))
        counts.regressor_ = linear
        return counts
    classes = [name for name in model["classes"] if name not in model["unseen"]]
    kind = LinearSVC if model["link"] == "sign" else LogisticRegression
    made = kind().fit(np.zeros((len(classes), weights.shape[1])), classes)
    known = len(intercept) if len(intercept) == 1 else len(classes)  # no rows, no knowledge of a class
    made.classes_, made.coef_, made.intercept_ = np.array(classes), weights[:known], intercept[:known]
    return made


def _as_read(levels: list[str], missing: str | None) -> list[Any]:
    """Levels as pandas reads them: numbers if all are, truth values if all are, otherwise words; a missing value is NaN."""
    words = [level for level in levels if level != missing]
    read: Any = str
    if all(map(_is_number, words)):
        read = float
    elif set(words) <= {"TRUE", "FALSE"}:
        read = "TRUE".__eq__
    return [np.nan if level == missing else read(level) for level in levels]


def _is_number(level: str) -> bool:
    """Whether a level is a number as programs write it: 7 and 1.5, but not 007."""
    try:
        return repr(float(level)) == level or str(int(level)) == level
    except ValueError:
        return False


def _plain(values: list[Any]) -> bool:
    return all(isinstance(value, float) for value in values) or all(
        isinstance(value, bool) for value in values
    )


def _sorting(value: Any) -> tuple[bool, Any]:
    """Numbers in order, NaN last."""
    missing = bool(pd.isna(value))
    return missing, 0 if missing else value
