"""What one round's mixing matrix preserves, computed from its links; must not know graphs, rules or schedules."""

import numpy as np

from gossipfl.topology.links import Links, Mask

TOLERANCE = 1e-9


def stochastic(links: Links, peers: int) -> tuple[bool, bool]:
    """Whether the rows of W sum to 1, and whether its columns do. Lost messages do not count.

    Rows always do, because the diagonal fills them up. Columns do if each peer receives as much weight as it gives.
    """
    links = arriving(links)
    taken, given = (np.bincount(ends, links.weights, peers) for ends in (links.receivers, links.senders))
    return True, bool((np.abs(taken - given) <= TOLERANCE).all())


def symmetric(links: Links) -> bool:
    """Whether W is symmetric. Lost messages do not count."""
    links = arriving(links)
    there, back = links.receivers << 32 | links.senders, links.senders << 32 | links.receivers
    order, mirrored = there.argsort(), back.argsort()
    return np.array_equal(there[order], back[mirrored]) and bool(
        (np.abs(links.weights[order] - links.weights[mirrored]) <= TOLERANCE).all()
    )


def arriving(links: Links) -> Links:
    """The links whose messages arrive."""
    return links if links.arrives is None else select(links, links.arrives)._replace(arrives=None)


def select(links: Links, kept: Mask) -> Links:
    """The links where `kept` (e,) bool is True; the same object if that is all of them. Fields of peers do not change."""
    if kept.all():
        return links
    return links._replace(
        receivers=links.receivers[kept],
        senders=links.senders[kept],
        weights=links.weights[kept],
        arrives=None if links.arrives is None else links.arrives[kept],
    )


def without(links: Links, away: Mask) -> Links:
    """The links between peers that are not away; `away` (n,) bool."""
    return select(links, ~(away[links.receivers] | away[links.senders]))
