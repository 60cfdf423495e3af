"""The metrics of a model on test rows; must not know how it was learned."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gossipfl.data import Rows
from gossipfl.gossip.measure import voted_wrong, wrong
from gossipfl.models import LOSSES

CLASSIFIERS = ("logistic", "softmax", "svm", "squared-svm")
Array = npt.NDArray[np.float64]
Metrics = dict[str, float | None]  # an undefined metric is None


def classifies(kind: str) -> bool:
    """Whether the target of a kind of model is a class."""
    return kind in CLASSIFIERS or (kind in LOSSES and LOSSES[kind]().task == "binary")


def evaluate(
    kind: str, scores: Callable[[Any], Array], parts: Sequence[Rows], names: Sequence[str]
) -> dict[str, Any]:
    """The metrics of one model: on the test rows of all peers together, as the mean over peers, and for each peer.

    Args:
        kind: the model.kind of the experiment.
        scores: features (r, p) -> margins (r, outputs).
        parts: the peers' test rows, standardised.
        names: the peers.
    """
    margins = [scores(p.x) + (0.0 if p.offset is None else p.offset[:, None]) for p in parts]
    return evaluated(kind, margins, parts, names)


def evaluated(
    kind: str, margins: Sequence[Array], parts: Sequence[Rows], names: Sequence[str]
) -> dict[str, Any]:
    """As `evaluate`, from the margins of each peer's test rows, (r, outputs)."""
    each = {name: metrics(kind, z, part.y) for name, z, part in zip(names, margins, parts, strict=True)}
    everything = metrics(kind, np.concatenate(margins), np.concatenate([part.y for part in parts]))
    rows = {"rows": sum(len(part.y) for part in parts)}
    return {"all": rows | everything, "mean": _mean(list(each.values())), "peers": {
        name: {"rows": len(part.y)} | each[name] for name, part in zip(names, parts, strict=True)
    }}  # fmt: skip


def own(kind: str, models: Tensor, parts: Sequence[Rows]) -> dict[str, Any]:
    """The metrics of each peer's own model on the test rows of all peers, as means over the peers.

    Args:
        kind: the model.kind of the experiment; the model has one output.
        models: (n, cache, d), the newest models of each peer, the intercept last.
        parts: the peers' test rows, standardised.

    Returns:
        "own", for the newest models: rows, and rmse or else error, its standard deviation over the peers, and accuracy.
        "voted", for classifiers with a cache above 1: the same for the majority votes of each peer's models.
    """
    x, y = (np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "y"))
    if not classifies(kind):
        predicted = (_predicted(kind, x @ w[:-1, None] + w[-1]) for w in models[:, 0].double().numpy())
        return {
            "own": {"rows": len(y), "rmse": float(np.mean([np.mean((y - z) ** 2) ** 0.5 for z in predicted]))}
        }
    rows = torch.from_numpy(x).to(models.dtype), torch.from_numpy(y).to(models.dtype)

    def figures(errors: Tensor) -> dict[str, Any]:
        error, deviation = float(errors.mean()), float(errors.std(correction=0))
        return {"rows": len(y), "error": error, "deviation": deviation, "accuracy": 1.0 - error}

    found = {"own": figures(torch.cat([wrong(one[:1], *rows) for one in models]))}
    if models.shape[1] > 1:
        found["voted"] = figures(torch.cat([voted_wrong(one[None], *rows) for one in models]))
    return found


def metrics(kind: str, z: Array, y: Array) -> Metrics:
    """accuracy, auc, log_loss for classes; r2, rmse for numbers, and deviance for counts. Undefined metrics are None."""
    if not len(y):
        return {}
    if classifies(kind):
        return _classes(kind, z, y)
    predicted = _predicted(kind, z)
    residual, spread = float(np.mean((y - predicted) ** 2)), float(np.var(y))
    found: Metrics = {"r2": 1.0 - residual / spread if spread > 0 else None, "rmse": residual**0.5}
    if kind == "poisson":
        found["deviance"] = _deviance(y, np.maximum(predicted, 1e-300))
    return found


def _predicted(kind: str, z: Array) -> Array:
    """The predictions for margins (r, 1), (r,)."""
    return np.asarray(np.exp(z[:, 0]) if kind == "poisson" else z[:, 0])


def _classes(kind: str, z: Array, y: Array) -> Metrics:
    several = z.shape[1] > 1
    accuracy = float(np.mean((z.argmax(1) if several else z[:, 0] > 0) == y))
    auc: float | None = None
    if several:
        shifted = z - z.max(1, keepdims=True)
        chance = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
        loss = float(np.mean(np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(y)), y.astype(int)]))
        if len(np.unique(y)) == z.shape[1]:
            auc = float(np.mean([_auc(chance[:, k], y == k) for k in range(z.shape[1])]))
    else:
        loss = float(np.mean(np.logaddexp(0.0, np.where(y == 1, -z[:, 0], z[:, 0]))))
        if len(np.unique(y)) == 2:
            auc = _auc(z[:, 0], y == 1)
    return {"accuracy": accuracy, "auc": auc, "log_loss": loss if kind in ("logistic", "softmax") else None}


def _auc(z: Array, positive: npt.NDArray[np.bool_]) -> float:
    """The probability that a positive row has a larger margin than another one, ties counting half (Mann, Whitney 1947)."""
    _, place, counts = np.unique(z, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    ones = int(positive.sum())
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * (len(z) - ones)))


def _deviance(y: Array, mean: Array) -> float:
    """The mean of 2 (y log(y / mean) - y + mean), with 0 log 0 = 0, of Poisson's distribution."""
    return float(2 * np.mean(np.where(y > 0, y * np.log(np.where(y > 0, y, 1.0) / mean), 0.0) - y + mean))


def _mean(each: Sequence[Metrics]) -> Metrics:
    """The unweighted mean over the peers for which a metric is defined."""
    names = {name: None for one in each for name in one}
    values = {name: [v for one in each if (v := one.get(name)) is not None] for name in names}
    return {name: float(np.mean(found)) if found else None for name, found in values.items()}
