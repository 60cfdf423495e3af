"""Which peers can still hear of each other, given how long each fault lasts; must not know rounds or messages."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from gossipfl.topology.links import Links
from gossipfl.topology.spans import EVER, Span


class Outlook(NamedTuple):
    """The fields of `Links` that describe the future, (n,) each."""

    sides: Tensor  # int64
    waits: Tensor  # bool


def outlook(peers: int, apart: Sequence[Span], edges: Links | None = None) -> Outlook:
    """The sides and the waits while these spans last.

    Args:
        peers: the number of peers.
        apart: spans whose peers neither hear the others nor are heard by them: a cut, or one peer that is away.
        edges: all links that may ever be used; without it, all pairs.
    """
    sides = _sides([mask(peers, [span]) for span in apart if span.end == EVER], peers, edges)
    waits = torch.zeros(peers, dtype=torch.bool)
    for span in apart:
        if span.end < EVER:
            mine = mask(peers, [span])
            waits |= torch.isin(sides, sides[mine]) & torch.isin(sides, sides[~mine])
    return Outlook(sides, waits)


def mask(peers: int, chosen: Sequence[Span]) -> Tensor:
    """The peers that are in one of the spans, as a mask (n,)."""
    found = torch.zeros(peers, dtype=torch.bool)
    found[[peer for span in chosen for peer in span.peers]] = True
    return found


def _sides(lasting: Sequence[Tensor], peers: int, edges: Links | None) -> Tensor:
    """The number of each peer's side, (n,), after each of these groups is separated from the others for good."""
    if not lasting:
        return torch.zeros(peers, dtype=torch.int64)
    sides: Tensor = torch.stack(list(lasting)).unique(dim=1, return_inverse=True)[1]  # type: ignore[no-untyped-call]
    if edges is None:
        return sides
    kept = sides[edges.receivers] == sides[edges.senders]
    ends = edges.receivers[kept].numpy(), edges.senders[kept].numpy()
    graph = sparse.csr_array(([True] * len(ends[0]), ends), shape=(peers, peers))
    return torch.from_numpy(connected_components(graph, connection="strong")[1]).to(torch.int64)
