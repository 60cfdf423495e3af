"""Giving shares away, the aggregator of directed gossip; must not know what is given."""

from typing import NamedTuple

import torch
from torch import Tensor

from gossipfl.mixing.properties import Property
from gossipfl.mixing.received import Received


class Push(NamedTuple):
    """A(r_i, {r_j}) = (1 - sum_j w_ji) r_i + sum_j w_ij r_j: each peer divides what it has.

    Columns of W sum to 1 by construction, so that nothing is lost or gained, on directed graphs too.
    """

    preserves: Property = Property.MEAN | Property.LINEAR | Property.SETTLING

    def __call__(self, own: Tensor, received: Received) -> Tensor:
        return received.push(own)


class PullAndPush(NamedTuple):
    """The first half of a row is averaged over those that are heard, the second half is pushed.

    The pushed half is to be a running total, so that a lost message is made good by the next one.
    """

    preserves: Property = Property.CONSENSUS | Property.MEAN | Property.LINEAR | Property.SETTLING

    def __call__(self, own: Tensor, received: Received) -> Tensor:
        pulled, pushed = received.pull(own), received.push(own)
        half = own.shape[1] // 2
        return torch.cat((pulled[:, :half], pushed[:, half:]), 1)
