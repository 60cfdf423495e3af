"""Rules that give a graph's links their mixing weights; must not know rounds or schedules.

All give a symmetric W whose rows sum to 1. d_i is the degree of peer i.
"""

from collections.abc import Callable

import networkx as nx
import numpy as np
import torch

from gossipfl.errors import BadExperiment
from gossipfl.topology.links import Links
from gossipfl.topology.names import several
from gossipfl.topology.spectrum import extreme


def unit(graph: nx.Graph) -> Links:
    """w_ij = 1 on each edge, so that I - W is the graph's Laplacian: what the rules scale, none itself."""
    number = {peer: i for i, peer in enumerate(graph)}
    ends = np.fromiter((number[peer] for edge in graph.edges for peer in edge), np.int64).reshape(-1, 2)
    u, v = np.concatenate([ends, ends[:, ::-1]]).T
    order = np.lexsort((v, u))
    receivers, senders = torch.from_numpy(u[order]), torch.from_numpy(v[order])
    return Links(receivers, senders, torch.ones(len(order), dtype=torch.float64))


def metropolis(graph: nx.Graph) -> Links:
    """w_ij = 1 / (1 + max(d_i, d_j)), from the neighbours' degrees alone (Xiao, Boyd, Lall, IPSN 2005)."""
    links = unit(graph)
    degree = torch.bincount(links.receivers, minlength=len(graph)).double()
    return links._replace(weights=1 / (1 + torch.maximum(degree[links.receivers], degree[links.senders])))


def uniform(graph: nx.Graph) -> Links:
    """w_ij = 1 / (1 + max_k d_k), the maximum-degree weights."""
    return _constant(graph, 1 / (1 + max(degree for _, degree in graph.degree)))


def best_constant(graph: nx.Graph) -> Links:
    """w_ij = 2 / (l_2 + l_max) of the Laplacian, the fastest of all constants (Xiao, Boyd 2004, eq. 23).

    "Fast linear iterations for distributed averaging", Systems & Control Letters 53. Diagonals may be
    negative.
    """
    ends = extreme(unit(graph), len(graph))
    return _constant(graph, 2 / ((1 - ends.second) + (1 - ends.smallest)))


def lazy(graph: nx.Graph) -> Links:
    """(I + W) / 2 of the Metropolis weights: no eigenvalue below 0."""
    links = metropolis(graph)
    return links._replace(weights=links.weights / 2)


def from_file(graph: nx.Graph) -> Links:
    """w_ij = the `weight` of the edge.

    Raises:
        BadExperiment: an edge has none, or one not above 0, or a peer's weights sum above 1.
    """
    bare = [f"{u} - {v}" for u, v, weight in graph.edges(data="weight", default=0.0) if not weight > 0]
    if bare:
        raise BadExperiment(
            f'weights "file": no weight above 0 on {several(bare)}; give each edge one, or use another rule'
        )
    peers = list(graph)
    links = unit(graph)
    pairs = zip(links.receivers.tolist(), links.senders.tolist(), strict=True)
    values = torch.tensor([graph.edges[peers[i], peers[j]]["weight"] for i, j in pairs], dtype=torch.float64)
    sums = torch.zeros(len(peers), dtype=torch.float64).index_add_(0, links.receivers, values)
    if above := [peer for peer, total in zip(peers, sums.tolist(), strict=True) if total > 1 + 1e-12]:
        raise BadExperiment(
            f'weights "file": the weights on the edges of {several(above)} sum above 1; make them smaller'
        )
    return links._replace(weights=values)


def _constant(graph: nx.Graph, weight: float) -> Links:
    links = unit(graph)
    return links._replace(weights=links.weights * weight)


WEIGHTS: dict[str, Callable[[nx.Graph], Links]] = {
    "metropolis": metropolis,
    "uniform": uniform,
    "best-constant": best_constant,
    "lazy": lazy,
    "file": from_file,
}
