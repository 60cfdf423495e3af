"""The algorithm of an experiment, its exchange and its links; must not know engines or rows.

Here each peer replaces the kind "auto", after the peers have agreed on the number of parameters. All choose the same.
"""

import math
from typing import NamedTuple

from gossipfl.algorithms import (
    METHODS,
    Algorithm,
    Ingredients,
    Objective,
    Sums,
    Units,
    made,
    no_hessian,
    no_penalty,
    no_sums,
    private,
    robust,
    takes_back,
)
from gossipfl.algorithms.sums import PLAIN, UNKNOWN, Carrier, Clipped
from gossipfl.errors import BadExperiment, Incompatible
from gossipfl.experiment.study.own import aggregator
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
    Sum,
)
from gossipfl.models import Linear, Problem
from gossipfl.runs.facts import Moments
from gossipfl.secrecy.promise import Query
from gossipfl.tensors import torch
from gossipfl.topology import Spectrum, Topology, cycle, every, extreme, static, symmetric
from gossipfl.topology.chebyshev import accelerated

SMALL = 1000  # parameters up to which Newton's method is the default
WIDE = 100_000  # parameters up to which L-BFGS is the default
SAMPLE = 32  # rounds of a changing topology that are checked
NOTHING = 1e-30  # a remaining part of the disagreement that is far below rounding


class Composition(NamedTuple):
    """The parts of an engine."""

    kind: str
    algorithm: Algorithm
    topology: Topology
    mixing: Mixing
    cycle: int  # exchanges of one step


def choose(study: Study, problem: Problem | None) -> str:
    """The kind of algorithm in the experiment; for "auto" the best kind for this problem.

    Raises:
        Incompatible: the kind does not fit the study or the problem.
    """
    asked = study.experiment.algorithm.kind
    auto = private(study.experiment.model.kind) if study.private else best(study, problem)
    kind = auto if asked == "auto" else asked
    if why := refusal(study, kind, problem):
        raise Incompatible(f'algorithm "{kind}" {why}')
    return kind


def asked(study: Study, width: int) -> tuple[str, Query]:
    """The kind of algorithm of a private study, and what it sums for so many parameters.

    Raises:
        BadExperiment: no such model has so many.
    """
    kind = choose(study, None)
    ask, outputs = METHODS[kind].private, study.loss.outputs(len(study.experiment.data.classes or ()))
    assert ask, "the study is private"
    if width % outputs:
        raise BadExperiment(
            f"a model of {outputs} classes has a multiple of {outputs} parameters, not {width:,}"
        )
    return kind, ask(width // outputs, outputs, study.promise.clip)


def best(study: Study, problem: Problem | None) -> str:
    """The kind that "auto" stands for."""
    e = study.experiment
    if problem is not None and (kind := _second_order(study, problem)):
        return kind
    compressed = e.channel.compress != "none"
    if study.graph.is_directed():
        return "push-pull" if e.topology.loss or study.l1 else "push-diging"
    if compressed:
        return "beer" if e.channel.feedback else "gradient-tracking"
    if e.topology.loss and "schedule" not in study.graph.graph:
        return robust(penalty=bool(study.l1))
    if study.changing and not study.cycle:
        return "gradient-tracking"
    return "lbfgs" if study.secure else robust(penalty=bool(study.l1))


def _second_order(study: Study, problem: Problem) -> str | None:
    """The method by sums or exact averages that fits; None if none does, or if faults are planned that it has no answer to."""
    e = study.experiment
    if study.graph.is_directed() and e.faults:
        return None
    if problem.width <= SMALL:
        return None if refusal(study, "newton", problem) else "newton"
    certified = bool(study.l1 or study.l2) and e.model.device == "cpu" and problem.width <= WIDE
    return "lbfgs" if certified and not refusal(study, "lbfgs", problem) else None


def composition(
    study: Study,
    kind: str,
    problem: Problem | None = None,
    step: float = 1.0,
    moments: Moments | None = None,
    carrier: Carrier = PLAIN,
    allowance: float = math.inf,
    fixed: Clipped = UNKNOWN,
) -> Composition:
    """The parts of an engine for a kind of algorithm; without a problem they are only for checks.

    `carrier` and `allowance` are as in `Summed`, `fixed` as in `Sums`.
    """
    settings, method = study.experiment.algorithm, METHODS[kind]
    mixed, cycle = mixing(study, kind, problem), study.exchanges(kind) if method.averages else 1
    chi = 1 / (mixed.gamma * (1 - exchanges(study)[1].second)) if method.spectrum else 1.0
    algorithm = made(kind, Ingredients(
        step,
        problem.prox if problem and study.l1 else no_penalty,
        settings.local_steps,
        momentum(study, kind),
        problem.hessian if isinstance(problem, Linear) else no_hessian,
        cycle,
        settings.mu or study.l2,
        chi,
        sums(study, problem, moments or Moments(), cycle)._replace(
            carrier=carrier, allowance=allowance, fixed=fixed
        )
        if study.sums(kind) else None,
        settings.options,
    ))  # fmt: skip
    return Composition(kind, algorithm, topology(study, kind), mixed, cycle)


def sums(study: Study, problem: Problem | None, moments: Moments, exchanges: int, rows: bool = True) -> Sums:
    """What a sum method is made of; without its rows, if they are not asked for.

    Targets are centred for linear models, where the intercept can take their mean.
    """
    if not isinstance(problem, Linear):
        return no_sums(study.loss, len(study.names), exchanges)
    units = Units(
        torch.tensor(moments.deviation, dtype=torch.float64), torch.tensor(moments.mean, dtype=torch.float64),
        moments.spread, problem.outputs,
    )  # fmt: skip
    objective = Objective(
        problem.penalised.cpu().double(), units, study.l2, study.l1, problem.outputs,
        problem.outputs - getattr(problem.loss_of_row, "unseen", 0),
    )  # fmt: skip
    centre = moments.centre if objective.free else 0.0
    found = Sums(
        objective, problem.loss_of_row, study.experiment.stop.tolerance, problem.of_peers(centre) if rows else (),
        len(study.names), exchanges, centre * (1 - objective.penalised),
    )  # fmt: skip
    scaled = study.secure and study.loss.task == "regression"
    return found.in_units(moments.spread + abs(moments.centre - centre)) if scaled else found


def momentum(study: Study, kind: str) -> float:
    """The momentum in the experiment, or else that of the kind of algorithm."""
    momentum = study.experiment.algorithm.momentum
    return METHODS[kind].momentum if momentum is None else momentum


def bears(study: Study, composed: Composition) -> bool:
    """Whether a method continues without a neighbour that does not answer, and still ends at the right model.

    For this, links must lead both ways, so that both ends of an edge can keep the same accounts, and the method must remember
    nothing of its neighbours except these accounts.
    """
    algorithm, mixing = composed.algorithm, composed.mixing
    forgets = isinstance(mixing.aggregator, Average) and not mixing.channel.remembers
    return (
        not study.graph.is_directed()
        and (takes_back(algorithm, mixing) or (forgets and Property.RELIABLE not in algorithm.requires))
        and all(
            symmetric(study.topology(round)._replace(arrives=None))
            for round in range(SAMPLE if study.changing else 1)
        )
    )


def heals(composed: Composition) -> bool:
    """Whether a method with running totals corrects its memory by itself when peers leave or return, in the simulator.

    Let S be the totals, and T what each peer received and kept of them. Then y = T - S + g holds for each peer in each round.
    The columns of the weights of the present peers sum to 1, so that the sum of their y equals the sum of their g.
    """
    return isinstance(composed.mixing.aggregator, PullAndPush)


def topology(study: Study, kind: str) -> Topology:
    """The links of each round; none for the baselines that do not communicate."""
    method = METHODS[kind]
    if not method.talks:
        links = study.links
        return static(
            links._replace(
                receivers=links.receivers[:0], senders=links.senders[:0], weights=links.weights[:0]
            )
        )
    if study.sums(kind):
        return cycle(study.tree.rounds())
    if method.averages and not study.changing:
        return cycle(study.averaging.rounds(study.graph))
    steps = study.experiment.algorithm.local_steps
    return every(study.topology, steps) if steps > 1 else study.topology


def mixing(study: Study, kind: str, problem: Problem | None = None) -> Mixing:
    """The exchange: the method's own, changed by the settings of the experiment."""
    usual = METHODS[kind]
    if not usual.talks:
        return Mixing(Average())
    if study.sums(kind):
        return Mixing(Sum())
    over = channel(study, getattr(problem, "outputs", 1))
    gamma = usual.gamma if not study.changing or usual.gamma_changing is None else usual.gamma_changing
    gamma = gamma if isinstance(over, Direct) else min(gamma, study.experiment.channel.gamma)
    steps = exchanges(study)[0] if study.experiment.algorithm.exchanges > 1 else ()
    own = study.experiment.algorithm.aggregator
    rule = aggregator(own) if own else usual.aggregator
    return Mixing(rule, over, study.experiment.algorithm.gamma or gamma, steps)


def exchanges(study: Study) -> tuple[tuple[float, ...], Spectrum]:
    """The steps of the exchanges in a round (none for a single exchange), and the ends of their joint spectrum."""
    ends, several = extreme(study.links, len(study.names)), study.experiment.algorithm.exchanges
    if several == 1:
        return (), ends
    steps, left = accelerated(ends.second, ends.smallest, several)
    if left < NOTHING:
        raise Incompatible(
            f"algorithm.exchanges = {several} is more than these links need to reach exact agreement in a round: set it lower"
        )
    return steps, Spectrum(-left, left)


def channel(study: Study, columns: int) -> Channel:
    """The channel of messages. A row stands for a matrix with so many `columns`."""
    settings = study.experiment.channel
    if settings.compress == "none":
        return Direct()
    amount = Amount(settings.keep, settings.rank, columns, study.experiment.seed)
    compressor = COMPRESSORS[settings.compress](amount)
    return Feedback(compressor) if settings.feedback else Compressed(compressor)
