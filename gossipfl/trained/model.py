"""A finished linear model and what it predicts; must not know files of runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array, diags_array

from gossipfl.data import Schema
from gossipfl.data.encode import features
from gossipfl.data.fresh import Wanted, complete, from_frame, read_fresh
from gossipfl.data.names import listed, text
from gossipfl.data.scale import Scale
from gossipfl.data.table import Table, numbers, values
from gossipfl.errors import BadData
from gossipfl.trained.links import LINKS, Array, chances, chosen, formula, mean


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of new rows, in their order. A row without a prediction has None or NaN.

    frame: "prediction" (the class, or the expected number) and, for models with probabilities, "P(class)" of the positive class
        or of each of several classes; for support vector machines "margin". It has the index of a data frame that was given, so
        that `frame["p"] = prediction.frame["prediction"]` puts each one beside its row.
    margins: (n, outputs).
    scores: how good the predictions are, where the rows have the target: accuracy, auc, log_loss, ... or r2, rmse, deviance.
    """

    frame: pd.DataFrame
    margins: Array
    scores: Mapping[str, float | None] | None
    notes: tuple[str, ...]  # what a person should know of the rows, in sentences


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear model with all that turns raw rows into features.

    Args:
        kind: `model.kind` of the experiment.
        wanted: the columns, levels, classes and missing words of a file.
        coefficients: (p, outputs), of the features of the schema.
        intercept: (outputs,).
        scale: the features' standardisation.
        read: the link, if the loss is not one of gossipfl's.
    """

    kind: str
    wanted: Wanted
    coefficients: Array
    intercept: Array
    scale: Scale | None = None
    read: str = ""

    @property
    def schema(self) -> Schema:
        return self.wanted.schema

    @property
    def link(self) -> str:
        """How margins are read: identity, exp, logit, softmax or sign."""
        return self.read or LINKS[self.kind]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that the model can predict, in the order of its outputs; the positive one last of two."""
        return tuple(name for name in self.schema.classes or () if name not in self.schema.unseen)

    @property
    def formula(self) -> str:
        """The prediction for a row as a formula, in plain text."""
        return formula(self.link, self.classes, self.scale, self.wanted.offset)

    @property
    def original_formula(self) -> str:
        """The formula for the coefficients in the units of the raw columns."""
        return formula(self.link, self.classes, None, self.wanted.offset)

    @cached_property
    def original(self) -> tuple[Array, Array]:
        """Coefficients (p, outputs) and intercept (outputs,) in the units of the raw columns."""
        if self.scale is None:
            return self.coefficients, self.intercept
        slopes = self.coefficients / self.scale.deviation[:, None]
        return slopes, self.intercept - self.scale.mean @ slopes

    def predict(self, rows: str | Path | pd.DataFrame) -> Prediction:
        """The predictions for the rows of a file or of a data frame, which may lack the target.

        A word that is no level of its column counts as the column's first level. A row that lacks a value which the model
        cannot replace has no prediction. Both are in the notes.

        Raises:
            BadData: a column is missing, or has words or infinite values in place of numbers.
        """
        if isinstance(rows, pd.DataFrame):
            table, labels = from_frame(rows, self.wanted)
        elif not isinstance(rows, str | Path):
            raise TypeError(
                f"rows should be a data frame or a file, and not {type(rows).__name__}: name the columns of arrays"
            )
        else:
            table, labels = read_fresh(str(rows), self.wanted)
        ready, here = complete(table, self.wanted)
        z = np.full((len(table), len(self.intercept)), np.nan)
        z[here] = self._margins(ready)
        scores, notes = None, ready.notes
        if labels is not None and not self.read:
            scores, more = self._scores(z, labels, table.where)
            notes = (*notes, *more)
        answers = self._answers(z)
        if isinstance(rows, pd.DataFrame):
            answers = answers.set_axis(rows.index)
        return Prediction(answers, z, scores, notes)

    def _margins(self, table: Table) -> Array:
        x = features(table, self.schema)
        if self.scale is not None:
            if isinstance(x, csr_array) and not self.scale.centred:
                x = x @ diags_array(1 / self.scale.deviation)
            else:
                dense = x.toarray() if isinstance(x, csr_array) else x
                x = (dense - self.scale.mean) / self.scale.deviation
        z = np.asarray(x @ self.coefficients) + self.intercept
        return z if table.offset is None else z + table.offset[:, None]

    def _answers(self, z: Array) -> pd.DataFrame:
        if not self.classes:
            return pd.DataFrame({"prediction": mean(self.link, z)})
        named = np.array([*self.classes, None], dtype=object)
        known = np.where(np.isnan(z).any(1), -1, chosen(np.nan_to_num(z)))
        columns: dict[str, Any] = {"prediction": named[known]}
        if (found := chances(self.link, z)) is None:
            return pd.DataFrame(columns | {"margin": z[:, 0]})
        first = 1 if z.shape[1] == 1 else 0
        return pd.DataFrame(
            columns | {f"P({c})": found[:, first + j] for j, c in enumerate(self.classes[first:])}
        )

    def _scores(
        self, z: Array, labels: pd.Series, where: str
    ) -> tuple[dict[str, float | None], tuple[str, ...]]:
        """The scores on the rows that have a target and a prediction, and notes."""
        from gossipfl.models.losses import LOSSES
        from gossipfl.models.scoring import Scoring

        y, notes = self._targets(labels, where)
        both = ~(np.isnan(y) | np.isnan(z).any(1))
        z, y = z[both], y[both]
        if not len(y):
            return {"rows": 0.0}, notes
        scoring = Scoring(LOSSES[self.kind](), z.shape[1])
        first = scoring.first(z, y)
        scores = {"rows": float(len(y)), **scoring.metrics(first, scoring.second(z, y, first))}
        if self.classes:
            scores["auc"] = self._area(z, y)
            del scores["auc_bound"]  # of an area from bins
        return scores, notes

    def _area(self, z: Array, y: Array) -> float | None:
        """The area under the ROC curve; of several classes the mean, each against all others. None if a class has no rows."""
        if len(np.unique(y)) < len(self.classes):
            return None
        from sklearn.metrics import roc_auc_score

        if z.shape[1] == 1:
            return float(roc_auc_score(y, z[:, 0]))
        shares = chances(self.link, z)
        assert shares is not None
        return float(np.mean([roc_auc_score(y == c, shares[:, c]) for c in range(z.shape[1])]))

    def _targets(self, labels: pd.Series, where: str) -> tuple[Array, tuple[str, ...]]:
        """The target as numbers, NaN where it is missing or a class that the model does not know."""
        column = pd.Series(values(labels))
        if not self.classes:
            if (found := numbers(column)) is None:
                raise BadData(
                    f"{where}: the target {self.wanted.target!r} is not a number in each row: correct the file, or leave the "
                    "column out"
                )
            return found.to_numpy(dtype=np.float64), ()
        words = column.map(text, na_action="ignore")
        place = {name: float(code) for code, name in enumerate(self.classes)}
        y: npt.NDArray[np.float64] = words.map(place).to_numpy(dtype=np.float64)
        strange = words.notna().to_numpy() & np.isnan(y)
        if not strange.any():
            return y, ()
        named = listed(dict.fromkeys(words[strange]), 5)
        return y, (
            f"{strange.sum()} rows have the class {named}, which the model does not know: no score counts them",
        )
