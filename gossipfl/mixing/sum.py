"""The sum over all peers, along the links of a tree; must not know what is summed."""

from typing import NamedTuple

from gossipfl.mixing.properties import Property
from gossipfl.mixing.received import Received
from gossipfl.tensors import Tensor, torch


class Sum(NamedTuple):
    """A(r_i, {r_j}) = (1 - sum_j w_ij) r_i + sum_j r_j + 0: r_i, then the messages in the order of their senders.

    Along the links of `topology.Tree`, a peer adds what its children send (w = 0), and then takes the total (w = 1). The
    order of the additions is always the same, so that equal contributions give equal totals, bit for bit, at all peers. + 0
    makes 0 of -0. Integers are added modulo 2^64. If a message is missing, the peer keeps what it holds.

    maxima: of so many last columns all peers get the maximum instead.
    """

    maxima: int = 0
    preserves: Property = Property.LINEAR | Property.SETTLING

    def __call__(self, own: Tensor, received: Received) -> Tensor:
        total = received.total(own)
        if not self.maxima:
            return total
        first = own.shape[1] - self.maxima
        values, rows = received.stack()
        rows = rows[:, None].expand(-1, self.maxima)
        return torch.cat(
            (total[:, :first], own[:, first:].scatter_reduce(0, rows, values[:, first:], "amax")), 1
        )
