"""The tree along which peers take sums, as a schedule of links; must not know what is summed.

Sums go up from the leaves to the root, and the total comes down again. Every peer computes the tree from the topology alone.
"""

from collections.abc import Collection
from typing import NamedTuple

import networkx as nx
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

from gossipfl.topology.links import Links, arrange

LARGE = 1000  # peers above which not all eccentricities are computed
Numbers = npt.NDArray[np.int64]


class Tree(NamedTuple):
    """Breadth-first trees to and from the root; on undirected graphs they are one tree.

    receiver[i] is the peer to which peer i sends its sum, giver[i] the one from which it gets the total; at a root itself.
    up[i] and down[i] are its distances to the root. There are two roots, joined by an edge, where this saves an exchange:
    where only one branch of the tree is as deep as the tree.
    """

    roots: tuple[int, ...]
    receiver: Numbers
    giver: Numbers
    up: Numbers
    down: Numbers

    @property
    def exchanges(self) -> int:
        """The exchanges of a sum, at most 2 x radius on undirected graphs; 0 for one peer."""
        return int(self.up.max() + self.down.max()) + len(self.roots) - 1

    def rounds(self) -> tuple[Links, ...]:
        """The links of each exchange, for the aggregator `Sum`.

        A weight is the share of what a peer holds that a message replaces: 0 on the way up, where a peer adds what it hears,
        and between two roots; 1 on the way down.
        """
        rounds = [arrange(self.receiver[level], level, 0.0) for level in _levels(self.up)[:0:-1]]
        if len(self.roots) == 2:
            rounds.append(arrange(np.array(self.roots), np.array(self.roots[::-1]), 0.0))
        return (*rounds, *(arrange(level, self.giver[level], 1.0) for level in _levels(self.down)[1:]))


def tree(graph: nx.Graph) -> Tree:
    """The tree of least depth from a centre. Ties are decided by the natural order of peers.

    The root is a peer of least eccentricity, and the parent of a peer is its first neighbour that is one hop nearer. Above
    1,000 peers the root is the middle of a longest path that two searches find (Handler, Transportation Science 7(3), 1973;
    exact on trees). On directed graphs, where peers send up one tree and hear down another, the root has the least sum of
    both depths; above 1,000 peers it is the first peer.
    """
    edges = csr_array(nx.to_scipy_sparse_array(graph, dtype=np.float64, weight=None))
    directed = graph.is_directed()
    root = _centre(edges, directed)
    down = _hops(edges, root)
    giver = _parents(edges, down)
    if directed:
        up = _hops(edges.T.tocsr(), root)
        return Tree((root,), _parents(edges.T.tocsr(), up), giver, up, down)
    if (second := _deepest(giver, down)) is None:
        return Tree((root,), giver, giver, down, down)
    branch = _branches(giver, down) == second
    giver[second] = second
    depth = down - branch
    return Tree((root, second), giver, giver, depth, depth)


def among(graph: nx.Graph, part: nx.Graph) -> Tree:
    """The tree of some peers along the edges of `part`. They keep their numbers in `graph`; no link leads to the others."""
    numbers = np.array([number for number, peer in enumerate(graph) if peer in part])
    small = nx.Graph()
    small.add_nodes_from(peer for peer in graph if peer in part)
    small.add_edges_from(part.edges)
    found, each = tree(small), np.arange(len(graph))
    receiver, giver, up, down = each.copy(), each.copy(), 0 * each, 0 * each
    receiver[numbers], giver[numbers] = numbers[found.receiver], numbers[found.giver]
    up[numbers], down[numbers] = found.up, found.down
    return Tree(tuple(int(numbers[root]) for root in found.roots), receiver, giver, up, down)


def subgraph(graph: nx.Graph, peers: Collection[str]) -> nx.Graph:
    """The graph of these peers alone, in their order."""
    found = type(graph)()
    found.add_nodes_from(peer for peer in graph if peer in peers)
    found.add_edges_from((a, b) for a, b in graph.edges if a in peers and b in peers)
    return found


def _centre(edges: csr_array, directed: bool) -> int:
    if edges.shape[0] <= LARGE:
        hops = shortest_path(edges, unweighted=True)
        return int((hops.max(1) + hops.max(0)).argmin())
    if directed:
        return 0
    one = int(_hops(edges, 0).argmax())
    far = _hops(edges, one)
    other = int(far.argmax())
    parents = _parents(edges, far)
    for _ in range(int(far[other]) // 2):
        other = int(parents[other])
    return other


def _hops(edges: csr_array, root: int) -> Numbers:
    """The number of links from the root to each peer, (n,)."""
    hops: Numbers = shortest_path(edges, unweighted=True, indices=root).astype(np.int64)
    return hops


def _parents(edges: csr_array, hops: Numbers) -> Numbers:
    """The first peer, in natural order, with a link to each peer, one hop nearer to the root; the root has itself."""
    senders = np.repeat(np.arange(edges.shape[0]), np.diff(edges.indptr))
    nearer = hops[senders] + 1 == hops[edges.indices]
    parents = np.where(hops == 0, np.arange(len(hops)), len(hops))
    np.minimum.at(parents, edges.indices[nearer], senders[nearer])
    return parents


def _branches(parents: Numbers, depth: Numbers) -> Numbers:
    """The child of the root below which each peer lies, (n,); the root has itself."""
    branch = np.arange(len(parents))
    for level in _levels(depth)[2:]:
        branch[level] = branch[parents[level]]
    return branch


def _levels(depth: Numbers) -> list[Numbers]:
    """The peers at each depth, the root first."""
    return np.split(np.argsort(depth, kind="stable"), np.bincount(depth).cumsum()[:-1])


def _deepest(parents: Numbers, depth: Numbers) -> int | None:
    """The child of the root whose branch alone is as deep as the tree; None if there are several such branches."""
    deepest = np.unique(_branches(parents, depth)[depth == depth.max()])
    return int(deepest[0]) if depth.max() and len(deepest) == 1 else None
