"""The kinds of directed graphs that have a name: an edge u -> v says that u sends to v; must not know files or weights."""

import networkx as nx

from gossipfl.topology.family import Family


def _digraph(peers: int, offsets: list[int]) -> nx.DiGraph:
    graph = nx.empty_graph(peers, create_using=nx.DiGraph)
    graph.add_edges_from((i, (i + offset) % peers) for i in range(peers) for offset in offsets)
    return graph


def _exponential(peers: int) -> nx.DiGraph:
    return _digraph(peers, [1 << k for k in range((peers - 1).bit_length())])


def _erdos_renyi(peers: int, p: float, seed: int) -> nx.DiGraph:
    return nx.fast_gnp_random_graph(peers, p, seed, directed=True)


DIRECTED: dict[str, Family] = {
    "directed-ring": Family(
        "directed-ring:n", "directed-ring:16", "a cycle of one-way links: as few as there can be",
        lambda n: _digraph(n, [1]), lambda n: n,
    ),
    "directed-exp": Family(
        "directed-exp:n", "directed-exp:16", "exponential (Ying et al. 2021): sends to those 1, 2, 4, ... further",
        _exponential, lambda n: n * n.bit_length(),
    ),
    "directed-er": Family(
        "directed-er:n:p", "directed-er:16:0.2", "Erdos-Renyi: each one-way link with probability p",
        _erdos_renyi, lambda n, p: n + int(p * n * n), random=True,
    ),
}  # fmt: skip
