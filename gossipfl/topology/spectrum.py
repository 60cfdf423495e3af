"""How fast a mixing matrix averages, from its eigenvalues; must not know the rule that made the weights.

W is symmetric and its rows sum to 1. The eigenvalue 1 belongs to the mean, all others to disagreement. In each round the size
of the disagreement falls by a factor rho, the largest modulus among these others.
"""

import math
from typing import NamedTuple

import networkx as nx
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from gossipfl import rng
from gossipfl.errors import BadExperiment
from gossipfl.topology.links import Links
from gossipfl.topology.preserves import symmetric

Array = npt.NDArray[np.float64]

DENSE = 500  # peers up to which the whole spectrum is computed


class Spectrum(NamedTuple):
    """The two ends of W's spectrum without the eigenvalue of the mean."""

    smallest: float
    second: float

    @property
    def rho(self) -> float:
        """The second largest modulus of W's eigenvalues: disagreement falls by this factor in each round."""
        return max(abs(self.smallest), abs(self.second))

    @property
    def gap(self) -> float:
        """The spectral gap, 1 - rho."""
        return 1 - self.rho


def dense(links: Links, peers: int) -> Array:
    """W with its diagonal w_ii = 1 - sum_j w_ij, shape (peers, peers)."""
    W: Array = np.eye(peers) - laplacian(links, peers).toarray()
    return W


def eigenvalues(links: Links, peers: int) -> Array:
    """All eigenvalues of a symmetric W, ascending, shape (peers,). Cubic: for many peers see `extreme`.

    Raises:
        BadExperiment: W is not symmetric.
    """
    _check(links)
    return np.linalg.eigvalsh(dense(links, peers)).astype(np.float64)


def extreme(links: Links, peers: int) -> Spectrum:
    """The two ends of a symmetric, connected W's spectrum, without the eigenvalue of the mean.

    Up to 500 peers the whole spectrum is computed, above that Lanczos is used, and shift-invert if Lanczos does not converge:
    the graphs on which it is slow are ring-like, and factorise with little fill. A single peer has nothing to mix: (0, 0).

    Raises:
        BadExperiment: W is not symmetric.
    """
    _check(links)
    if peers < 2:
        return Spectrum(0.0, 0.0)
    if not len(links.weights):
        return Spectrum(1.0, 1.0)
    if peers <= DENSE:
        values = eigenvalues(links, peers)
        return Spectrum(float(values[0]), float(values[-2]))
    return _lanczos(laplacian(links, peers), peers)


def _check(links: Links) -> None:
    if not symmetric(links):
        raise BadExperiment(
            "these weights are not symmetric, so W has no ordered eigenvalues: use weights such as "
            '"metropolis" on an undirected graph'
        )


def laplacian(links: Links, peers: int) -> sparse.csr_array:
    """I - W, shape (peers, peers)."""
    entries = (links.weights, (links.receivers, links.senders))
    W = sparse.csr_array(entries, shape=(peers, peers))
    return sparse.csr_array(sparse.diags_array(W.sum(axis=1)) - W)


def _lanczos(L: sparse.csr_array, peers: int) -> Spectrum:
    # The mean's own eigenvalue would be at one end: move it to the average of the others.
    inside = L.trace() / (peers - 1)
    moved = LinearOperator(L.shape, matvec=lambda x: L @ x + inside * x.mean(), dtype=np.float64)
    start = rng.generator(0, "lanczos").normal(size=peers)
    try:
        low, high = eigsh(
            moved, 2, which="BE", v0=start, ncv=60, maxiter=60, tol=1e-9, return_eigenvectors=False
        )
    except ArpackNoConvergence:
        margin = inside / peers**2
        start = start - start.mean()
        low = max(eigsh(L, 2, sigma=-margin, v0=start + 1 / peers, return_eigenvectors=False))
        bound = 2 * L.diagonal().max() + margin  # Gershgorin
        high = max(eigsh(L, 1, sigma=bound, v0=start, return_eigenvectors=False))
    return Spectrum(float(1 - high), float(1 - low))


def rounds_per_tenfold(rho: float) -> float:
    """Rounds in which disagreement falls to a tenth: ln 10 / -ln rho; 0 if rho = 0, inf if rho >= 1."""
    return 0.0 if rho <= 0 else math.inf if rho >= 1 else math.log(10) / -math.log(rho)


def diameter(graph: nx.Graph) -> int:
    """The largest number of hops from one peer to another in a (strongly) connected graph.

    Bounds each peer's eccentricity by those already known, and searches only from peers that could still be further out than
    the furthest (Takes, Kosters: "Determining the diameter of small world networks", CIKM 2011).
    """
    adjacency = nx.to_scipy_sparse_array(graph, weight=None, format="csr")
    reverse = adjacency.T.tocsr() if graph.is_directed() else None
    upper = np.full(len(graph), np.inf)
    furthest = 0.0
    while (upper > furthest).any():
        peer = int(upper.argmax())
        hops = dijkstra(adjacency, unweighted=True, indices=peer)
        back = hops if reverse is None else dijkstra(reverse, unweighted=True, indices=peer)
        furthest = max(furthest, hops.max())
        upper = np.minimum(upper, back + hops.max())
        upper[peer] = 0
    return int(furthest)
