"""EquiTopo: random circulants, whose consensus rate does not depend on the number of peers; must not know files.

Song, Li, Jin, Shi, Yan, Yin, Yuan: "Communication-efficient topologies for decentralized learning with O(1) consensus
rate", NeurIPS 2022. A(u) has a_ij = (n - 1) / n where i = j + u mod n, and 1 / n on its diagonal. The average of all A(u) is
11^T / n, and that of a few random ones is close to it. Every W is doubly stochastic. Offsets are drawn without replacement,
which can only improve the rate.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from math import gcd

import numpy as np

from gossipfl import rng
from gossipfl.errors import BadExperiment
from gossipfl.topology.links import Links, Topology, arrange

Offsets = tuple[int, ...]
ETA = 0.5  # the share of A(u) in a round of the one-peer schedules: W = (1 - eta) I + eta A


def offsets(peers: int, count: int, seed: int) -> Offsets:
    """`count` offsets from 1 to n - 1, in ascending order, drawn again until their links connect all peers."""
    if not 1 <= count < peers:
        raise BadExperiment("M, the number of offsets, must be from 1 to n - 1")
    draw = rng.generator(seed, "equi")
    while True:
        drawn = draw.choice(peers - 1, count, replace=False) + 1
        if gcd(peers, *map(int, drawn)) == 1:
            return tuple(sorted(map(int, drawn)))


def directed(peers: int, offsets: Sequence[int]) -> Links:
    """D-EquiStatic: W is the average of A(u) over the offsets."""
    each = np.arange(peers)
    senders = np.concatenate([(each - u) % peers for u in offsets])
    return arrange(np.tile(each, len(offsets)), senders, (peers - 1) / peers / len(offsets))


def both_ways(peers: int, offsets: Sequence[int]) -> Links:
    """U-EquiStatic: (W + W^T) / 2 of the directed one."""
    return directed(peers, [*offsets, *(peers - u for u in offsets)])


def one_peer_directed(peers: int, offsets: Sequence[int], seed: int) -> Topology:
    """OD-EquiDyn: W is (I + A(u)) / 2 for one of the offsets, drawn anew in each round."""

    @cache
    def links(u: int) -> Links:
        whole = directed(peers, [u])
        return whole._replace(weights=ETA * whole.weights)

    return lambda round: links(_drawn(offsets, seed, round)[0])


def one_peer_both_ways(peers: int, offsets: Sequence[int], seed: int) -> Topology:
    """OU-EquiDyn: each round pairs peers that are u apart, for one of the offsets, drawn anew in each round.

    Starting at a random peer, each free peer is paired with the peer u further on, if that is free too. A pair's weight is
    (n - 1) / 2n.
    """

    @lru_cache(32)
    def links(u: int, begin: int) -> Links:
        free, one = [True] * peers, []
        for i in (*range(begin, peers), *range(begin)):
            if free[i] and free[(i + u) % peers]:
                free[i] = free[(i + u) % peers] = False
                one.append(i)
        other = (np.array(one) + u) % peers
        return arrange(np.append(one, other), np.append(other, one), ETA * (peers - 1) / peers)

    def schedule(round: int) -> Links:
        u, word = _drawn(offsets, seed, round)
        return links(u, int(word * peers))

    return schedule


def _drawn(offsets: Sequence[int], seed: int, round: int) -> tuple[int, float]:
    """One of the offsets, and another random number in [0, 1)."""
    which, other = rng.uniform(seed, "equi", np.zeros(1, np.int64), round, 2)[0].tolist()
    return offsets[int(which * len(offsets))], other
