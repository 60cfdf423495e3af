"""How an experiment learns: the algorithm, what it exchanges, and along which links; must not know engines or rows.

The kind "auto" is decided here, by every peer alike, once the number of parameters is agreed.
"""

from typing import NamedTuple

from gossipfl.algorithms import (
    ALGORITHMS,
    Algorithm,
    Ingredients,
    Network,
    check,
    made,
    no_hessian,
    no_penalty,
)
from gossipfl.errors import Incompatible
from gossipfl.experiment.settings import Experiment
from gossipfl.experiment.study import Study
from gossipfl.mixing import COMPRESSORS, Amount, Average, Channel, Compressed, Direct, Feedback, Mixing
from gossipfl.models import Linear, Problem
from gossipfl.topology import Topology, cycle, every, extreme, load, static, stochastic

SMALL, LARGE = 1000, 2000  # parameters up to which Newton's method is the default, and is allowed
SAMPLE = 32  # rounds of a changing topology that are looked at
BASELINES = ("local", "pooled")


class Method(NamedTuple):
    """What an engine is made of, and how often a step is complete."""

    kind: str
    algorithm: Algorithm
    topology: Topology
    mixing: Mixing
    cycle: int  # exchanges of one step


def choose(study: Study, problem: Problem | None) -> str:
    """The kind of algorithm: what the experiment says or, where it says "auto", what is best for this problem."""
    kind = study.experiment.algorithm.kind
    if kind != "auto":
        if kind == "newton" and (why := against_newton(study, problem)):
            raise Incompatible(f'algorithm "newton" {why}')
        return kind
    if study.experiment.topology.loss:
        return "push-pull"
    if study.graph.is_directed():
        return "push-diging"
    if study.experiment.channel.compress != "none":
        return "gradient-tracking"
    small = problem is not None and problem.width <= SMALL
    return "newton" if small and not against_newton(study, problem) else "exact-diffusion"


def against_newton(study: Study, problem: Problem | None) -> str | None:
    """Why Newton's method cannot be used, with the way out; None where it can."""
    e = study.experiment
    reasons = {
        "takes full gradients: leave out batch, local_steps and decay": e.algorithm.batch != "full"
        or e.algorithm.local_steps > 1
        or e.algorithm.decay is not None,
        "has no momentum: leave it out": bool(e.algorithm.momentum),
        'has no proximal step: set l1 = 0, or use algorithm "exact-diffusion"': bool(e.model.l1),
        f"needs a second derivative, which the model {e.model.kind} lacks: use another algorithm": e.model.kind
        in ("svm", "module"),
        "needs exact averages: use undirected links that do not fail": study.graph.is_directed()
        or study.failing
        or not study.cycle,
        "sends no compressed Hessians: leave out channel.compress": e.channel.compress != "none",
    }
    if why := next((reason for reason, holds in reasons.items() if holds), None):
        return why
    if problem is None:
        return None
    if not (isinstance(problem, Linear) and problem.dense):
        return 'would send a Hessian of sparse features: use algorithm "exact-diffusion"'
    d = problem.width
    if d > LARGE:
        return (
            f"would send {d * (d + 1) // 2:,} numbers in each message, as there are {d:,} parameters: above {LARGE:,} "
            'use algorithm "exact-diffusion" or "gradient-tracking"'
        )
    return None


def method(study: Study, kind: str, problem: Problem | None = None, step: float = 1.0) -> Method:
    """The parts of a kind of algorithm; without a problem only to be checked."""
    settings = study.experiment.algorithm
    newton = kind == "newton"
    ingredients = Ingredients(
        step, problem.prox if problem else no_penalty, settings.local_steps, settings.momentum,
        problem.hessian if isinstance(problem, Linear) else no_hessian, study.cycle if newton else 1,
    )  # fmt: skip
    algorithm = made("d-psgd" if kind in BASELINES else kind, ingredients)
    return Method(
        kind, algorithm, topology(study, kind), mixing(study, kind, problem), study.cycle if newton else 1
    )


def topology(study: Study, kind: str) -> Topology:
    """The links of each round: none at all for the baselines that do not talk."""
    if kind in BASELINES:
        links = study.links
        return static(
            links._replace(
                receivers=links.receivers[:0], senders=links.senders[:0], weights=links.weights[:0]
            )
        )
    if kind == "newton" and not study.changing:
        return cycle(study.averaging.rounds(study.graph))
    steps = study.experiment.algorithm.local_steps
    return every(study.topology, steps) if steps > 1 else study.topology


def mixing(study: Study, kind: str, problem: Problem | None = None) -> Mixing:
    """The exchange: the method's own unless the experiment says otherwise."""
    if kind in BASELINES:
        return Mixing(Average())
    usual = ALGORITHMS[kind]
    told = channel(study, problem.outputs if isinstance(problem, Linear) else 1)
    gamma = usual.gamma if isinstance(told, Direct) else min(usual.gamma, study.experiment.channel.gamma)
    return Mixing(usual.aggregator, told, study.experiment.algorithm.gamma or gamma)


def channel(study: Study, columns: int) -> Channel:
    """How rows cross edges; `columns` are those of the matrix that a row stands for."""
    told = study.experiment.channel
    if told.compress == "none":
        return Direct()
    compressor = COMPRESSORS[told.compress](Amount(told.keep, told.rank, columns, study.experiment.seed))
    return Feedback(compressor) if told.feedback else Compressed(compressor)


def compose(study: Study) -> None:
    """Refuse, before any data are read, a method that does not fit its exchange and its links."""
    kind = choose(study, None)
    if kind in BASELINES or len(study.names) == 1:
        return
    if study.experiment.model.l1 and not ALGORITHMS[kind].penalty:
        raise Incompatible(f'algorithm "{kind}" has no proximal step: set l1 = 0, or use "exact-diffusion"')
    made = method(study, kind)
    sample = [study.topology(round) for round in range(SAMPLE if study.changing else 1)]
    network = Network(
        smallest=-1.0
        if study.changing or study.graph.is_directed()
        else extreme(study.links, len(study.names)).smallest,
        doubly=all(stochastic(links._replace(arrives=None), len(study.names))[1] for links in sample),
        reliable=not study.experiment.topology.loss,
        changing=study.changing,
    )
    check(kind, made.algorithm, made.mixing, network)


def study(experiment: Experiment) -> Study:
    """The study of an experiment, checked. Raises BadExperiment (or Incompatible) for what cannot be."""
    graph = load(experiment.topology.graph, experiment.seed)
    holders = list(graph)
    if experiment.algorithm.kind == "pooled":
        graph = load("full:1")
    made = Study(experiment, graph, holders)
    made.check()
    compose(made)
    return made
