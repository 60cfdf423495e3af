"""Cross-validation of penalties from sums over all peers; must not know who takes the sums.

The models of all folds and penalties are fitted in the same sums: two of moments, those of Newton's method, and one of losses.
For ridge regression one sum of a Hessian for each fold takes the place of Newton's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import hstack, issparse
from torch import Tensor

from gossipfl.algorithms.newton import solve
from gossipfl.algorithms.sums import DampedNewton, Objective, SumMethod, Units
from gossipfl.algorithms.sums.joint import Joint
from gossipfl.data import Rows
from gossipfl.data.scale import Scale
from gossipfl.models.losses import Logistic, Loss, Poisson, Softmax, Squared, SquaredHinge
from gossipfl.models.scoring import deviance
from gossipfl.models.shard import Shard, shard, unpacked
from gossipfl.selection.folds import Fold
from gossipfl.selection.penalties import PENALTIES, Curve, curve, grid

TOLERANCE = 1e-10  # of each fit
MOST = 100  # sums of Newton's method
HUGE = 1e200  # in place of a loss that overflows
Array = npt.NDArray[np.float64]


class Totals(Protocol):
    """Sums over all peers."""

    def total(self, x: Array) -> Array:
        """(n, k) of the n peers held here -> the sum over all peers, (k,)."""

    def minimised(
        self, method: SumMethod, rows: Sequence[Any], width: int, most: int
    ) -> tuple[Any, int, int]:
        """The state of a sum method from `width` zeros at its end, or after so many sums; the sums, and the numbers in them."""


class Counted:
    """Sums that are counted: how many, and the numbers in them."""

    def __init__(self, inner: Totals) -> None:
        self._inner, self.sums, self.numbers = inner, 0, 0

    def total(self, x: Array) -> Array:
        self.sums, self.numbers = self.sums + 1, self.numbers + x.shape[1]
        return self._inner.total(x)

    def minimised(self, method: SumMethod, rows: Sequence[Any], width: int, most: int) -> Any:
        state, sums, numbers = self._inner.minimised(method, rows, width, most)
        self.sums, self.numbers = self.sums + sums, self.numbers + numbers
        return state


class Spread(NamedTuple):
    """Means and variances of features (p,) and target over the training rows of a fold."""

    mean: Array
    variance: Array
    centre: float
    spread: float


@dataclass(frozen=True)
class Validation:
    """What is validated.

    loss, outputs, intercept: of the model.
    key: the penalty that is to be chosen; other: the value of the other one.
    scale: how features are standardised in each fold: over all peers, by each over its own rows, or not at all.
    """

    loss: Loss
    outputs: int
    intercept: bool
    key: Literal["l1", "l2"]
    other: float
    scale: Literal["gossip", "local", "none"]

    @property
    def measure(self) -> str:
        """The name of the loss on rows held out."""
        match self.loss:
            case Squared():
                return "squared error"
            case Poisson():
                return "deviance"
            case Logistic() | Softmax():
                return "log loss"
        return "loss"

    def numbers(self, width: int, folds: int) -> int:
        """The numbers in the largest message, for so many parameters."""
        each = 1 if self._closed else PENALTIES
        return folds * each * (5 + width + width * (width + 1) // 2)

    @property
    def _closed(self) -> bool:
        """Whether one sum has all models."""
        return isinstance(self.loss, Squared) and self.key == "l2" and not self.other

    def curve(self, peers: Sequence[Sequence[Fold]], totals: Totals) -> tuple[Curve, Counted]:
        """The curve from the folds of the peers held here, and what it took.

        The loss is the squared error of a linear model, the deviance of counts, else that of the model.
        """
        sums = Counted(totals)
        if self.scale == "local":
            peers = [[_scaled(fold, _own(fold.train)) for fold in own] for own in peers]
        moments = self._moments(peers, sums)
        shards = [[self._shards(fold, m) for fold, m in zip(own, moments, strict=True)] for own in peers]
        penalties = grid(self.key, self._deviation(moments))
        objectives = [[self._objective(m, penalty) for penalty in penalties.tolist()] for m in moments]
        fit = self._ridge if self._closed else self._descend
        fits = fit([[train for train, _ in own] for own in shards], objectives, sums)
        weights, losses = self._held([[held for _, held in own] for own in shards], fits, sums)
        return curve(penalties, weights, losses), sums

    def _moments(self, peers: Sequence[Sequence[Fold]], sums: Counted) -> list[Spread]:
        """Two sums: of the rows, and of squares about the means."""

        k, p = len(peers[0]), peers[0][0].train.x.shape[1]

        def total(numbers: Callable[[Rows, Array], Array], about: Array) -> Array:
            each = [[numbers(fold.train, at) for fold, at in zip(own, about, strict=True)] for own in peers]
            return sums.total(np.stack(each).reshape(len(peers), -1)).reshape(k, -1)

        first = total(_plain, np.zeros((k, p + 1)))
        size, mean = first[:, :1], first[:, 1:] / first[:, :1]
        variance = total(_squares, mean) / size
        return [
            Spread(m[:-1], v[:-1], float(m[-1]), float(np.sqrt(v[-1])))
            for m, v in zip(mean, variance, strict=True)
        ]

    def _deviation(self, moments: Sequence[Spread]) -> float:
        """Of the loss's slopes at 0, about."""
        if isinstance(self.loss, Softmax):
            return 0.5
        factor = 4.0 if isinstance(self.loss, SquaredHinge) else 1.0
        return factor * float(np.mean([m.spread for m in moments]))

    @property
    def _numbers(self) -> bool:
        """Whether the target is a number, which is centred for its digits."""
        return self.loss.task == "regression"

    def _shards(self, fold: Fold, m: Spread) -> tuple[Shard, Shard]:
        if self.scale == "gossip":
            fold = _scaled(fold, _scale(fold.train, m))
        centre = m.centre if self._numbers and self.intercept else 0.0
        return self._shard(fold.train, centre), self._shard(fold.held, centre)

    def _shard(self, rows: Rows, centre: float) -> Shard:
        x: Any = rows.x
        if self.intercept:
            ones = np.ones((x.shape[0], 1))
            x = hstack((x, ones), format="csr") if issparse(x) else np.hstack((x, ones))
        return shard(x, rows.y - centre, self.loss, self.outputs, rows.weight, rows.offset)

    def _objective(self, m: Spread, penalty: float) -> Objective:
        p = len(m.mean)
        penalised = torch.ones(p + self.intercept, self.outputs, dtype=torch.float64)
        penalised[p:] = 0
        scaled = self.scale == "gossip"
        units = Units(
            torch.from_numpy((m.variance > 0).astype(float) if scaled else np.sqrt(m.variance)),
            torch.from_numpy(np.zeros(p) if scaled else m.mean),
            (m.spread or 1.0) if self._numbers else 1.0,
            self.outputs,
        )
        l1, l2 = (penalty, self.other) if self.key == "l1" else (self.other, penalty)
        seen = self.outputs - getattr(self.loss, "unseen", 0)
        return Objective(penalised.flatten(), units, l2, l1, self.outputs, seen)

    def _ridge(
        self, peers: Sequence[Sequence[Shard]], objectives: Sequence[Sequence[Objective]], sums: Counted
    ) -> list[list[Tensor | None]]:
        """Least squares with all l2 penalties from one sum, of a Hessian and a gradient for each fold."""
        d = len(objectives[0][0].penalised)
        zero = torch.zeros(d, dtype=torch.float64)

        def numbers(own: Sequence[Shard]) -> Array:
            each = [torch.cat((s.size[None], s.gradient(zero)[1], s.hessian(zero))) for s in own]
            return torch.cat(each).numpy()

        totals = torch.from_numpy(sums.total(np.stack([numbers(own) for own in peers])))
        fits: list[list[Tensor | None]] = []
        for total, path in zip(totals.view(len(objectives), -1), objectives, strict=True):
            g, h = total[1 : 1 + d] / total[0], unpacked(total[1 + d :] / total[0], d)
            fits.append([-solve(objective.bent(h)[None], g[None])[0] for objective in path])
        return fits

    def _descend(
        self, peers: Sequence[Sequence[Shard]], objectives: Sequence[Sequence[Objective]], sums: Counted
    ) -> list[list[Tensor | None]]:
        """Newton's method for all folds and penalties at once; None where it finds no optimum."""
        like = peers[0][0]
        nothing = shard(np.zeros((0, like.features.shape[1])), np.zeros(0), self.loss, self.outputs)
        methods = [DampedNewton(one, self.loss, TOLERANCE) for path in objectives for one in path]
        folds = [k for k, path in enumerate(objectives) for _ in path]
        joint = Joint(methods, folds, nothing)
        width = len(methods) * len(objectives[0][0].penalised)
        end = sums.minimised(joint, peers, width, MOST)
        each = [s.x if s.finished and not s.evidence.verdict else None for s in joint.states(end)]
        per = len(objectives[0])
        return [each[i : i + per] for i in range(0, len(each), per)]

    def _held(
        self, peers: Sequence[Sequence[Shard]], fits: Sequence[Sequence[Tensor | None]], sums: Counted
    ) -> tuple[Array, Array]:
        """The weights (k,) and the summed losses (k, l) of the rows held out, from one sum; inf where there is no fit."""

        def losses(own: Sequence[Shard]) -> Array:
            found = [float(held.size) for held in own]
            for held, path in zip(own, fits, strict=True):
                found += [0.0 if x is None else float(self._criterion(held, x)) for x in path]
            finite: Array = np.nan_to_num(np.array(found), nan=HUGE, posinf=HUGE)
            return finite

        total = sums.total(np.stack([losses(own) for own in peers]))
        weights, summed = np.split(total, [len(fits)])
        missing = np.array([[x is None for x in path] for path in fits])
        return weights, np.where(missing, np.inf, summed.reshape(missing.shape))

    def _criterion(self, held: Shard, x: Tensor) -> Tensor:
        z = held.margins(x)
        match self.loss:
            case Squared():
                each = (z[:, 0] - held.target).square()
            case Poisson():
                each = torch.from_numpy(deviance(held.target.numpy(), z[:, 0].exp().numpy()))
            case _:
                each = self.loss.value(z, held.target)
        return held.weights @ each


def _plain(rows: Rows, _: Array) -> Array:
    return np.concatenate(([len(rows.y)], rows.x.sum(0), [rows.y.sum()]))


def _squares(rows: Rows, mean: Array) -> Array:
    """About the mean; those of sparse features about 0."""
    x: Any = rows.x
    each = x.power(2) if issparse(x) else np.square(x - mean[:-1])
    return np.asarray(np.append(each.sum(0), np.square(rows.y - mean[-1]).sum()))


def _scale(rows: Rows, m: Spread) -> Scale:
    return Scale.uncentred(m.variance) if issparse(rows.x) else Scale.of(m.mean, m.variance)


def _own(rows: Rows) -> Scale:
    return Scale.of(rows.x.mean(0), rows.x.var(0))


def _scaled(fold: Fold, scale: Scale) -> Fold:
    return Fold(scale.apply(fold.train), scale.apply(fold.held))
