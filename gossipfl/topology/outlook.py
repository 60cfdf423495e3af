"""Who may still hear of whom, seeing how long everything that is wrong will last; must not know rounds or messages."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from gossipfl.topology.links import Links
from gossipfl.topology.spans import EVER, Span


class Outlook(NamedTuple):
    """What `Links` knows of the future, (n,)."""

    sides: Tensor  # int64
    waits: Tensor  # bool


def outlook(peers: int, apart: Sequence[Span], edges: Links | None = None) -> Outlook:
    """What is to be expected while these hold.

    Args:
        peers: how many there are.
        apart: whose peers neither hear the others nor are heard: a cut, or one peer that is away.
        edges: whoever may ever talk to whom; all with all unless given.
    """
    sides = _sides([mask(peers, [span]) for span in apart if span.end == EVER], peers, edges)
    waits = torch.zeros(peers, dtype=torch.bool)
    for span in apart:
        if span.end < EVER:
            mine = mask(peers, [span])
            waits |= torch.isin(sides, sides[mine]) & torch.isin(sides, sides[~mine])
    return Outlook(sides, waits)


def mask(peers: int, chosen: Sequence[Span]) -> Tensor:
    """Who is in one of the spans, (n,)."""
    found = torch.zeros(peers, dtype=torch.bool)
    found[[peer for span in chosen for peer in span.peers]] = True
    return found


def _sides(lasting: Sequence[Tensor], peers: int, edges: Links | None) -> Tensor:
    """The number of each peer's side, after all these have parted from the others for good."""
    if not lasting:
        return torch.zeros(peers, dtype=torch.int64)
    sides: Tensor = torch.stack(list(lasting)).unique(dim=1, return_inverse=True)[1]  # type: ignore[no-untyped-call]
    if edges is None:
        return sides
    kept = sides[edges.receivers] == sides[edges.senders]
    ends = edges.receivers[kept].numpy(), edges.senders[kept].numpy()
    graph = sparse.csr_array(([True] * len(ends[0]), ends), shape=(peers, peers))
    return torch.from_numpy(connected_components(graph, connection="strong")[1]).to(torch.int64)
