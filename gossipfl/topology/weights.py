"""Rules that give a graph's links their mixing weights; must not know rounds or schedules.

All rules but push and pull give a symmetric W whose rows sum to 1, and need links in both directions. d_i is the degree of
peer i.
"""

import networkx as nx
import numpy as np

from gossipfl.errors import BadExperiment
from gossipfl.topology.links import Links, arrange
from gossipfl.topology.names import several
from gossipfl.topology.spectrum import extreme


def unit(graph: nx.Graph) -> Links:
    """w_ij = 1 on each edge, so that I - W is the graph's Laplacian. Rules scale it; it is not a rule itself."""
    if graph.is_directed():
        raise BadExperiment(
            "symmetric weights need links in both directions, but this graph is directed: use the weights "
            '"push" with a method for directed graphs, or an undirected graph'
        )
    return _edges(graph)


def metropolis(graph: nx.Graph) -> Links:
    """w_ij = 1 / (1 + max(d_i, d_j)), from the neighbours' degrees alone (Xiao, Boyd, Lall, IPSN 2005)."""
    links = unit(graph)
    degree = np.bincount(links.receivers, minlength=len(graph))
    return links._replace(weights=1 / (1 + np.maximum(degree[links.receivers], degree[links.senders])))


def uniform(graph: nx.Graph) -> Links:
    """w_ij = 1 / (1 + max_k d_k), the maximum-degree weights."""
    return _constant(graph, 1 / (1 + max(degree for _, degree in graph.degree)))


def best_constant(graph: nx.Graph) -> Links:
    """w_ij = 2 / (l_2 + l_max) of the Laplacian, the fastest constant (Xiao, Boyd 2004, eq. 23).

    "Fast linear iterations for distributed averaging", Systems & Control Letters 53. Diagonals may be negative.
    """
    ends = extreme(unit(graph), len(graph))
    return _constant(graph, 2 / ((1 - ends.second) + (1 - ends.smallest)))


def lazy(graph: nx.Graph) -> Links:
    """(I + W) / 2 of the Metropolis weights: no eigenvalue below 0."""
    links = metropolis(graph)
    return links._replace(weights=links.weights / 2)


def push(graph: nx.Graph) -> Links:
    """w_ij = 1 / (1 + d_j), where j sends to d_j peers: j divides what it has among them and itself.

    With the diagonal 1 / (1 + d_j) the columns of W sum to 1; for aggregators that push. Nedic, Olshevsky: "Distributed
    optimization over time-varying directed graphs", IEEE Trans. Automatic Control 60, 2015.
    """
    links = _edges(graph)
    degree = np.bincount(links.senders, minlength=len(graph))
    return links._replace(weights=1 / (1 + degree[links.senders]))


def pull(graph: nx.Graph) -> Links:
    """w_ij = 1 / (1 + d_i), where i hears d_i peers: i averages what it has and what it hears. Rows of W sum to 1."""
    links = _edges(graph)
    degree = np.bincount(links.receivers, minlength=len(graph))
    return links._replace(weights=1 / (1 + degree[links.receivers]))


def from_file(graph: nx.Graph) -> Links:
    """w_ij = the `weight` of the edge. Any number is allowed, also a negative one, as long as W takes peers to their mean.

    Raises:
        BadExperiment: an edge has no weight, or an eigenvalue of W other than the mean's is not between -1 and 1.
    """
    bare = [f"{u} - {v}" for u, v, weight in graph.edges(data="weight") if weight is None]
    if bare:
        raise BadExperiment(
            f'weights "file": there is no weight on {several(bare)}; give each edge a weight, or use another rule'
        )
    peers = list(graph)
    links = unit(graph)
    pairs = zip(links.receivers.tolist(), links.senders.tolist(), strict=True)
    values = np.array([graph.edges[peers[i], peers[j]]["weight"] for i, j in pairs], np.float64)
    links = links._replace(weights=values)
    ends = extreme(links, len(peers))
    if ends.rho >= 1 - 1e-12 and len(peers) > 1:
        far = ends.smallest if ends.smallest <= -1 + 1e-12 else ends.second
        raise BadExperiment(
            f'weights "file": with these the peers never reach the mean, because an eigenvalue of W is {far:.3g}; '
            "make each weight 0 or above and the sum at each peer less than 1, or use another rule"
        )
    return links


def _edges(graph: nx.Graph) -> Links:
    """w_ij = 1 on each edge; an edge u -> v of a directed graph says that u sends to v."""
    number = {peer: i for i, peer in enumerate(graph)}
    ends = np.fromiter((number[peer] for edge in graph.edges for peer in edge), np.int64).reshape(-1, 2)
    senders, receivers = (ends if graph.is_directed() else np.concatenate([ends, ends[:, ::-1]])).T
    return arrange(receivers, senders, 1.0)


def _constant(graph: nx.Graph, weight: float) -> Links:
    links = unit(graph)
    return links._replace(weights=links.weights * weight)
