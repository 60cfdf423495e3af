"""Schedules whose neighbours are drawn anew in each round among all peers; must not know files or weight rules.

A draw is a function of the seed and the round, so every peer computes the same, in any order. If W is doubly stochastic and
its peers are numbered at random, the squared disagreement falls on average by the factor (|W|_F^2 - 1) / (n - 1),
for any links.
"""

from functools import lru_cache

import numpy as np

from gossipfl import rng
from gossipfl.topology.links import Links, Numbers, Topology, arrange

KEPT = 2  # rounds: an engine asks again only for its current round and the one before


def matching(peers: int, seed: int) -> Topology:
    """In each round a random matching of all peers (all but one if n is odd): pairs average, with weight 1/2.

    Boyd, Ghosh, Prabhakar, Shah: "Randomized gossip algorithms", IEEE Trans. Information Theory 52, 2006, here in rounds.
    """

    @lru_cache(KEPT)
    def links(round: int) -> Links:
        order = _order(peers, seed, "matching", round)
        one, other = order[: peers // 2 * 2].reshape(-1, 2).T
        return arrange(np.append(one, other), np.append(other, one), 0.5)

    return links


def epidemic(peers: int, sends: int, seed: int) -> Topology:
    """In each round every peer sends to `sends` others and hears as many, with weights 1 / (1 + sends): EL-Oracle.

    De Vos, Farhadkhani, Guerraoui, Kermarrec, Pires, Sharma: "Epidemic learning: boosting decentralized learning with
    randomized communication", NeurIPS 2023. The regular digraph is a circulant of random offsets over peers in random
    order: simple by construction, and doubly stochastic.
    """

    @lru_cache(KEPT)
    def links(round: int) -> Links:
        order = _order(peers, seed, "epidemic", round)
        offsets = 1 + _order(peers - 1, seed, "epidemic-offsets", round)[:sends]
        heard = np.concatenate([np.roll(order, offset) for offset in offsets])
        return arrange(np.tile(order, sends), heard, 1 / (1 + sends))

    return links


def epidemic_local(peers: int, sends: int, seed: int) -> Topology:
    """In each round every peer sends to `sends` others that it chooses; a peer that hears r weighs each 1 / (1 + r): EL-Local.

    De Vos et al. 2023, as above. Rows of W sum to 1, columns only on average.
    """
    each = np.arange(peers)

    @lru_cache(KEPT)
    def links(round: int) -> Links:
        draw = rng.uniform(seed, "epidemic-local", each, round, sends)
        chosen = np.empty((peers, sends), np.int64)
        for k, top in enumerate(range(peers - 1 - sends, peers - 1)):  # Floyd's sampling without replacement
            pick = (draw[:, k] * (top + 1)).astype(np.int64)
            chosen[:, k] = np.where((chosen[:, :k] == pick[:, None]).any(axis=1), top, pick)
        receivers = (chosen + (chosen >= each[:, None])).ravel()
        heard = np.bincount(receivers, minlength=peers)
        return arrange(receivers, each.repeat(sends), 1 / (1 + heard[receivers]))

    return links


def _order(count: int, seed: int, purpose: str, round: int) -> Numbers:
    """The numbers below `count` in random order."""
    words = rng.bits(seed, purpose, np.arange(count), round, 1)[:, 0]
    return words.argsort(kind="stable")
