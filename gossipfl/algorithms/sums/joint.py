"""Several descents at once, whose numbers ride in the same sums; must not know what tells them apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gossipfl.algorithms.algorithm import leaves, rebuilt
from gossipfl.algorithms.sums.summed import SumMethod
from gossipfl.models.shard import Shard
from gossipfl.tensors import Tensor, torch


class Together(NamedTuple):
    """The progress of k descents.

    x: (k d,), their models side by side. each: their states, each tensor with an axis of k in front. finished: (), all are.
    """

    x: Tensor
    each: Any
    finished: Tensor


@dataclass(frozen=True)
class Joint:
    """s_i' = update_i(s_i, total_i), for methods on the same parameters, until all have finished; a `SumMethod`.

    methods: of each descent.
    rows: which of a peer's shards each is about.
    nothing: a shard without rows: what a method would contribute of it is as long as its part of the total.
    """

    methods: Sequence[SumMethod]
    rows: Sequence[int]
    nothing: Shard

    def init(self, x: Tensor) -> Together:
        return self._together([m.init(part) for m, part in zip(self.methods, self._split(x), strict=True)])

    def contribute(self, s: Together, rows: Sequence[Shard]) -> Tensor:
        """From the shards of a peer."""
        own = [rows[place] for place in self.rows]
        return torch.cat([s.x[:0], *(numbers for numbers in self._contributions(s, own))])

    def update(self, s: Together, total: Tensor) -> Together:
        widths = [len(numbers) for numbers in self._contributions(s, [self.nothing] * len(self.methods))]
        parts = zip(self.methods, self.states(s), torch.split(total, widths), strict=True)
        return self._together(
            [state if state.finished else method.update(state, part) for method, state, part in parts]
        )

    def states(self, s: Together) -> list[Any]:
        """The state of each descent."""
        tensors = leaves(s.each)
        return [
            rebuilt({name: tensor[i] for name, tensor in tensors.items()}, s.each)._replace(x=x)
            for i, x in enumerate(self._split(s.x))
        ]

    def _contributions(self, s: Together, rows: Sequence[Shard]) -> list[Tensor]:
        parts = zip(self.methods, self.states(s), rows, strict=True)
        return [s.x[:0] if state.finished else method.contribute(state, own) for method, state, own in parts]

    def _split(self, x: Tensor) -> Sequence[Tensor]:
        return x.view(len(self.methods), -1).unbind()

    def _together(self, states: Sequence[Any]) -> Together:
        every = [leaves(state) for state in states]
        each = rebuilt({name: torch.stack([one[name] for one in every]) for name in every[0]}, states[0])
        return Together(each.x.flatten(), each, (each.finished > 0).all().to(each.x))
