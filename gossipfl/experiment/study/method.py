"""How an experiment learns: the algorithm, what it exchanges, and along which links; must not know engines or rows.

The kind "auto" is decided here, by every peer alike, once the number of parameters is agreed.
"""

from typing import NamedTuple

import networkx as nx
import numpy as np
import torch

from gossipfl.algorithms import (
    METHODS,
    Algorithm,
    Ingredients,
    NetworkTraits,
    made,
    no_hessian,
    no_penalty,
    robust,
    takes_back,
)
from gossipfl.config.experiment import Experiment
from gossipfl.errors import Incompatible
from gossipfl.experiment.study.fit import check
from gossipfl.experiment.study.gossip import learning
from gossipfl.experiment.study.refusals import refusal
from gossipfl.experiment.study.study import Study
from gossipfl.mixing import (
    COMPRESSORS,
    Amount,
    Average,
    Channel,
    Compressed,
    Direct,
    Feedback,
    Mixing,
    Property,
    PullAndPush,
)
from gossipfl.models import Linear, Problem
from gossipfl.topology import (
    Links,
    Spectrum,
    Topology,
    cycle,
    dense,
    every,
    extreme,
    load,
    static,
    stochastic,
    symmetric,
)  # fmt: skip
from gossipfl.topology.chebyshev import accelerated
from gossipfl.topology.spectrum import DENSE

SMALL = 1000  # parameters up to which Newton's method is the default
SAMPLE = 32  # rounds of a changing topology that are looked at
NOTHING = 1e-30  # of the disagreement: far below rounding


class Composition(NamedTuple):
    """What an engine is made of, and how often a step is complete."""

    kind: str
    algorithm: Algorithm
    topology: Topology
    mixing: Mixing
    cycle: int  # exchanges of one step


def choose(study: Study, problem: Problem | None) -> str:
    """The kind of algorithm: what the experiment says or, where it says "auto", what is best for this problem.

    Raises:
        Incompatible: it does not fit.
    """
    told = study.experiment.algorithm.kind
    kind = best(study, problem) if told == "auto" else told
    if why := refusal(study, kind, problem):
        raise Incompatible(f'algorithm "{kind}" {why}')
    return kind


def best(study: Study, problem: Problem | None) -> str:
    """What "auto" stands for."""
    e = study.experiment
    compressed = e.channel.compress != "none"
    if study.graph.is_directed():
        return "push-pull" if e.topology.loss or e.model.l1 else "push-diging"
    if compressed:
        return "beer" if e.channel.feedback else "gradient-tracking"
    if e.topology.loss and "schedule" not in study.graph.graph:
        return robust(penalty=bool(e.model.l1))
    if study.changing and not study.cycle:
        return "gradient-tracking"
    small = problem is not None and problem.width <= SMALL
    return "newton" if small and not refusal(study, "newton", problem) else robust(penalty=bool(e.model.l1))


def composition(study: Study, kind: str, problem: Problem | None = None, step: float = 1.0) -> Composition:
    """What an engine of that kind is made of; without a problem only to be checked."""
    settings, method = study.experiment.algorithm, METHODS[kind]
    mixed, cycle = mixing(study, kind, problem), study.cycle if method.averages else 1
    chi = 1 / (mixed.gamma * (1 - exchanges(study)[1].second)) if method.spectrum else 1.0
    algorithm = made(kind, Ingredients(
        step,
        problem.prox if problem and study.experiment.model.l1 else no_penalty,
        settings.local_steps,
        momentum(study, kind),
        problem.hessian if isinstance(problem, Linear) else no_hessian,
        cycle,
        settings.mu or study.experiment.model.l2,
        chi,
    ))  # fmt: skip
    return Composition(kind, algorithm, topology(study, kind), mixed, cycle)


def momentum(study: Study, kind: str) -> float:
    """Of the kind of algorithm, where the experiment does not say."""
    told = study.experiment.algorithm.momentum
    return METHODS[kind].momentum if told is None else told


def bears(study: Study, made: Composition) -> bool:
    """Whether a method goes on where a neighbour does not answer, and is right in the end.

    Edges must be links both ways, so that their ends can keep the same accounts, and of neighbours nothing may be
    remembered but what these accounts have.
    """
    algorithm, mixing = made.algorithm, made.mixing
    forgets = isinstance(mixing.aggregator, Average) and not mixing.channel.remembers
    return (
        not study.graph.is_directed()
        and (takes_back(algorithm, mixing) or (forgets and Property.RELIABLE not in algorithm.requires))
        and all(
            symmetric(study.topology(round)._replace(arrives=None))
            for round in range(SAMPLE if study.changing else 1)
        )
    )


def heals(made: Composition) -> bool:
    """Whether what a method remembers puts itself right, whoever goes or comes: running totals, in the simulator's links.

    With T what was heard and kept of the totals S, y = T - S + g holds for each peer in each round, and the columns of the
    weights of those that are there sum to 1: so does the sum of all y equal that of all g, without the dead.
    """
    return isinstance(made.mixing.aggregator, PullAndPush)


def topology(study: Study, kind: str) -> Topology:
    """The links of each round: none at all for the baselines that do not talk."""
    method = METHODS[kind]
    if not method.talks:
        links = study.links
        return static(
            links._replace(
                receivers=links.receivers[:0], senders=links.senders[:0], weights=links.weights[:0]
            )
        )
    if method.averages and not study.changing:
        return cycle(study.averaging.rounds(study.graph))
    steps = study.experiment.algorithm.local_steps
    return every(study.topology, steps) if steps > 1 else study.topology


def mixing(study: Study, kind: str, problem: Problem | None = None) -> Mixing:
    """The exchange: the method's own unless the experiment says otherwise."""
    usual = METHODS[kind]
    if not usual.talks:
        return Mixing(Average())
    told = channel(study, getattr(problem, "outputs", 1))
    gamma = usual.gamma if not study.changing or usual.gamma_changing is None else usual.gamma_changing
    gamma = gamma if isinstance(told, Direct) else min(gamma, study.experiment.channel.gamma)
    steps = exchanges(study)[0] if study.experiment.algorithm.exchanges > 1 else ()
    return Mixing(usual.aggregator, told, study.experiment.algorithm.gamma or gamma, steps)


def exchanges(study: Study) -> tuple[tuple[float, ...], Spectrum]:
    """The steps of a round's exchanges, none for a plain one, and the ends of the spectrum of what they do together."""
    ends, several = extreme(study.links, len(study.names)), study.experiment.algorithm.exchanges
    if several == 1:
        return (), ends
    steps, left = accelerated(ends.second, ends.smallest, several)
    if left < NOTHING:
        raise Incompatible(
            f"{several} exchanges in a round leave nothing of the disagreement on these links: set algorithm.exchanges lower"
        )
    return steps, Spectrum(-left, left)


def channel(study: Study, columns: int) -> Channel:
    """How rows cross edges; `columns` are those of the matrix that a row stands for."""
    told = study.experiment.channel
    if told.compress == "none":
        return Direct()
    compressor = COMPRESSORS[told.compress](Amount(told.keep, told.rank, columns, study.experiment.seed))
    return Feedback(compressor) if told.feedback else Compressed(compressor)


def check_fit(study: Study) -> None:
    """Refuse, before any data are read, a method that does not fit its exchange and its links. Raises Incompatible."""
    kind = choose(study, None)
    if not METHODS[kind].rounds:
        learning(study)
        return
    if not METHODS[kind].talks or len(study.names) == 1:
        return
    e = study.experiment
    if e.channel.compress == "low-rank" and e.model.kind != "softmax":
        raise Incompatible(
            f'channel.compress = "low-rank" is for the matrices of softmax, not for {e.model.kind}: set another one, '
            'such as "top-k"'
        )
    parts = composition(study, kind)
    check(kind, parts.algorithm, parts.mixing, network(study, parts))


def network(study: Study, made: Composition) -> NetworkTraits:
    """What the method is to know of the links."""
    peers, whole = (
        len(study.names),
        "schedule" not in study.graph.graph and not study.experiment.topology.drop,
    )
    sample = [
        study.topology(round)._replace(arrives=None) for round in range(SAMPLE if study.changing else 1)
    ]
    averages, smallest = isinstance(made.mixing.aggregator, Average), -1.0
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


def lowest(links: Links, peers: int) -> float:
    """The smallest real part of W's eigenvalues, rows kept at 1; where there are too many peers to look, Gershgorin's bound."""
    if peers <= DENSE:
        return float(np.linalg.eigvals(dense(links, peers)).real.min())
    given = torch.zeros(peers, dtype=torch.float64).index_add_(0, links.receivers, links.weights)
    return 1.0 - 2.0 * float(given.max())


def study(experiment: Experiment) -> Study:
    """The study of an experiment, checked. Raises BadExperiment (or Incompatible) for what cannot be."""
    graph = load(experiment.topology.graph, experiment.seed)
    graph = nx.Graph(graph) if len(graph) == 1 else graph  # one peer alone has no direction
    holders = list(graph)
    if (method := METHODS.get(experiment.algorithm.kind)) and method.gathers:
        graph = load("full:1")
    made = Study(experiment, graph, holders)
    made.check()
    check_fit(made)
    return made
