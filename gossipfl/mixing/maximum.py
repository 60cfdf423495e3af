"""The maximum, with which peers agree on a bound; must not know what is bounded."""

from typing import NamedTuple

from gossipfl.mixing.properties import Property
from gossipfl.mixing.received import Received
from gossipfl.tensors import Tensor


class Maximum(NamedTuple):
    """A(r_i, {r_j}) = max(r_i, max_j r_j) in each coordinate; weights do not matter.

    After as many rounds as the graph's diameter, every peer holds the exact maximum over all peers.
    """

    preserves: Property = Property.CONSENSUS

    def __call__(self, own: Tensor, received: Received) -> Tensor:
        values, rows = received.stack()
        return own.scatter_reduce(0, rows[:, None].expand_as(values), values, "amax")
