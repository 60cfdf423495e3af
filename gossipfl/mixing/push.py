"""Aggregators for directed gossip, where peers give shares away; must not know what is given."""

from typing import NamedTuple

from gossipfl.mixing.properties import Property
from gossipfl.mixing.received import Received
from gossipfl.tensors import Tensor, torch


class Push(NamedTuple):
    """A(r_i, {r_j}) = (1 - sum_j w_ji) r_i + sum_j w_ij r_j: each peer divides what it has among its receivers and itself.

    The columns of W sum to 1 by construction, so the sum over peers is preserved, also on directed graphs.
    """

    preserves: Property = Property.MEAN | Property.LINEAR | Property.SETTLING

    def __call__(self, own: Tensor, received: Received) -> Tensor:
        return received.push(own)


class PullAndPush(NamedTuple):
    """The first half of a row is averaged over the peers that are heard; the second half is pushed.

    The pushed half must be a running total, so that the next message replaces a lost one.
    """

    preserves: Property = Property.CONSENSUS | Property.MEAN | Property.LINEAR | Property.SETTLING

    def __call__(self, own: Tensor, received: Received) -> Tensor:
        pulled, pushed = received.pull(own), received.push(own)
        half = own.shape[1] // 2
        return torch.cat((pulled[:, :half], pushed[:, half:]), 1)
