"""What one round of messages looks like to an aggregator; must not know how the messages came."""

from typing import Protocol

from torch import Tensor


class Received(Protocol):
    """The neighbours' replicas r_j, with weights w_ij, of the n peers held here. An absent neighbour has weight 0."""

    def average(self, own: Tensor) -> Tensor:
        """(1 - sum_j w_ij) own_i + sum_j w_ij r_j, (n, d), over the messages that arrived.

        `own` are the rows' own replicas: a peer keeps what its neighbours leave.
        """

    def push(self, own: Tensor) -> Tensor:
        """(1 - sum_j w_ji) own_i + sum_j w_ij r_j, (n, d): a peer keeps what it does not give away.

        Of a neighbour whose message is lost counts what it sent last (nothing, if nothing ever arrived).
        """

    def pull(self, own: Tensor) -> Tensor:
        """(own_i + sum_j r_j) / (1 + how many arrived), (n, d): the plain average of what is there, whatever the weights."""

    def stack(self) -> tuple[Tensor, Tensor]:
        """Every message that arrived: the replicas (e, d), and for each the row that received it (e,) int64."""
