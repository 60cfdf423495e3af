"""How fast information spreads along a topology's rounds; must not know what the information is."""

import numpy as np
import numpy.typing as npt

from gossipfl.errors import BadExperiment
from gossipfl.topology.links import Links, Numbers, Topology
from gossipfl.topology.preserves import arriving

STARTS = 32  # the number of starting rounds that `horizon` tries
Known = npt.NDArray[np.uint8]  # bit j of row i: information from peer j has reached peer i


def spreads(topology: Topology, peers: int, start: int, rounds: int) -> bool:
    """Whether information from every peer reaches every peer in rounds start, ..., start + rounds - 1, along arriving links.

    If the last of these rounds has several sides, it needs to reach only the peers of its own side.
    """
    return _rounds(topology, peers, start, rounds, topology(max(0, start + rounds - 1)).sides) is not None


def horizon(topology: Topology, peers: int, most: int = 10_000) -> int:
    """The fewest rounds in which information from every peer reaches every peer, starting in any of the first 32 rounds.

    This is the diameter if the links never change.

    Raises:
        BadExperiment: `most` rounds after one of these starts, some peer has not heard from all others.
    """
    needed = 0
    for start in range(min(STARTS, period(topology) or STARTS)):
        rounds = _rounds(topology, peers, start, most)
        if rounds is None:
            raise BadExperiment(
                f"information from some peer has not reached all others {most} rounds after round {start}: "
                "the links of several rounds together must connect all peers"
            )
        needed = max(needed, rounds)
    return needed


def period(topology: Topology, most: int = 64) -> int | None:
    """The fewest rounds, up to `most`, after which the same links repeat in the same order; None if they do not."""
    seen = [topology(round) for round in range(2 * most)]
    fits = (p for p in range(1, most + 1) if all(a is b for a, b in zip(seen, seen[p:], strict=False)))
    return next(fits, None)


def _rounds(
    topology: Topology, peers: int, start: int, most: int, sides: Numbers | None = None
) -> int | None:
    """The fewest rounds from `start` after which every peer knows all of its side; None if `most` are too few."""
    known: Known = np.packbits(np.eye(peers, dtype=bool), axis=1)
    side = _side(peers, sides)
    for round in range(most + 1):
        if not (side & ~known).any():
            return round
        if round < most:
            known = _heard(known, topology(start + round))
    return None


def _side(peers: int, sides: Numbers | None) -> Known:
    """The peers on the side of each peer, (n, n) bits; (1, n) if all are on one side."""
    if sides is None:
        return np.packbits(np.ones((1, peers), dtype=bool), axis=1)
    each, mine = np.unique(sides, return_inverse=True)
    return np.packbits(each[:, None] == each[mine], axis=1)[mine]


def _heard(known: Known, links: Links) -> Known:
    links = arriving(links)
    receivers, senders = links.receivers, links.senders
    if not len(receivers):
        return known
    first = np.flatnonzero(np.diff(receivers, prepend=-1))  # the first of each receiver's links
    after = known.copy()
    after[receivers[first]] |= np.bitwise_or.reduceat(known[senders], first, axis=0)
    return after
