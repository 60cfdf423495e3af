"""Any torch module and loss as a batch of local problems, one a row; must not know what the module computes."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

from scipy import sparse

from gossipfl.errors import BadData
from gossipfl.models.batches import batches
from gossipfl.models.problem import Grad
from gossipfl.tensors import Tensor, torch

Groups = list[tuple[Tensor, Tensor, Tensor]]  # peers' places, features and targets, of the same shape


class Module:
    """Row i is (n_i / n_mean) (loss(module(x_i), y_i) + l2/2 |w|^2), where w are the parameters not named bias.

    The parameters are the module's, flattened and joined in the order of `named_parameters()`. Peers with the same number of
    rows are computed together, by `vmap`. Nothing is padded, so the loss may be any function of a whole batch.

    Args:
        module: an nn.Module without randomness; it is not changed.
        loss: of (output, target), a scalar, the mean over the rows.
        shards: each peer's training rows, (x, y), as the module and the loss take them. Floats are cast to the module's dtype.
            They take the output's shape if there are as many targets as outputs.
        l2: penalty, 0 or above.
        mean_rows, rows, seed, batch: as for `Linear`.
        dtype: of the computation; None: the module's own.

    Raises:
        BadData: a peer has no rows, or the number of targets differs from the number of rows.
    """

    def __init__(
        self,
        module: "torch.nn.Module",
        loss: Callable[[Tensor, Tensor], Tensor],
        shards: Sequence[tuple[Any, Any]],
        *,
        l2: float = 0.0,
        mean_rows: float | None = None,
        rows: Tensor | None = None,
        seed: int = 0,
        batch: int | None = None,
        dtype: "torch.dtype | None" = None,
    ):
        self.module, self.criterion, self.l2 = copy.deepcopy(module).to(dtype), loss, l2
        named = dict(self.module.named_parameters())
        self._names, self._shapes = list(named), [p.shape for p in named.values()]
        self._lengths = [p.numel() for p in named.values()]
        self.width = sum(self._lengths)

        like = next(iter(named.values()))
        peers = torch.arange(len(shards)) if rows is None else rows
        data = [(_cast(x, like), _cast(y, like)) for x, y in shards]
        for (x, y), peer in zip(data, peers.tolist(), strict=True):
            if len(x) == 0 or len(x) != len(y):
                raise BadData(
                    f"Peer {peer} has {len(x)} rows and {len(y)} targets; it needs at least one row, and a target for "
                    "each row: check its file or the partition."
                )
        sizes = torch.tensor([len(y) for _, y in data])
        mean = sizes.double().mean() if mean_rows is None else mean_rows
        self.share = (sizes.double() / mean).to(like)
        self._groups = [
            (places, torch.stack([data[i][0] for i in places]), torch.stack([data[i][1] for i in places]))
            for places in ((sizes == size).nonzero().flatten() for size in sorted(set(sizes.tolist())))
        ]
        self._batch = batch
        if batch is not None:
            self._x, self._y = torch.cat([x for x, _ in data]), torch.cat([y for _, y in data])
            starts = (sizes.cumsum(0) - sizes).to(like.device)
            numbers = self._x[0].numel() + self._y[0].numel()
            self._draw = batches(seed, peers, sizes, batch, starts, numbers, self._gather)

    def initial(self) -> Tensor:
        """The module's own parameters, (d,)."""
        return torch.cat([p.detach().flatten() for p in self.module.parameters()])

    def module_from(self, x: Tensor) -> "torch.nn.Module":
        """A copy of the module with the parameters x, (d,)."""
        module = copy.deepcopy(self.module)
        torch.nn.utils.vector_to_parameters(x.detach().clone(), module.parameters())
        return module

    def loss(self, x: Tensor) -> Tensor:
        """Each peer's own objective, with the penalty, (n, d) -> (n,)."""
        return self._values(x, self._groups)

    def grad(self, round: int) -> Grad:
        """The gradient, (n, d) -> (n, d), on all rows or on the mini-batches of that round."""
        groups = self._groups if self._batch is None else self._draw(round)

        def gradient(x: Tensor) -> Tensor:
            with torch.enable_grad():
                leaf = x.detach().requires_grad_()
                # A row's value depends only on that row of x, so the gradient of the sum holds those of all rows.
                (slopes,) = torch.autograd.grad(self._values(leaf, groups).sum(), leaf)
            return slopes

        return gradient

    def prox(self, x: Tensor, step: float) -> Tensor:
        """The identity, because there is no l1."""
        return x

    def smoothness(self) -> Tensor:
        """inf for each peer, (n,): nothing is known about the module."""
        return torch.full((len(self.share),), float("inf"), dtype=torch.float64)

    def _objective(self, x: Tensor, features: Tensor, target: Tensor, share: Tensor) -> Tensor:
        parts = torch.split(x, self._lengths)
        parameters = {n: p.view(s) for n, p, s in zip(self._names, parts, self._shapes, strict=True)}
        output = torch.func.functional_call(self.module, parameters, (features,))
        if target.is_floating_point() and target.numel() == output.numel():
            target = target.view_as(output)
        value = self.criterion(output, target)
        for name, weights in parameters.items():
            if self.l2 and not name.endswith("bias"):
                value = value + self.l2 / 2 * weights.square().sum()
        return share * value

    def _gather(self, positions: Tensor) -> list[Groups]:
        """The mini-batches at positions (rounds, n * batch), with equally many rows of each peer."""
        everybody, shape = torch.arange(len(self.share)), (len(positions), len(self.share), -1)
        x, y = (d.index_select(0, positions.flatten()).view(*shape, *d.shape[1:]) for d in (self._x, self._y))
        return [[(everybody, *parts)] for parts in zip(x.unbind(), y.unbind(), strict=True)]

    def _values(self, x: Tensor, groups: Groups) -> Tensor:
        """The objective of each peer, (n, d) -> (n,), from groups of peers (their places, features and targets)."""
        values = x.new_zeros(len(x))
        for i, features, target in groups:
            # A live peer does without vmap, whose first call imports torch._dynamo: a CPU second and 75 MB.
            each = (
                torch.func.vmap(self._objective)
                if len(i) > 1
                else lambda *one: self._objective(*(t[0] for t in one))[None]
            )
            values = values.index_add(0, i, each(x[i], features, target, self.share[i]))
        return values


def _cast(data: Any, like: Tensor) -> Tensor:
    tensor = torch.as_tensor(data.toarray() if sparse.issparse(data) else data)
    return tensor.to(like.device, like.dtype if tensor.is_floating_point() else tensor.dtype)
