"""What the links of a study permit: the properties that methods require, and the longest safe step; must not know data."""

import numpy as np

from gossipfl.algorithms import METHODS, NetworkTraits, Round, longest_step
from gossipfl.errors import Incompatible
from gossipfl.experiment.study.method import SAMPLE, Composition, exchanges, mixing, topology
from gossipfl.experiment.study.study import Study
from gossipfl.mixing import Average, Mixing, Property, PullAndPush
from gossipfl.topology import Links, dense, stochastic, symmetric
from gossipfl.topology.spectrum import DENSE


def network(study: Study, composed: Composition) -> NetworkTraits:
    """The properties of the links that a method may require."""
    peers = len(study.names)
    whole = "schedule" not in study.graph.graph and not study.experiment.topology.drop
    sample = [
        study.topology(round)._replace(arrives=None) for round in range(SAMPLE if study.changing else 1)
    ]
    averages, smallest = isinstance(composed.mixing.aggregator, Average), -1.0
    if Property.LINEAR not in composed.mixing.preserves and study.experiment.algorithm.aggregator:
        smallest = 1.0  # there is no matrix, and no eigenvalue to fear
    if averages and not study.changing:
        one_way = study.graph.is_directed()
        smallest = lowest(study.links, peers) if one_way else exchanges(study)[1].smallest
    return NetworkTraits(
        smallest=smallest,
        doubly=all(stochastic(links, peers)[1] for links in sample),
        reliable=not study.experiment.topology.loss,
        changing=study.changing,
        fixed=whole and study.experiment.algorithm.local_steps == 1,
        symmetric=all(symmetric(links) for links in sample),
    )


def stride(study: Study, kind: str) -> float:
    """The safe step of a kind of algorithm on the links of a study, in units of 1/L.

    Raises:
        Incompatible: no step is known.
    """
    method, e, peers = METHODS[kind], study.experiment, len(study.names)
    most = method.stride
    if method.tracks:  # the tracked quantities are sent only once in local_steps rounds
        most /= e.algorithm.local_steps
    mixed = mixing(study, kind)
    plain = isinstance(mixed.aggregator, Average)
    if not method.talks or (plain and not study.graph.is_directed()):
        return most
    if peers > DENSE:
        raise Incompatible(
            f'algorithm.step = "auto" for algorithm "{kind}" needs at most {DENSE} peers on links that lead one way: set a '
            "number, for example algorithm.step = 0.01"
        )
    links = topology(study, kind)
    period = e.algorithm.local_steps * (SAMPLE if study.changing else 1)
    rounds = [step_matrices(links(k)._replace(arrives=None), peers, mixed) for k in range(period)]
    weighted = Property.CONSENSUS not in mixed.aggregator.preserves
    step = longest_step(rounds, most, weighted, method.tracks)
    if not step:
        raise Incompatible(
            f'no step makes algorithm "{kind}" stable on these links: use another topology.graph, or set algorithm.step'
        )
    return step


def step_matrices(links: Links, peers: int, mixed: Mixing) -> Round:
    """How an exchange along these links mixes parameters and trackers."""
    w = dense(links, peers)
    if isinstance(mixed.aggregator, Average):
        w = (1 - mixed.gamma) * np.eye(peers) + mixed.gamma * w
        return Round(w, w)
    off = w - np.diag(np.diag(w))
    push = off + np.diag(1 - off.sum(0))
    if not isinstance(mixed.aggregator, PullAndPush):
        return Round(push, push)
    heard = (off != 0) + np.eye(peers)
    return Round(heard / heard.sum(1, keepdims=True), push)


def lowest(links: Links, peers: int) -> float:
    """The smallest real part of the eigenvalues of W, whose rows sum to 1; for many peers Gershgorin's lower bound of it."""
    if peers <= DENSE:
        return float(np.linalg.eigvals(dense(links, peers)).real.min())
    return 1.0 - 2.0 * float(np.bincount(links.receivers, links.weights, peers).max())
