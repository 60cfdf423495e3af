"""Finite schedules of links after which every peer holds the exact mean; must not know what is averaged.

A round with weights w on the edges of a Laplacian L takes x to (I - w L) x. Rounds with w = 1 / z_k together take x to p(L) x
with p(l) = prod_k (1 - l / z_k). This is the mean if p vanishes on the non-zero eigenvalues of L.
"""

import math
from typing import NamedTuple

import networkx as nx
import numpy as np

from gossipfl.topology.links import Links
from gossipfl.topology.spectrum import DENSE, Array, dense, extreme
from gossipfl.topology.weights import metropolis, push, unit

EPS = float(np.finfo(np.float64).eps)
TOLERANCE = 1e-12  # the rounding error, relative to max |x|, above which the exact schedule is not used
REMAINDER = 1e-15  # the share of the disagreement that Chebyshev's schedule leaves


RULES = {"laplacian": unit, "metropolis": metropolis, "push": push}


class Averaging(NamedTuple):
    """The weights of round k: those of `rule` ("laplacian" has 1 on each edge), divided by nodes[k].

    The weights of "push" are shares that a peer gives away on directed links; push-sum makes a mean of them.
    """

    rule: str
    nodes: tuple[float, ...]

    def rounds(self, graph: nx.Graph) -> tuple[Links, ...]:
        """The links of each round, for the graph that this was made for."""
        links = RULES[self.rule](graph)
        return tuple(links._replace(weights=links.weights / node) for node in self.nodes)


def averaging(graph: nx.Graph) -> Averaging:
    """The rounds of `x_i + sum_j w_ij (x_j - x_i)` that take any x to its mean, to full precision; none for one peer.

    There is one round for each distinct non-zero eigenvalue of the Laplacian (Sandryhaila, Kar, Moura: "Finite-time
    distributed consensus through graph filters", ICASSP 2014), in Leja order, which keeps the partial products small
    (Reichel: "The application of Leja points to Richardson iteration", Linear Algebra Appl. 1991). Chebyshev nodes on the
    spectrum of the Metropolis weights, as many as leave 1e-15, replace them if rounding would still cost more than 1e-12,
    above 500 peers, and if there are fewer of them. Weights may be above 1 in single rounds. On directed links there are as
    many rounds of push-sum as leave 1e-15.
    """
    peers = len(graph)
    if peers < 2:
        return Averaging("laplacian", ())
    if graph.is_directed():
        return Averaging("push", (1.0,) * _pushes(push(graph), peers))
    ends = extreme(metropolis(graph), peers)
    chebyshev = _chebyshev(1 - ends.second, 1 - ends.smallest)
    if peers <= DENSE:
        values = _laplacian_eigenvalues(unit(graph), peers)
        exact = _distinct(values)
        if len(exact) <= len(chebyshev) and _rounding(leja(exact), values) <= TOLERANCE:
            return Averaging("laplacian", tuple(leja(exact).tolist()))
    return Averaging("metropolis", tuple(leja(chebyshev).tolist()))


def _pushes(links: Links, peers: int) -> int:
    """The number of rounds, a power of 2, after which all columns of C^rounds are equal to 1e-15.

    C has the shares that peers give away; found by repeated squaring.
    """
    shares = np.zeros((peers, peers))
    shares[links.receivers, links.senders] = links.weights
    shares += np.diag(1 - shares.sum(axis=0))
    power, rounds = shares, 1
    while (
        np.abs(power - power.mean(axis=1, keepdims=True)) > REMAINDER * power.max()
    ).any() and rounds < 2**40:
        power, rounds = power @ power, 2 * rounds
    return rounds


def _laplacian_eigenvalues(links: Links, peers: int) -> Array:
    """The non-zero eigenvalues, ascending, each with a small relative error.

    LAPACK's error is relative to the largest eigenvalue. The Rayleigh quotient of its eigenvectors, a sum of squares over
    the edges, reduces that error to its square.
    """
    _, vectors = np.linalg.eigh(np.eye(peers) - dense(links, peers))
    vectors = vectors[:, 1:] - vectors[:, 1:].mean(axis=0)
    half = links.receivers < links.senders
    one, other = links.receivers[half], links.senders[half]
    rows = np.ascontiguousarray(vectors.T)  # numpy sums pairwise along rows only
    return np.sort([((row[one] - row[other]) ** 2).sum() / (row**2).sum() for row in rows])


def _distinct(values: Array) -> Array:
    """The mean of each cluster of ascending values that differ only by rounding."""
    starts = np.flatnonzero(np.diff(values) > 1e-11 * values[-1]) + 1
    return np.array([cluster.mean() for cluster in np.split(values, starts)])


def leja(nodes: Array) -> Array:
    """The nodes in such an order that each is the furthest from all before it, by the product of distances."""
    order = [int(np.abs(nodes).argmax())]
    product = np.zeros(len(nodes))  # logarithms
    with np.errstate(divide="ignore"):
        for _ in range(len(nodes) - 1):
            product += np.log(np.abs(nodes - nodes[order[-1]]))
            order.append(int(product.round(9).argmax()))  # rounded: ties are the same on all machines
    return nodes[order]


def _rounding(nodes: Array, values: Array) -> float:
    """The predicted error relative to max |x|: what p leaves at the eigenvalues, plus what rounding adds.

    The eigenvalues themselves are known to a few eps. Round k makes an error of eps times what it subtracts, at most
    (prefix product) l_max / z_k, and the rounds after it multiply that by the suffix product. Their largest values over the
    spectrum are used.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        factors = np.abs(1 - nodes / nodes[:, None])  # one round a row
        ones = np.ones((1, len(nodes)))
        prefix = np.vstack([ones, factors[:-1]]).cumprod(axis=0).max(axis=1)
        suffix = np.vstack([ones, factors[:0:-1]]).cumprod(axis=0).max(axis=1)[::-1]
        rounding = EPS * (prefix * np.maximum(1, nodes.max() / nodes) * np.maximum(1, suffix)).sum()
        left = np.prod(np.maximum(np.abs(1 - values / nodes[:, None]), 4 * EPS), axis=0).max()
    return math.inf if math.isnan(rounding + left) else float(rounding + left)


def _chebyshev(low: float, high: float) -> Array:
    """As many Chebyshev nodes on [low, high] as make |p| <= 1e-15 there, with p(0) = 1."""
    low, high = low * (1 - 1e-4), high * (1 + 1e-4)
    low, high = float(f"{low:.5g}"), float(f"{high:.5g}")  # the same on all machines, whatever their rounding
    count = math.ceil(math.acosh(1 / REMAINDER) / math.acosh((high + low) / (high - low)))
    angles = (np.arange(count) + 0.5) * (math.pi / count)
    nodes: Array = (high + low) / 2 + (high - low) / 2 * np.cos(angles)
    return nodes
