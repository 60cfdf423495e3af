"""Linear models of scikit-learn's kind that peers learn together; must not know how they learn."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from gossipfl.algorithms import METHODS
from gossipfl.data.sources import MEMORY
from gossipfl.errors import GossipError
from gossipfl.interface.fitting import Array, Fitted, Wish, fit
from gossipfl.interface.graphs import AnyTopology
from gossipfl.interface.settings import patient

Step = float | Literal["auto"]


class GossipEstimator(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: parameters, the call of `fit`, and the record of how the peers learned."""

    tasks: ClassVar[tuple[str, ...]]  # of the losses that fit

    topology: AnyTopology
    peers: int
    algorithm: str | type
    loss: str | type
    l1: float
    l2: float
    fit_intercept: bool
    standardise: bool
    step: Step
    rounds: int
    tolerance: float | None
    engine: Literal["simulator", "peers"]
    seed: int
    settings: dict[str, Any] | None

    def _keep(self, given: dict[str, Any]) -> None:
        """Keep the parameters of a constructor, its local names."""
        for name, value in given.items():
            if name != "self":
                setattr(self, name, value)

    def _learn(
        self,
        X: Any,
        y: Array,
        weight: Array | None,
        sites: ArrayLike | None,
        kind: str | type,
        outputs: int = 1,
    ) -> Fitted:
        algorithm = {"kind": self.algorithm} | ({} if self.step == "auto" else {"step": self.step})
        stop = {"rounds": self.rounds} | ({} if self.tolerance is None else {"tolerance": self.tolerance})
        model = {"kind": kind, "l1": self.l1, "l2": self.l2, "intercept": self.fit_intercept}
        how = "gossip" if self.standardise else "none"
        tables = patient({
            "data": {"source": MEMORY, "target": "y", "test": 0.0, "standardise": how},
            "model": model, "algorithm": algorithm, "stop": stop,
        })  # fmt: skip
        wish = Wish(
            self.topology,
            self.peers,
            self.engine,
            self.seed,
            self.tasks,
            outputs,
            tables,
            self.settings or {},
        )
        rows = None if sites is None else _column(sites, X.shape[0], "sites")
        with _value_errors():
            fitted = fit(X, y, weight, rows, wish)
        _judge(fitted)
        return fitted

    def _record(self, fitted: Sequence[Fitted]) -> Self:
        """Keep what is learned; of several outputs one model each."""
        self.coef_ = np.concatenate([one.coefficients.T for one in fitted])
        self.intercept_ = np.concatenate([one.intercept for one in fitted])
        self.n_iter_ = max(1, *(one.rounds for one in fitted))
        frames = [pd.DataFrame(one.lines) for one in fitted]
        several = (
            pd.concat(frames, keys=range(len(frames)), names=["output"]) if len(frames) > 1 else frames[0]
        )
        self.history_ = several
        known = [one.certificate for one in fitted if one.certificate is not None]
        self.certificate_ = max(known) if len(known) == len(fitted) else None
        penalties = [
            np.array([one.penalties[key] for one in fitted]) if len(fitted) > 1 else fitted[0].penalties[key]
            for key in ("l1", "l2")
        ]
        self.l1_, self.l2_ = penalties
        self.messages_ = sum(one.messages for one in fitted)
        self.algorithm_, self.peers_ = fitted[0].algorithm, fitted[0].peers
        return self

    def _margins(self, X: Any) -> Array:
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        z: Array = safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_
        return z

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _has_chances(estimator: "GossipClassifier") -> bool:
    if estimator.loss not in ("logistic", "softmax"):
        raise AttributeError(f'loss = "{estimator.loss}" gives no probabilities: set loss = "logistic"')
    return True


class GossipClassifier(ClassifierMixin, GossipEstimator):  # type: ignore[misc]
    """A linear classifier that peers learn by gossip, each from its own rows.

    It minimises the weighted mean of the losses of all rows, plus l2/2 |w|^2 + l1 |w|_1; the intercept has no penalty. With
    `loss="logistic"` and l2 = 1/(C n) that is scikit-learn's `LogisticRegression(C=C)` on the rows of all peers together.

    Args:
        topology: who talks to whom: the name of a family of graphs ("ring", "torus", "regular", ...), which gets `peers` peers
            or, with `sites`, as many as there are; a shorthand ("torus:4x4"), a topology file, or a graph of networkx.
        peers: the number of peers of a family, at most one for 5 rows. Where that is fewer than asked for and the family has no
            such graph, all peers are linked.
        algorithm: `algorithm.kind` of an experiment file, or a class with a method of your own; "auto" takes sums along a tree
            of the topology where links allow it: it is exact with any penalty, and certified.
        loss: "logistic" (softmax for more than two classes), "softmax", "squared-svm", "svm", or a class of your own whose
            task is "binary".
        l1, l2: the penalties; "cv" or "cv-1se" for one of them: the peers choose it by cross-validation, without pooling rows.
        fit_intercept: whether there is an intercept.
        class_weight: weights of the classes, or "balanced".
        standardise: learn from features of mean 0 and deviation 1 (sparse ones: of mean square 1), whose moments the peers
            gossip; the penalty is then on the coefficients of these. `coef_` always is in the units of X.
        step: the learning rate, or "auto".
        rounds: the largest number of exchanges.
        tolerance: stop when the model of no peer changes more, nor differs more from another one, relatively; None: 1e-8, or
            none where peers never agree to stop.
        engine: "simulator" learns in this process, "peers" with a process for each peer, over TCP.
        seed: of the deal of the rows and of all random choices.
        settings: other keys of an experiment file, such as {"channel.compress": "top-k"}.

    Attributes:
        classes_, coef_, intercept_: as of scikit-learn's linear models.
        n_iter_: rounds, each with an exchange.
        history_: a data frame with the loss, the disagreement and the messages in the course of the rounds.
        certificate_: the predicted distance to the optimum, relative; None if the method has none.
        l1_, l2_: the penalties, also where the peers chose one (l2="cv").
        messages_: messages of all peers. algorithm_: the method. peers_: the names of the peers.

    >>> from sklearn.datasets import load_breast_cancer
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = GossipClassifier(topology="torus", standardise=True).fit(X, y)
    >>> bool(model.score(X, y) > 0.98), len(model.peers_), bool(model.certificate_ < 1e-8)
    (True, 16, True)
    """

    tasks = ("binary", "multiclass")

    def __init__(
        self,
        *,
        topology: AnyTopology = "ring",
        peers: int = 16,
        algorithm: str | type = "auto",
        loss: str | type = "logistic",
        l1: float = 0.0,
        l2: float = 1e-3,
        fit_intercept: bool = True,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        standardise: bool = False,
        step: Step = "auto",
        rounds: int = 1000,
        tolerance: float | None = None,
        engine: Literal["simulator", "peers"] = "simulator",
        seed: int = 0,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self._keep(locals())

    def fit(
        self, X: Any, y: ArrayLike, sites: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Let the peers learn.

        Args:
            X: (n, p), dense or sparse.
            y: (n,), classes.
            sites: (n,), who holds each row: the names of the peers of the topology, or any values if the peers have numbers.
            sample_weight: (n,), 0 or above.

        Raises:
            ValueError: what is asked for does not exist or does not fit together, or learning diverged.
        """
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64)
        check_classification_targets(y)
        weight = _weights(sample_weight, X)
        if self.class_weight is not None:
            factor = compute_sample_weight(self.class_weight, y)
            weight = factor if weight is None else weight * factor
        self.classes_ = np.unique(np.asarray(y) if weight is None else np.asarray(y)[weight > 0])
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class only, {self.classes_.tolist()}, in the rows that count: a classifier needs two classes"
            )
        codes = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1).astype(np.float64)
        classes = len(self.classes_)
        several = self.loss == "logistic" and classes > 2
        kind, outputs = ("softmax", classes) if several else (self.loss, 1)
        return self._record([self._learn(X, codes, weight, sites, kind, outputs)])

    def decision_function(self, X: Any) -> Array:
        """The margins: (n,) of the second of two classes, else (n, classes)."""
        z = self._margins(X)
        if len(self.classes_) > 2:
            return z
        return z[:, 0] if z.shape[1] == 1 else z[:, 1] - z[:, 0]

    def predict(self, X: Any) -> Any:
        """The most likely class of each row, (n,)."""
        z = self.decision_function(X)
        return self.classes_[(z > 0).astype(np.int64) if z.ndim == 1 else z.argmax(1)]

    @available_if(_has_chances)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, (n, classes)."""
        z = self._margins(X)
        if z.shape[1] > 1:
            found: Array = softmax(z, axis=1)
            return found
        second = expit(z[:, 0])
        return np.column_stack([1 - second, second])

    @available_if(_has_chances)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            found: Array = np.log(self.predict_proba(X))
        return found


class GossipRegressor(RegressorMixin, GossipEstimator):  # type: ignore[misc]
    """A linear regression that peers learn by gossip, each from its own rows.

    It minimises the weighted mean of the losses of all rows, plus l2/2 |w|^2 + l1 |w|_1; the intercept has no penalty. With
    `loss="linear"`, whose loss is r^2/2, and l2 = alpha/n that is scikit-learn's `Ridge(alpha)` on the rows of all peers
    together. Each column of a y of several columns gets a model of its own.

    Args:
        loss: "linear", "huber" (`settings={"delta": 1.0}`), "poisson" for counts, of which the model gives the mean, or a
            class of your own whose task is "regression".
        topology, peers, ...: as of `GossipClassifier`.

    Attributes:
        coef_, intercept_, n_iter_, history_, certificate_, l1_, l2_, messages_, algorithm_, peers_: as of `GossipClassifier`.

    >>> import networkx
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = GossipRegressor(topology=networkx.petersen_graph(), l2=0.0).fit(X, y)
    >>> round(model.score(X, y), 4), model.algorithm_, len(model.peers_)
    (0.5177, 'newton', 10)
    """

    tasks = ("regression", "count")

    def __init__(
        self,
        *,
        topology: AnyTopology = "ring",
        peers: int = 16,
        algorithm: str | type = "auto",
        loss: str | type = "linear",
        l1: float = 0.0,
        l2: float = 1e-3,
        fit_intercept: bool = True,
        standardise: bool = False,
        step: Step = "auto",
        rounds: int = 1000,
        tolerance: float | None = None,
        engine: Literal["simulator", "peers"] = "simulator",
        seed: int = 0,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self._keep(locals())

    def fit(
        self, X: Any, y: ArrayLike, sites: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Let the peers learn; as of `GossipClassifier`, with numbers y (n,) or (n, outputs)."""
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=np.float64, multi_output=True, y_numeric=True
        )
        weight, y = _weights(sample_weight, X), np.asarray(y, dtype=np.float64)
        several = y if y.ndim == 2 else y[:, None]
        self._record([self._learn(X, column, weight, sites, self.loss) for column in several.T])
        if y.ndim == 1:
            self.coef_, self.intercept_ = self.coef_[0], self.intercept_[0]
        return self

    def predict(self, X: Any) -> Array:
        """The expected numbers, (n,) or (n, outputs)."""
        z = self._margins(X)
        return np.exp(z) if self.loss == "poisson" else z

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output, tags.target_tags.multi_output = True, True
        return tags


def _judge(fitted: Fitted) -> None:
    """Refuse a model that diverged, and warn of one that may not be the optimum."""
    if fitted.stopped == "interrupted":
        raise KeyboardInterrupt
    if fitted.stopped == "diverged":
        raise ValueError(f"learning diverged: {fitted.why}; set a smaller step, or scale the features")
    if fitted.stopped == "no optimum":
        warnings.warn(fitted.why, ConvergenceWarning, stacklevel=5)
    elif fitted.stopped != "tolerance" and METHODS[fitted.algorithm].exact:
        warnings.warn(
            f"{fitted.rounds} rounds did not reach the tolerance: set more rounds, scale the features, or choose another "
            "algorithm or topology",
            ConvergenceWarning,
            stacklevel=5,
        )


def _weights(given: ArrayLike | None, X: Any) -> Array | None:
    if given is None:
        return None
    weight: Array = _check_sample_weight(given, X, dtype=np.float64, ensure_non_negative=True)
    return weight


def _column(values: ArrayLike, rows: int, what: str) -> list[Any]:
    found = np.asarray(values)
    if found.shape != (rows,):
        raise ValueError(
            f"{what} has the shape {found.shape}, and there are {rows} rows: give one value for each row"
        )
    if (gone := pd.isna(pd.Series(found.tolist()))).any():
        raise ValueError(
            f"{what} has a missing value in row {int(gone.argmax()) + 1}: give one value for each row"
        )
    return list(found.tolist())


@contextmanager
def _value_errors() -> Iterator[None]:
    """Errors of gossipfl as scikit-learn wants them."""
    try:
        yield
    except GossipError as why:
        raise ValueError(str(why)) from why
