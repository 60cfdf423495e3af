"""The weights with which a graph averages fastest, by semidefinite programming; must not know rounds or schedules.

This needs the extra `weights` (cvxpy, SCS). Solvers differ in the last digits from machine to machine. So peers that are
started by hand share a file of the weights (`gossipfl topology optimise`), and do not each solve for them.
"""

import warnings

import networkx as nx
import numpy as np
import numpy.typing as npt
from scipy import sparse

from gossipfl.errors import BadExperiment
from gossipfl.topology.links import Links
from gossipfl.topology.spectrum import extreme
from gossipfl.topology.weights import best_constant, metropolis, uniform, unit

Peers = npt.NDArray[np.int64]

MOST = 200  # peers; 100 take a second, 200 ten, 300 minutes
DIGITS = 7  # of a weight; SCS guarantees no more


def fdla(graph: nx.Graph) -> Links:
    """The symmetric W on these links with the smallest |W - 11^T / n|: fastest distributed linear averaging.

    Weights and diagonals may be negative. Minimise s subject to -s I <= I - B diag(w) B^T - 11^T / n <= s I, where B is the
    graph's incidence matrix: Xiao, Boyd, "Fast linear iterations for distributed averaging", Systems & Control Letters 53,
    2004, eq. 17.

    Raises:
        BadExperiment: cvxpy or SCS is missing, or the graph has too many peers.
    """
    return _fastest([_solved(graph, "fdla"), best_constant(graph), metropolis(graph)], len(graph))


def fastest_mixing(graph: nx.Graph) -> Links:
    """The same without negative entries of W: the fastest mixing Markov chain (Boyd, Diaconis, Xiao, SIAM Review 46, 2004).

    A weight may be 0: these peers are still neighbours, and pass on the message that all is done.

    Raises:
        BadExperiment: cvxpy or SCS is missing, or the graph has too many peers.
    """
    peers, found = len(graph), _solved(graph, "fastest-mixing")
    weights = found.weights.clip(min=0)
    sums = np.bincount(found.receivers, weights, peers).clip(min=1)
    weights = weights / np.maximum(sums[found.receivers], sums[found.senders])
    return _fastest([found._replace(weights=weights), metropolis(graph), uniform(graph)], peers)


def _fastest(candidates: list[Links], peers: int) -> Links:
    """The fastest of several: if a closed-form rule is optimal, the solver's approximation does not replace it."""
    return min(candidates, key=lambda links: round(extreme(links, peers).rho, DIGITS + 2))


def _solved(graph: nx.Graph, rule: str) -> Links:
    """The solver's weights: symmetric, and rounded to the digits that it guarantees.

    The graph keeps them, so peers that receive the graph need not solve again.
    """
    peers, links = len(graph), unit(graph)
    known: dict[str, list[float]] = graph.graph.setdefault("solved", {})
    if rule in known and len(known[rule]) == len(links.weights):
        return links._replace(weights=np.array(known[rule]))
    try:
        import cvxpy
        import scs  # noqa: F401  (cvxpy calls it)
    except ImportError:
        raise BadExperiment(
            f'weights "{rule}" need cvxpy and SCS, which are missing: pip install "gossipfl[weights]"'
        ) from None
    if peers > MOST:
        raise BadExperiment(
            f'weights "{rule}" for {peers} peers take too long to compute: use "best-constant", or at most {MOST} peers'
        )
    half = links.receivers < links.senders
    if not half.any():
        return links
    ends = links.receivers[half], links.senders[half]
    w, s = cvxpy.Variable(int(half.sum())), cvxpy.Variable()
    L = cvxpy.reshape(_laplacian(*ends, peers) @ w, (peers, peers), order="C")
    one, mean = np.eye(peers), np.full((peers, peers), 1 / peers)
    bounds = [L + mean >> (1 - s) * one, L + mean << (1 + s) * one]
    bounds += [w >= 0, cvxpy.diag(L) <= 1] if rule == "fastest-mixing" else []
    problem = cvxpy.Problem(cvxpy.Minimize(s), bounds)
    with warnings.catch_warnings():  # about stopping early: the result is compared with other rules
        warnings.simplefilter("ignore")
        problem.solve(solver=cvxpy.SCS, eps_abs=1e-7, eps_rel=1e-7, max_iters=10_000)
    if w.value is None or not np.isfinite(w.value).all():
        raise BadExperiment(
            f'weights "{rule}": the solver stops with status "{problem.status}" on this graph; use "best-constant"'
        )
    W = np.zeros((peers, peers))
    W[ends] = W[ends[::-1]] = np.round(w.value, DIGITS)
    weights = W[links.receivers, links.senders]
    known[rule] = weights.tolist()
    return links._replace(weights=weights)


def _laplacian(u: Peers, v: Peers, peers: int) -> sparse.csr_array:
    """The matrix that maps the weights w of the edges u - v to the entries of B diag(w) B^T, row by row."""
    edges, one = np.arange(len(u)), np.ones(len(u))
    places = np.concatenate([u * peers + u, v * peers + v, u * peers + v, v * peers + u])
    entries = np.concatenate([one, one, -one, -one]), (places, np.tile(edges, 4))
    return sparse.csr_array(entries, shape=(peers * peers, len(u)))
