"""What one round of messages looks like to an aggregator; must not know how the messages came."""

from typing import Protocol

from torch import Tensor


class Received(Protocol):
    """The neighbours' replicas r_j, with weights w_ij, of the n peers held here. An absent neighbour has weight 0."""

    def average(self, own: Tensor) -> Tensor:
        """(1 - sum_j w_ij) own_i + sum_j w_ij r_j, (n, d), `own` being the rows' own replicas."""

    def stack(self) -> tuple[Tensor, Tensor]:
        """Every message by itself: the replicas (e, d), and for each the row that received it (e,) int64."""
