"""The messages of one round, as an aggregator sees them; must not know how they travelled."""

from typing import Protocol

from gossipfl.tensors import Tensor


class Received(Protocol):
    """The neighbours' replicas r_j with weights w_ij, for the n peers held here. An absent neighbour has weight 0."""

    def average(self, own: Tensor) -> Tensor:
        """(1 - sum_j w_ij) own_i + sum_j w_ij r_j, (n, d), over the messages that arrived.

        `own` are the replicas of the rows themselves: a peer's own weight is 1 minus the weights of its neighbours.
        """

    def push(self, own: Tensor) -> Tensor:
        """(1 - sum_j w_ji) own_i + sum_j w_ij r_j, (n, d): a peer keeps what it does not give away.

        For a neighbour whose message is lost, the last message that arrived counts (0 if none ever arrived).
        """

    def pull(self, own: Tensor) -> Tensor:
        """(own_i + sum_j r_j) / (1 + number that arrived), (n, d): the plain average, without the weights."""

    def total(self, own: Tensor) -> Tensor:
        """(1 - sum_j w_ij) own_i + sum_j r_j + 0, (n, d): one addition after the other, in the order of the senders.

        Weights are 0, or 1 for one message alone.
        """

    def stack(self) -> tuple[Tensor, Tensor]:
        """All messages that arrived: the replicas (e, d), and the row (e,) int64 that received each."""
