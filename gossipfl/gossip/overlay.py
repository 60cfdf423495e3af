"""To whom a peer may send; must not know what is sent."""

from collections.abc import Callable

import torch
from torch import Tensor

from gossipfl.errors import BadExperiment
from gossipfl.topology import Links

Choose = Callable[[Tensor, Tensor], Tensor]  # senders (m,), uniform numbers (m,) -> receivers (m,)


def overlay(links: Links | None, peers: int) -> Choose:
    """A function that draws a receiver uniformly from a sender's links; without links, from all other peers.

    Raises:
        BadExperiment: a peer has nobody to send to.
    """
    if links is None:
        if peers < 2:
            raise BadExperiment("Gossip learning needs at least two peers")

        def anyone(senders: Tensor, u: Tensor) -> Tensor:
            other = (u * (peers - 1)).long()
            return other + (other >= senders)

        return anyone
    ends = torch.from_numpy(links.receivers), torch.from_numpy(links.senders)
    degree = torch.bincount(ends[1], minlength=peers)
    if len(degree) > peers or not degree.all():
        who = int(degree.argmin()) if len(degree) == peers else len(degree) - 1
        raise BadExperiment(
            f"Peer {who} has no link to send along, or no rows: each of the {peers} peers needs both"
        )
    receivers = ends[0][torch.argsort(ends[1], stable=True)]
    starts = degree.cumsum(0) - degree

    def neighbour(senders: Tensor, u: Tensor) -> Tensor:
        return receivers[starts[senders] + (u * degree[senders]).long()]

    return neighbour
