"""The weighted average, the aggregator of linear gossip; must not know what is averaged."""

from typing import NamedTuple

from gossipfl.mixing.properties import Property
from gossipfl.mixing.received import Received
from gossipfl.tensors import Tensor


class Average(NamedTuple):
    """A(r_i, {r_j}) = (1 - sum_j w_ij) r_i + sum_j w_ij r_j, which is row i of W r.

    The rows of W sum to 1 by construction. The columns sum to 1, and the mean is preserved, if for each peer the weights that
    it gives and the weights that it gets have the same sum.
    """

    preserves: Property = Property.CONSENSUS | Property.LINEAR | Property.SETTLING

    def __call__(self, own: Tensor, received: Received) -> Tensor:
        return received.average(own)
