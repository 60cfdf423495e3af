"""Schedules that repeat: Base-(k+1) and one-peer exponential graphs; must not know files or weight rules."""

from collections.abc import Sequence
from functools import cache
from itertools import combinations

import numpy as np

from gossipfl.topology.links import Links, arrange

Pairs = list[tuple[int, int, float]]  # (one peer, the other, w_ij = w_ji)


def base(most: int, peers: int) -> tuple[Links, ...]:
    """One period of a Base-(k+1) graph: after it every peer holds the exact mean, for any number of peers.

    Takezawa, Sato, Bao, Niwa, Yamada: "Beyond exponential graph: communication-efficient topologies for decentralized
    learning via finite-time convergence", NeurIPS 2023. The W of each round is symmetric and doubly stochastic, and no peer
    has more than most - 1 neighbours in a round. If n is a product of factors up to `most`, the peers form a grid with these
    sides, and each round averages along one of them (the paper's algorithm 1). Otherwise n = p q, where p is the largest
    divisor of n that is such a product. Then either each of the p parts of q peers averages by `_simple` and the parts
    average among themselves, or all n peers average by `_simple`, whichever takes fewer rounds (algorithm 3).

    Args:
        most: the base k + 1, 2 or more.
        peers: n.
    """
    p = max(d for d in range(1, peers + 1) if peers % d == 0 and _sides(d, most) is not None)
    q = peers // p
    parts = [_simple(range(part * q, (part + 1) * q), most) for part in range(p)]
    across = [_grid(range(peer, peers, q), most) for peer in range(q)]
    rounds = min(_simple(range(peers), most), [*_together(parts), *_together(across)], key=len)
    return tuple(map(_links, rounds))


def one_peer(peers: int) -> tuple[Links, ...]:
    """One period of the one-peer exponential graph, t = ceil(log2 n) rounds.

    In round k peer i hears i - 2^k mod n, with weight 1/2. All W are doubly stochastic and commute. If n is a power of 2, any
    t consecutive rounds give the exact mean. Ying, Yuan, Chen, Hu, Pan, Yin: "Exponential graph is provably efficient for
    decentralized deep training", NeurIPS 2021.
    """
    each = np.arange(peers)
    return tuple(arrange(each, (each - (1 << k)) % peers, 0.5) for k in range((peers - 1).bit_length()))


@cache
def _sides(size: int, most: int) -> tuple[int, ...] | None:
    """The fewest factors, each from 2 to `most`, whose product is `size`; None if there are none."""
    if size == 1:
        return ()
    found = [
        (side, *rest)
        for side in range(min(size, most), 1, -1)
        if size % side == 0 and (rest := _sides(size // side, most)) is not None
    ]
    return min(found, key=len, default=None)


def _grid(peers: Sequence[int], most: int) -> list[Pairs]:
    """These peers as a grid with the sides of `_sides`: in round l all peers on a line along side l average."""
    rounds, stride = [], 1
    for side in _sides(len(peers), most) or ():
        starts = [at for at in range(len(peers)) if at // stride % side == 0]
        lines = [[peers[at + step * stride] for step in range(side)] for at in starts]
        rounds.append([(u, v, 1 / side) for line in lines for u, v in combinations(line, 2)])
        stride *= side
    return rounds


def _simple(peers: Sequence[int], most: int) -> list[Pairs]:
    """The exact mean of any number of peers (algorithm 2, the simple Base-(k+1) graph).

    In base k + 1, n is a sum of terms a_l (k+1)^(p_l). Parts V_1, V_2, ... of these sizes first average within themselves.
    Then one part after the other gives: each peer of all later parts takes size(V_l) / size(V_l and later) from V_l, over as
    many links as V_l has pieces of (k+1)^(p_l) peers, one link into each piece. So the average of the later parts becomes
    that of all, and the last part is done. Pieces that have given hold the mean on average, and average within themselves.
    """
    size = len(peers)
    if _sides(size, most) is not None:
        return _grid(peers, most)
    parts: list[list[Sequence[int]]] = []  # each a list of pieces
    done, piece = 0, 1
    while piece * most <= size:
        piece *= most
    while done < size:
        if count := (size - done) // piece:
            parts.append([peers[done + i * piece : done + (i + 1) * piece] for i in range(count)])
        done, piece = done + count * piece, piece // most
    within = [_grid([peer for piece in part for peer in piece], most) for part in parts]
    begin, streams, later = max(map(len, within)), within, peers
    for turn, part in enumerate(parts[:-1]):
        weight = len(part[0]) / len(later)
        later = later[len(part) * len(part[0]) :]
        give = [(one, other, weight) for piece in part for one, other in zip(piece, later, strict=False)]
        pause: list[Pairs] = [[] for _ in range(begin + turn)]
        streams = [*streams, [*pause, give, *_together([_grid(piece, most) for piece in part])]]
    return _together(streams)


def _together(streams: Sequence[list[Pairs]]) -> list[Pairs]:
    """The rounds of several groups of peers, carried out at the same time."""
    longest = max(map(len, streams))
    return [[pair for stream in streams if k < len(stream) for pair in stream[k]] for k in range(longest)]


def _links(pairs: Pairs) -> Links:
    one, other, weights = map(np.array, zip(*pairs, strict=True))
    return arrange(np.append(one, other), np.append(other, one), np.append(weights, weights))
