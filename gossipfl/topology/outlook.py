"""Which peers can still hear of each other, given how long each fault lasts; must not know rounds or messages."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from gossipfl.topology.links import Links, Mask, Numbers
from gossipfl.topology.spans import EVER, Span


class Outlook(NamedTuple):
    """The fields of `Links` that describe the future, (n,) each."""

    sides: Numbers
    waits: Mask


def outlook(peers: int, apart: Sequence[Span], edges: Links | None = None) -> Outlook:
    """The sides and the waits while these spans last.

    Args:
        peers: the number of peers.
        apart: spans whose peers neither hear the others nor are heard by them: a cut, or one peer that is away.
        edges: all links that may ever be used; without it, all pairs.
    """
    sides = _sides([mask(peers, [span]) for span in apart if span.end == EVER], peers, edges)
    waits = np.zeros(peers, bool)
    for span in apart:
        if span.end < EVER:
            mine = mask(peers, [span])
            waits |= np.isin(sides, sides[mine]) & np.isin(sides, sides[~mine])
    return Outlook(sides, waits)


def mask(peers: int, chosen: Sequence[Span]) -> Mask:
    """The peers that are in one of the spans, as a mask (n,)."""
    found = np.zeros(peers, bool)
    found[[peer for span in chosen for peer in span.peers]] = True
    return found


def _sides(lasting: Sequence[Mask], peers: int, edges: Links | None) -> Numbers:
    """The number of each peer's side, (n,), after each of these groups is separated from the others for good."""
    if not lasting:
        return np.zeros(peers, np.int64)
    inverse = np.unique(np.stack(lasting), axis=1, return_inverse=True)[1]
    sides: Numbers = inverse.reshape(-1)  # numpy 2.0: (1, n)
    if edges is None:
        return sides
    kept = sides[edges.receivers] == sides[edges.senders]
    ends = edges.receivers[kept], edges.senders[kept]
    graph = sparse.csr_array(([True] * len(ends[0]), ends), shape=(peers, peers))
    found: Numbers = connected_components(graph, connection="strong")[1].astype(np.int64)
    return found
