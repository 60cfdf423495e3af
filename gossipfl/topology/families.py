"""The kinds of graphs that have a name; must not know how the name is written, files or weights."""

from collections.abc import Iterable
from itertools import combinations

import networkx as nx

from gossipfl.errors import BadExperiment
from gossipfl.topology.changing import CHANGING
from gossipfl.topology.family import Family


def _graph(peers: int, edges: Iterable[tuple[int, int]]) -> nx.Graph:
    graph = nx.empty_graph(peers)
    graph.add_edges_from(edges)
    return graph


def _torus(sides: tuple[int, ...]) -> nx.Graph:
    return nx.convert_node_labels_to_integers(nx.grid_2d_graph(*sides, periodic=True))


def _hypercube(dimensions: int) -> nx.Graph:
    size = 1 << dimensions
    return _graph(size, ((i, i ^ (1 << k)) for i in range(size) for k in range(dimensions)))


def _regular(peers: int, degree: int, seed: int) -> nx.Graph:
    if degree >= peers or peers * degree % 2:
        raise BadExperiment("the degree must be below n, and n times the degree must be even")
    return nx.random_regular_graph(degree, peers, seed)


def _small_world(peers: int, neighbours: int, p: float, seed: int) -> nx.Graph:
    if neighbours >= peers or neighbours % 2:
        raise BadExperiment("k, the number of neighbours before rewiring, must be even and below n")
    return nx.watts_strogatz_graph(peers, neighbours, p, seed)


def _preferential(peers: int, links: int, seed: int) -> nx.Graph:
    if not 1 <= links < peers:
        raise BadExperiment("m, the number of links of each new peer, must be from 1 to n - 1")
    return nx.barabasi_albert_graph(peers, links, seed)


def _tree(branching: int, height: int) -> nx.Graph:
    return nx.path_graph(height + 1) if branching == 1 else nx.balanced_tree(branching, height)


def _two_cliques(peers: int) -> nx.Graph:
    half = peers // 2
    edges = [*combinations(range(half), 2), *combinations(range(half, peers), 2)]
    return _graph(peers, [*edges, (half - 1, half)] if half else edges)


def exponential(peers: int) -> nx.Graph:
    """The static exponential graph, made symmetric: i is linked with i +- 2^k mod n for 2^k < n.

    Its degree is about 2 log2(n), its spectral gap about 1 / log2(n). Ying, Yuan, Chen, Hu, Pan, Yin: "Exponential graph
    is provably efficient for decentralized deep training", NeurIPS 2021; their graph is `directed-exp`.
    """
    hops = [1 << k for k in range((peers - 1).bit_length())]
    return _graph(peers, ((i, (i + hop) % peers) for i in range(peers) for hop in hops))


def _digraph(peers: int, offsets: list[int]) -> nx.DiGraph:
    graph = nx.empty_graph(peers, create_using=nx.DiGraph)
    graph.add_edges_from((i, (i + offset) % peers) for i in range(peers) for offset in offsets)
    return graph


def _directed_exponential(peers: int) -> nx.DiGraph:
    return _digraph(peers, [1 << k for k in range((peers - 1).bit_length())])


def _directed_erdos_renyi(peers: int, p: float, seed: int) -> nx.DiGraph:
    return nx.fast_gnp_random_graph(peers, p, seed, directed=True)


FAMILIES: dict[str, Family] = {
    "ring": Family("ring:n", "ring:16", "a cycle: few links, slow", nx.cycle_graph, lambda n: n),
    "line": Family("line:n", "line:8", "a path: the slowest graph", nx.path_graph, lambda n: n),
    "star": Family("star:n", "star:8", "one hub, n - 1 leaves", lambda n: nx.star_graph(n - 1), lambda n: n),
    "full": Family("full:n", "full:8", "all pairs are linked", nx.complete_graph, lambda n: n * n // 2),
    "torus": Family(
        "torus:RxC", "torus:4x4", "a grid that wraps around at its sides", _torus, lambda sides: 2 * sides[0] * sides[1]
    ),
    "hypercube": Family(
        "hypercube:d", "hypercube:4", "2^d peers, linked if their numbers differ in one bit", _hypercube,
        lambda d: d << min(d, 40),
    ),
    "regular": Family(
        "regular:n:degree", "regular:16:4", "random, all peers have the same degree", _regular,
        lambda n, degree: n * degree, random=True,
    ),
    "er": Family(
        "er:n:p", "er:32:0.2", "Erdos-Renyi: each link with probability p", nx.fast_gnp_random_graph,
        lambda n, p: n + int(p * n * n / 2), random=True,
    ),
    "ws": Family(
        "ws:n:k:p", "ws:100:4:0.1", "Watts-Strogatz: a ring of k neighbours, rewired with probability p",
        _small_world, lambda n, k, _: n + n * k // 2, random=True,
    ),
    "ba": Family(
        "ba:n:m", "ba:50:2", "Barabasi-Albert: each new peer links to m others, mostly of high degree", _preferential,
        lambda n, m: n * (m + 1), random=True,
    ),
    "tree": Family(
        "tree:branching:height", "tree:2:4", "each peer above the last level has this many children", _tree,
        lambda branching, height: max(height, branching ** min(height, 40)),
    ),
    "two-cliques": Family(
        "two-cliques:n", "two-cliques:16", "two complete halves with one link between them: a bottleneck",
        _two_cliques, lambda n: n * n // 4,
    ),
    "exp": Family(
        "exp:n", "exp:16", "exponential: linked with the peers 1, 2, 4, ... further on", exponential,
        lambda n: n * n.bit_length(),
    ),
    "directed-ring": Family(
        "directed-ring:n", "directed-ring:16", "a cycle of one-way links: the fewest possible",
        lambda n: _digraph(n, [1]), lambda n: n,
    ),
    "directed-exp": Family(
        "directed-exp:n", "directed-exp:16", "exponential (Ying et al. 2021): sends to the peers 1, 2, 4, ... further on",
        _directed_exponential, lambda n: n * n.bit_length(),
    ),
    "directed-er": Family(
        "directed-er:n:p", "directed-er:16:0.2", "Erdos-Renyi: each one-way link with probability p",
        _directed_erdos_renyi, lambda n, p: n + int(p * n * n), random=True,
    ),
    **CHANGING,
}  # fmt: skip
