"""Graphs for the laws of `topology`, and simple twins of what it computes."""

from functools import cache

import networkx as nx
import numpy as np

from gossipfl.topology import FAMILIES, Links, load

CHANGING = [family.example for family in FAMILIES.values() if family.schedule]
DIRECTED = [name for name in (family.example for family in FAMILIES.values()) if name.startswith("directed")]
SPECS = [
    *(family.example for family in FAMILIES.values() if family.example not in (*CHANGING, *DIRECTED)),
    "ring:1", "ring:2", "ring:3", "line:1", "line:2", "star:1", "star:2", "full:1", "full:2", "torus:1x1",
    "torus:2x2",
    "torus:1x5", "torus:2x5", "torus:3x4", "hypercube:0", "hypercube:1", "regular:1:0", "regular:2:1",
    "er:1:0.5",
    "ws:5:2:0", "ba:2:1", "tree:1:4", "tree:3:0", "two-cliques:1", "two-cliques:2", "two-cliques:5", "exp:1",
    "exp:2",
    "exp:3", "exp:11", "line:64", "ring:61", "star:64", "ba:80:1", "er:60:0.1", "regular:64:3", "tree:3:3",
]  # fmt: skip


@cache
def graph(spec: str) -> nx.Graph:
    return load(spec, seed=3)


def pairs(links: Links) -> list[tuple[int, int]]:
    """(receiver, sender) of each link, in order."""
    return list(zip(links.receivers.tolist(), links.senders.tolist(), strict=True))


def laplacian(graph: nx.Graph) -> np.ndarray:
    L = np.zeros((len(graph), len(graph)))
    for u, v in graph.edges:
        i, j = int(u), int(v)
        L[i, j] = L[j, i] = -1
    return L - np.diag(L.sum(axis=1))


def twin(graph: nx.Graph, rule: str) -> np.ndarray:
    """W, entry by entry, from the definition of the rule."""
    n, degree, L = len(graph), dict(graph.degree), laplacian(graph)
    constant = {"uniform": 1 / (1 + max(degree.values()))}
    if n > 1:
        values = np.sort(np.linalg.eigvalsh(L))
        constant["best-constant"] = 2 / (values[1] + values[-1])
    W = np.zeros((n, n))
    for i, u in enumerate(graph):
        for j, v in enumerate(graph):
            if graph.has_edge(u, v):
                pair = 1 / (1 + max(degree[u], degree[v]))
                W[i, j] = {"metropolis": pair, "lazy": pair / 2, **constant}[rule]
        W[i, i] = 1 - W[i].sum()
    return W


def mix(x: np.ndarray, links: Links) -> np.ndarray:
    """One round, edge by edge: x_i + sum_j w_ij (x_j - x_i)."""
    receivers, senders, weights = links[:3]
    moved = np.zeros_like(x)
    np.add.at(moved, receivers, weights[:, None] * (x[senders] - x[receivers]))
    return x + moved
