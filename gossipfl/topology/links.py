"""One round's directed edges with their mixing weights; must not know where the graph came from."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Links(NamedTuple):
    """The off-diagonal part of one round's mixing matrix W, as a list of directed edges.

    Peer `receivers[e]` weighs what `senders[e]` holds with `weights[e]` = w_ij > 0. Peers are numbered from 0
    in the order of the graph. Edges are sorted by receiver, then by sender. The diagonal is never stored: a
    peer keeps what its neighbours leave, w_ii = 1 - sum_j w_ij, so that a missing neighbour costs no code.

    `arrives[e]` is False where that message is lost on its way, of which the sender learns nothing; None: all arrive.
    """

    receivers: Tensor  # (e,) int64
    senders: Tensor  # (e,) int64
    weights: Tensor  # (e,) float64
    arrives: Tensor | None = None  # (e,) bool


# A schedule: round -> that round's links. Every peer computes the same without a word. A schedule that does
# not change returns the same object each time, so that an engine can keep what it derives from it.
Topology = Callable[[int], Links]
