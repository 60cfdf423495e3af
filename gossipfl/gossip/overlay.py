"""Who may be spoken to; must not know what is said."""

from collections.abc import Callable

import torch
from torch import Tensor

from gossipfl.errors import BadExperiment
from gossipfl.topology import Links

Choose = Callable[[Tensor, Tensor], Tensor]  # senders (m,), uniform numbers (m,) -> receivers (m,)


def overlay(links: Links | None, peers: int) -> Choose:
    """A uniformly random one of those that a peer's links lead to; without links, of all the others.

    Raises:
        BadExperiment: somebody has nobody to speak to.
    """
    if links is None:
        if peers < 2:
            raise BadExperiment("Gossip needs at least two peers")

        def anyone(senders: Tensor, u: Tensor) -> Tensor:
            other = (u * (peers - 1)).long()
            return other + (other >= senders)

        return anyone
    degree = torch.bincount(links.senders, minlength=peers)
    if len(degree) > peers or not degree.all():
        who = int(degree.argmin()) if len(degree) == peers else len(degree) - 1
        raise BadExperiment(
            f"Peer {who} has no link to send along, or no rows: each of the {peers} peers needs both"
        )
    receivers = links.receivers[torch.argsort(links.senders, stable=True)]
    starts = degree.cumsum(0) - degree

    def neighbour(senders: Tensor, u: Tensor) -> Tensor:
        return receivers[starts[senders] + (u * degree[senders]).long()]

    return neighbour
