"""The one-peer exponential graph: one neighbour a round; must not know files or weight rules."""

import numpy as np

from gossipfl.topology.links import Links, arrange


def one_peer(peers: int) -> tuple[Links, ...]:
    """One period, t = ceil(log2 n) rounds: in round k peer i hears i - 2^k mod n, with weight 1/2.

    All W are doubly stochastic and commute; where n is a power of 2, any t rounds on end give the exact mean. Ying, Yuan,
    Chen, Hu, Pan, Yin: "Exponential graph is provably efficient for decentralized deep training", NeurIPS 2021.
    """
    each = np.arange(peers)
    return tuple(arrange(each, (each - (1 << k)) % peers, 0.5) for k in range((peers - 1).bit_length()))
