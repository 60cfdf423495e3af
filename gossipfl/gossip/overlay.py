"""To whom a peer may send; must not know what is sent."""

from collections.abc import Callable

import numpy as np

from gossipfl.errors import BadExperiment
from gossipfl.topology import Links
from gossipfl.topology.links import Numbers, Reals

Choose = Callable[[Numbers, Reals], Numbers]  # senders (m,), uniform numbers (m,) -> receivers (m,)


def overlay(links: Links | None, peers: int) -> Choose:
    """A function that draws a receiver uniformly from a sender's links; without links, from all other peers.

    Raises:
        BadExperiment: a peer has nobody to send to.
    """
    if links is None:
        if peers < 2:
            raise BadExperiment("Gossip learning needs at least two peers")

        def anyone(senders: Numbers, u: Reals) -> Numbers:
            other = (u * (peers - 1)).astype(np.int64)
            return other + (other >= senders)

        return anyone
    degree = np.bincount(links.senders, minlength=peers)
    if len(degree) > peers or not degree.all():
        who = int(degree.argmin()) if len(degree) == peers else len(degree) - 1
        raise BadExperiment(
            f"Peer {who} has no link to send along, or no rows: each of the {peers} peers needs both"
        )
    receivers = links.receivers[np.argsort(links.senders, kind="stable")]
    starts = degree.cumsum() - degree

    def neighbour(senders: Numbers, u: Reals) -> Numbers:
        return receivers[starts[senders] + (u * degree[senders]).astype(np.int64)]

    return neighbour
