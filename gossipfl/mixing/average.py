"""The weighted average, the aggregator of all linear gossip; must not know what is averaged."""

from typing import NamedTuple

from torch import Tensor

from gossipfl.mixing.properties import Property
from gossipfl.mixing.received import Received


class Average(NamedTuple):
    """A(r_i, {r_j}) = (1 - sum_j w_ij) r_i + sum_j w_ij r_j, which is row i of W r.

    Rows of W sum to 1 by construction; columns do, and the mean stays, where each peer is given as much weight as it gives.
    """

    preserves: Property = Property.CONSENSUS | Property.LINEAR | Property.SETTLING

    def __call__(self, own: Tensor, received: Received) -> Tensor:
        return received.average(own)
