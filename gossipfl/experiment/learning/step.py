"""The learning rate that the rows of all peers permit; must not know engines."""

import math
from collections.abc import Callable

from torch import Tensor

from gossipfl.algorithms import METHODS, Summed, halved, robust
from gossipfl.errors import Incompatible
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.study.method import composition, momentum
from gossipfl.experiment.study.network import stride
from gossipfl.experiment.study.study import Study
from gossipfl.models import Problem
from gossipfl.runs.facts import Facts, Moments

COMPRESSED = 0.3  # the fraction of 1/L with which BEER converges when a tenth of the numbers is sent
ROOM = 1.2  # times what moments permit: for rounding, and for the margin of a power method


def agree_steps(
    study: Study,
    kind: str,
    problem: Problem,
    units: Moments,
    start: Tensor,
    agreement: Agreement,
    known: Facts | None,
) -> tuple[float, float, Tensor | None]:
    """The learning rates of the method and of its fallback (0 if it has none), and the total of the first sum from `start`,
    if that was taken already: then the largest smoothness constant rode in it.
    """
    averages = METHODS[kind].averages and not study.graph.is_directed() and not study.secure
    replaced = averages and study.loss.curvature < float("inf")
    opening, most = None, largest(agreement, known is not None, permitted(study, units))
    if replaced and known is None and study.sums(kind):
        opening, most = opened(study, kind, problem, units, start, agreement)
    step = the_step(study, kind, problem, most, known)
    fallback_step = auto_step(study, robust(penalty=bool(study.l1)), problem, most) if replaced else 0.0
    if known and fallback_step:
        fallback_step = halved(known.fallback_step, fallback_step)
    return step, fallback_step, opening


def permitted(study: Study, units: Moments) -> float:
    """The largest smoothness constant that a peer can have, if all rows have these moments; inf if nobody knows them.

    n_i L_i is at most the curvature of the loss times the sum of |row|^2 over *all* rows, which the moments give.
    """
    if not units.deviation:
        return math.inf
    square = 1.0 + sum(m**2 + d**2 for m, d in zip(units.mean, units.deviation, strict=True))
    return ROOM * len(study.names) * (study.loss.curvature * square + study.l2)


def largest(agreement: Agreement, alone: bool, permitted: float) -> Callable[[Problem], float]:
    """A function for the largest smoothness constant: of all peers or, if `alone`, of the peers in this process.

    A peer that tells more than can be does not count for more.
    """

    def found(problem: Problem) -> float:
        own = problem.smoothness()[:, None].cpu()
        return min(permitted, float(own.max() if alone else agreement.maximum(own)[0]))

    return found


def opened(
    study: Study, kind: str, problem: Problem, units: Moments, start: Tensor, agreement: Agreement
) -> tuple[Tensor, Callable[[Problem], float]]:
    """The total of the first sum of a method, and a function for the largest smoothness constant, which rides in it."""
    method = composition(study, kind, problem, 1.0, units).algorithm
    assert isinstance(method, Summed)
    total, most = agreement.opened(method, start, problem.smoothness()[:, None].cpu())
    found = min(permitted(study, units), float(most[0]))
    return total, lambda _: found


def the_step(
    study: Study, kind: str, problem: Problem, most: Callable[[Problem], float], known: Facts | None
) -> float:
    """The learning rate: as given, or for "auto" by the rows of all peers; with known facts theirs, perhaps halved."""
    if study.experiment.algorithm.step != "auto":
        return study.experiment.algorithm.step
    own = auto_step(study, kind, problem, most)
    return halved(known.step, own) if known else own


def auto_step(study: Study, kind: str, problem: Problem, largest: Callable[[Problem], float]) -> float:
    """The value of step = "auto" for a kind of algorithm: a full step, the first step of Pegasos, or the method's part of 1/L.

    L is the largest smoothness constant of all peers.
    """
    method, e = METHODS[kind], study.experiment
    if method.step == "whole":
        return 1.0
    if method.step == "pegasos":
        return 1.0 / study.l2
    if e.model.kind in ("svm", "poisson", "module"):
        raise Incompatible(
            f'algorithm.step = "auto" is 1/L for algorithm "{kind}", and model.kind = "{e.model.kind}" has no L: set a number, '
            "for example algorithm.step = 0.01"
        )
    part = stride(study, kind)
    if e.channel.compress != "none":
        part = min(part, COMPRESSED)
    return part * (1.0 - momentum(study, kind)) / largest(problem)
