"""Linear models of several peers, one local problem a row, in closed form; must not know network or files."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from gossipfl import rng
from gossipfl.errors import BadData, Incompatible
from gossipfl.models.batches import batches
from gossipfl.models.dense import Block, Dense
from gossipfl.models.lone import SLOPES, Lone, in_torch
from gossipfl.models.losses import Loss, Softmax
from gossipfl.models.problem import ArrayGrad, Grad
from gossipfl.models.shard import Shard, shard
from gossipfl.models.sparse import Sparse
from gossipfl.tensors import Tensor, torch

_GRAM = 1000


class Linear:
    """Row i is (n_i / n_mean) (mean of loss(X_i w + b + o_i, y_i) + l2/2 |w|^2 + l1 |w|_1), with the offsets o_i, if any.

    With weights of rows, n_i is the sum of the weights of a peer, and the mean is weighted by them.

    The average of the rows of any peers is the pooled problem of their data. Parameters are `x.view(n, q, outputs)` with
    q = p + 1; the intercept b is last and never penalised. Without an intercept q = p.

    Args:
        shards: each peer's training rows, (x, y); x (n_i, p) all ndarray or all csr_array, y (n_i,).
        loss: one of `losses`.
        outputs: margins of a row, `loss.outputs(classes)`.
        l2, l1: penalties, 0 or above; l1 acts only through `prox`.
        weights: each peer's row weights, (n_i,), 0 or above with a sum above 0; None: 1.
        offsets: each peer's offsets, (n_i,); None: 0.
        mean_rows: n_mean over all peers of the network; None: the mean over those held here.
        rows: the peers' numbers in the network, (n,) int64; None: 0, 1, ...
        batch: rows drawn with replacement for a gradient, by their weights; None: all rows.
        seed: of these draws.
        dtype: float64, the default, or float32.

    Raises:
        BadData: a peer has no rows, or the peers have different numbers of features.
    """

    def __init__(
        self,
        shards: Sequence[tuple[Any, npt.NDArray[Any]]],
        loss: Loss,
        *,
        outputs: int = 1,
        l2: float = 0.0,
        l1: float = 0.0,
        weights: Sequence[npt.NDArray[Any]] | None = None,
        offsets: Sequence[npt.NDArray[Any]] | None = None,
        mean_rows: float | None = None,
        rows: Tensor | None = None,
        seed: int = 0,
        batch: int | None = None,
        intercept: bool = True,
        dtype: "torch.dtype | None" = None,
        device: str = "cpu",
    ):
        dtype = dtype or torch.float64
        peers = torch.arange(len(shards)) if rows is None else rows
        _check(shards, peers.tolist())
        kind = Sparse if sparse.issparse(shards[0][0]) else Dense
        self.data: Dense | Sparse = kind(shards, intercept, dtype, device, offsets)
        self.loss_of_row, self.outputs, self.l2, self.l1 = loss, outputs, l2, l1
        self._shape = (len(shards), shards[0][0].shape[1] + intercept, outputs)
        self.width = self._shape[1] * outputs

        self.offset = None if offsets is None else torch.from_numpy(np.concatenate(offsets)).double()[:, None]
        self._row_weights, self._offsets = weights, offsets
        # Each peer's row weights, which sum to 1.
        self.fractions = [w / w.sum() for w in weights or (np.ones(len(y)) for _, y in shards)]
        sums = [w.sum() for w in weights] if weights else self.data.sizes.tolist()
        sizes = torch.tensor(sums, dtype=torch.float64)
        self.share = (sizes / (sizes.mean() if mean_rows is None else mean_rows)).to(device)  # n_i / n_mean
        spread = self.data.spread(self.share)
        self._weights = _narrowed((spread * self.data.laid(self.fractions)).to(dtype))
        penalised = torch.ones(self._shape[1:], dtype=dtype, device=device)
        penalised[self._shape[1] - intercept :] = 0
        self.penalised = penalised.view(-1)  # (d,), 1 for weights and 0 for the intercept
        self._ridge = _narrowed((self.share[:, None] * l2).to(dtype) * self.penalised)
        self._lasso = _narrowed((self.share[:, None] * l1).to(dtype) * self.penalised)
        data, known = self.data, type(loss) in SLOPES
        self._lone = (
            Lone(type(loss), self._ridge) if known and isinstance(data, Dense) and data.lone else None
        )
        gather: Any = data.gather
        if isinstance(data, Dense) and self._lone:
            self._full_in_numpy = self._lone.oracle(data.alone, self._weights.view(-1).numpy())
            self._full, gather = in_torch(self._full_in_numpy), data.rows
        else:
            self._full = self._oracle(data.full, self._weights)
        if batch is not None:
            self._draw: Callable[[int], Any] = batches(
                seed, peers, data.sizes, batch, data.starts, data.numbers, gather, _chances(weights)
            )
            share = (self.share / batch).to(dtype)
            self._batch_weights: Any = (
                share.repeat_interleave(batch)[:, None] if kind is Sparse else share[:, None, None]
            )
            if self._lone:
                self._batch_weights = share.numpy()
        self._batch = batch

    @property
    def dense(self) -> bool:
        """Whether features are dense, so that there is a Hessian."""
        return isinstance(self.data, Dense)

    def loss(self, x: Tensor) -> Tensor:
        """Each peer's own objective, with penalties, (n, d) -> (n,)."""
        if self._lone and isinstance(self.data, Dense) and not (self.l1 or x.requires_grad):
            return self._lone.loss(x, self.data.alone, self._weights.view(-1).numpy())
        rows = self.data.full
        values = self.loss_of_row.value(self._margins(rows, x), rows.target)
        smooth = rows.total(values * self._weights.squeeze(-1)) + (self._ridge * x.square()).sum(1) / 2
        return smooth + (self._lasso * x.abs()).sum(1) if self.l1 else smooth

    def grad(self, round: int) -> Grad:
        """The gradient of loss and l2, (n, d) -> (n, d), on all rows or on the mini-batches of that round."""
        if self._batch is None:
            return self._full
        if gradient := self.in_numpy(round):
            return in_torch(gradient)
        return self._oracle(self._draw(round), self._batch_weights)

    def in_numpy(self, round: int) -> ArrayGrad | None:
        """The same gradient in numpy, for few dense rows of one peer; None for others."""
        if not self._lone:
            return None
        if self._batch is None:
            return self._full_in_numpy
        return self._lone.oracle(self._draw(round), self._batch_weights)

    def of_peers(self, centre: float = 0.0) -> list[Shard]:
        """The rows of each peer, for sums over all rows; `centre` is subtracted from the targets."""
        none = [None] * len(self.fractions)
        weights: Sequence[npt.NDArray[Any] | None] = self._row_weights or none
        offsets: Sequence[npt.NDArray[Any] | None] = self._offsets or none
        return [
            shard(x, y - centre, self.loss_of_row, self.outputs, w, o)
            for (x, y), w, o in zip(self.data.shards(), weights, offsets, strict=True)
        ]

    def of_all(self, peers: Sequence[int], centre: float = 0.0) -> Shard:
        """The rows of these peers together, as in `of_peers`: their sums have other last bits than sums of sums."""
        parts = list(self.data.shards())
        stack = np.concatenate if self.dense else sparse.vstack

        def joined(each: Sequence[npt.NDArray[Any]] | None) -> npt.NDArray[Any] | None:
            return None if each is None else np.concatenate([each[peer] for peer in peers])

        x, y = stack([parts[peer][0] for peer in peers]), np.concatenate([parts[peer][1] for peer in peers])
        weights, offsets = joined(self._row_weights), joined(self._offsets)
        return shard(x, y - centre, self.loss_of_row, self.outputs, weights, offsets)

    def _oracle(self, rows: Any, weights: Tensor) -> Grad:
        slope, ridge = self.loss_of_row.slope, self._ridge
        times, back, target, offset = rows.times, rows.back, rows.target, rows.offset

        def gradient(x: Tensor) -> Tensor:
            z = times(x)
            slopes = slope(z if offset is None else z + offset, target).mul_(weights)
            total: Tensor = back(slopes)
            return total.addcmul_(ridge, x)

        return gradient

    def _margins(self, rows: Any, x: Tensor) -> Tensor:
        z: Tensor = rows.times(x)
        return z if rows.offset is None else z + rows.offset

    def hessian(self, x: Tensor) -> Tensor:
        """The second derivative of loss and l2 on all rows, (n, d) -> (n, d, d); only for dense features.

        Softmax with free intercepts is constant along their common shift. There the Hessian gets the curvature 1, so that it is
        invertible. Gradients have no part in that direction, so nothing moves along it. Classes without rows take no part.
        """
        n, q, outputs = self._shape
        rows = self.data.full
        if not isinstance(rows, Block):
            raise Incompatible(
                'the Hessian of sparse features is too large: set algorithm.kind = "exact-diffusion"'
            )
        curve = self.loss_of_row.curve(self._margins(rows, x), rows.target) * self._weights[..., None]
        blocks = [rows.gram(curve[..., a, b]) for a in range(outputs) for b in range(outputs)]
        smooth = torch.stack(blocks).view(outputs, outputs, n, q, q).permute(2, 3, 0, 4, 1)
        hessian = smooth.reshape(n, self.width, self.width) + torch.diag_embed(self._ridge)
        if isinstance(self.loss_of_row, Softmax) and not self.penalised[-1]:
            seen, first = outputs - self.loss_of_row.unseen, self.width - outputs
            hessian[:, first : first + seen, first : first + seen] += 1.0 / seen
        return hessian

    def hessian_times(self, x: Tensor, v: Tensor) -> Tensor:
        """H_i(x_i) v_i, H being the second derivative of loss and l2 on all rows, (n, d) -> (n, d); sparse too."""
        rows = self.data.full
        curve = self.loss_of_row.curve(self._margins(rows, x), rows.target)
        slopes = (curve @ rows.times(v).unsqueeze(-1)).squeeze(-1)
        return rows.back(slopes * self._weights) + self._ridge * v

    def bound_times(self, v: Tensor) -> Tensor:
        """The same with the largest curvature of the loss, an upper bound for every H_i, (n, d) -> (n, d)."""
        rows = self.data.full
        slopes = self.loss_of_row.curvature * rows.times(v) * self._weights
        return rows.back(slopes) + self._ridge * v

    def prox(self, x: Tensor, step: float) -> Tensor:
        """Soft threshold of the weights: sign(w) max(|w| - step (n_i / n_mean) l1, 0); the intercept does not change."""
        if not self.l1:
            return x
        bound = step * self._lasso
        return x - x.clamp(-bound, bound)

    def smoothness(self) -> Tensor:
        """(n_i / n_mean) (curvature * lambda_max(X_i^T D_i X_i) + l2), X_i with the column of ones: (n,) float64.

        D_i are the row weights, with the sum 1.

        It is inf if the loss has no curvature bound.
        """
        curvature = self.loss_of_row.curvature
        if curvature == float("inf"):
            return torch.full_like(self.share, curvature)
        top = [
            _squared_norm(x) / len(y)
            if f.min() == f.max()
            else _squared_norm(sparse.diags_array(np.sqrt(f)) @ x)
            for (x, y), f in zip(self.data.shards(), self.fractions, strict=True)
        ]
        return self.share * (curvature * self.share.new_tensor(top) + self.l2)


def scores(x: Tensor, features: Any, outputs: int = 1) -> Tensor:
    """Margins of any rows, x (..., d) and features (r, p), dense or CSR -> (..., r, outputs); on the CPU.

    d is (p + 1) * outputs with an intercept, p * outputs without.
    """
    w = x.detach().cpu().reshape(*x.shape[:-1], -1, outputs)
    p = features.shape[1]
    weights = w[..., :p, :].movedim(-2, 0)
    z = features @ weights.reshape(p, -1).numpy()
    margins = torch.from_numpy(z).to(x.dtype).view(-1, *weights.shape[1:]).movedim(0, -2)
    return margins + w[..., p:, :].sum(-2, keepdim=True)


def _narrowed(factors: Tensor) -> Tensor:
    """The same factors with length 1 along each axis on which they are equal: then a round reads less memory."""
    for axis in range(factors.dim()):
        first = factors.narrow(axis, 0, 1)
        factors = first if torch.equal(factors, first.expand_as(factors)) else factors
    return factors.clone()


def _squared_norm(x: Any) -> float:
    """lambda_max(X^T X): from the smaller Gram matrix or, if it is large, by Lanczos from a fixed start."""
    gram = x if x.shape[1] <= x.shape[0] else x.T
    if gram.shape[1] <= _GRAM:
        product = gram.T @ gram
        product = product.toarray() if sparse.issparse(product) else product
        return float(np.linalg.eigvalsh(product)[-1])
    start = rng.generator(0, "smoothness").standard_normal(min(x.shape))
    return float(sparse.linalg.svds(x, k=1, v0=start, return_singular_vectors=False)[0]) ** 2


def _chances(weights: Sequence[npt.NDArray[Any]] | None) -> Tensor | None:
    """The cumulative probabilities of rows, for `batches`."""
    if weights is None:
        return None
    sums = [torch.from_numpy(np.cumsum(w)) for w in weights]
    return torch.nn.utils.rnn.pad_sequence([s / s[-1] for s in sums], batch_first=True, padding_value=1.0)


def _check(shards: Sequence[tuple[Any, npt.NDArray[Any]]], peers: list[int]) -> None:
    if not shards:
        raise BadData("No peer's rows were passed to the model; pass at least one shard (x, y).")
    width = shards[0][0].shape[1]
    for (x, y), peer in zip(shards, peers, strict=True):
        if len(y) == 0 or x.shape != (len(y), width):
            raise BadData(
                f"Peer {peer} has features of shape {tuple(x.shape)} and {len(y)} targets; it needs at "
                f"least one row of {width} features, and a target for each row: check its file or the partition."
            )
