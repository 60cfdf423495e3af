"""model.json: a linear model written and read again; must not know what reads it.

It has the coefficients by feature, and all that turns a raw row into features. A scorer does in this order: replace missing
values by `missing.fill` (or by `missing.level` in categorical columns), make each categorical column one-hot by `levels`
without the first, standardise, and add up coefficients, intercept and the column `offset`. `formula` says what that means.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from torch import Tensor

from gossipfl.config.experiment import Experiment
from gossipfl.data import MISSING, Schema
from gossipfl.data.clean import LEVEL, Missing
from gossipfl.data.fresh import Wanted
from gossipfl.data.scale import Scale, standardised
from gossipfl.errors import BadExperiment
from gossipfl.trained.links import LINKS, own_link
from gossipfl.trained.model import LinearModel

Numbers = float | list[float]  # of one output, or of each of several


class Standardisation(msgspec.Struct):
    mean: dict[str, float]
    deviation: dict[str, float]
    how: str = "gossip"


class Replaced(msgspec.Struct):
    """What counts as missing, and what replaces it."""

    how: Missing
    fill: dict[str, float | str]
    level: str | None
    words: list[str]


class ModelFile(msgspec.Struct):
    """The content of model.json. Files of earlier versions have no formula, link, decimal and header."""

    kind: str
    coefficients: dict[str, Numbers]
    intercept: Numbers
    standardisation: Standardisation | None
    classes: list[str] | None
    levels: dict[str, list[str]]
    columns: list[str]
    target: str | None
    positive: str | None
    offset: str | None
    missing: Replaced
    standardise: str
    constant: list[str]
    unseen: list[str]
    formula: str = ""
    link: str = ""
    decimal: str = "."
    header: list[str] | None = None


def describe(
    experiment: Experiment, x: Tensor, schema: Schema, outputs: int, scale: Scale | None
) -> dict[str, Any]:
    """The content of `model.json`, for parameters x (d,).

    With `standardise = "local"` each peer standardises by its own rows, which are not here.
    """
    data, model, names = experiment.data, experiment.model, schema.features
    w: npt.NDArray[np.float64] = x.detach().numpy().astype(np.float64).reshape(-1, outputs)
    fill = dict(schema.fill)
    if data.missing == "mean" and scale:  # a column may lack values in new rows only
        means = dict(zip(names, scale.mean.tolist(), strict=True))
        fill = {name: fill.get(name, means[name]) for name in schema.columns if name not in schema.levels}
    wanted = Wanted(
        dataclasses.replace(schema, fill=fill), data.target, data.offset, data.missing,
        MISSING if data.missing_words is None else data.missing_words, data.decimal, data.columns,
    )  # fmt: skip
    intercept = w[-1] if model.intercept else np.zeros(outputs)
    plain = None if scale is None else Scale(scale.mean, np.where(scale.deviation > 0, scale.deviation, 1.0))
    return content(
        LinearModel(model.kind, wanted, w[: len(names)], intercept, plain, own_link(model.kind)),
        data.standardise,
    )


def content(model: LinearModel, standardise: str = "gossip") -> dict[str, Any]:
    """The content of the `model.json` of a model whose features were standardised so."""
    wanted, schema, outputs = model.wanted, model.schema, len(model.intercept)
    names, classes = schema.features, schema.classes

    def listed(row: list[float]) -> Numbers:
        return row[0] if outputs == 1 else row

    scaling = None
    if model.scale is not None:
        means, deviations = (
            dict(zip(names, part.tolist(), strict=True)) for part in (model.scale.mean, model.scale.deviation)
        )
        scaling = Standardisation(means, deviations, standardised(standardise, model.scale))
    written = ModelFile(
        kind=model.kind,
        coefficients={
            name: listed(row) for name, row in zip(names, model.coefficients.tolist(), strict=True)
        },
        intercept=listed(model.intercept.tolist()),
        standardisation=scaling,
        classes=None if classes is None else [*classes],
        levels={name: [*known] for name, known in schema.levels.items()},
        columns=[*schema.columns],
        target=wanted.target,
        positive=classes[1] if classes and outputs == 1 else None,
        offset=wanted.offset,
        missing=Replaced(wanted.how, dict(schema.fill), LEVEL if wanted.level else None, [*wanted.missing]),
        standardise=standardise,
        constant=[*schema.constant],
        unseen=[*schema.unseen],
        formula=model.formula,
        link=model.link,
        decimal=wanted.decimal,
        header=None if wanted.header is None else [*wanted.header],
    )
    found: dict[str, Any] = msgspec.to_builtins(written)
    return found


def load(path: Path | str) -> LinearModel:
    """The model in a run folder, or in a file like its model.json.

    Raises:
        BadExperiment: there is no linear model, its file is damaged, or each peer standardised by its own rows.
    """
    path = Path(path)
    file = path / "model.json" if path.is_dir() else path
    try:
        told = file.read_bytes()
    except OSError:
        raise BadExperiment(
            f"there is no model in {path}: a run writes model.json when it ends, if its model is linear (for model.kind = "
            '"module" it writes model.safetensors only)'
        ) from None
    try:
        found = msgspec.json.decode(told, type=ModelFile)
        model = _built(found)
    except (msgspec.MsgspecError, ValueError, KeyError, IndexError) as why:
        raise BadExperiment(
            f"{file} is no model of gossipfl, or it is damaged ({why}): run the experiment again"
        ) from None
    if found.standardise == "local":
        raise BadExperiment(
            f'{file}: with standardise = "local" each peer scales features by its own rows, which the model does not have: use '
            'data.standardise = "gossip", and run the experiment again'
        )
    return model


def rebuilt(described: dict[str, Any]) -> LinearModel:
    """The model that `describe` described."""
    return _built(msgspec.convert(described, ModelFile))


def _built(found: ModelFile) -> LinearModel:
    schema = Schema(
        tuple(found.columns),
        {name: tuple(known) for name, known in found.levels.items()},
        None if found.classes is None else tuple(found.classes),
        tuple(found.unseen),
        tuple(found.constant),
        found.missing.fill,
    )
    names, scale = schema.features, None
    if found.standardisation:
        scale = Scale(
            _array(found.standardisation.mean, names), _array(found.standardisation.deviation, names)
        )
    learned = len(found.classes or ()) - len(found.unseen)
    intercept = np.array(found.intercept, dtype=np.float64).reshape(-1)
    coefficients = _array(found.coefficients, names).reshape(len(names), len(intercept))
    if len(intercept) > 1:  # an output for each class; the model knows nothing of those without training rows
        coefficients, intercept = coefficients[:, :learned], intercept[:learned]
    read = "" if found.kind in LINKS else found.link
    if read and read not in LINKS.values():
        raise ValueError(f"nothing is known of the link {read}")
    classes = (read or LINKS[found.kind]) in ("logit", "softmax", "sign")
    if (found.classes is not None) != classes or (classes and learned != max(2, len(intercept))):
        raise ValueError(f"{learned} classes do not fit the kind {found.kind}")
    wanted = Wanted(
        schema, found.target, found.offset, found.missing.how, tuple(found.missing.words), found.decimal,
        found.header,
    )  # fmt: skip
    return LinearModel(found.kind, wanted, coefficients, intercept, scale, read)


def _array(values: Mapping[str, Any], names: tuple[str, ...]) -> npt.NDArray[np.float64]:
    return np.array([values[name] for name in names], dtype=np.float64)
