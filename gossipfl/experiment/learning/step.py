"""The learning rate that the rows of all peers permit; must not know engines."""

from collections.abc import Callable

from gossipfl.algorithms import METHODS
from gossipfl.errors import Incompatible
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.study.method import momentum
from gossipfl.experiment.study.network import stride
from gossipfl.experiment.study.study import Study
from gossipfl.models import Problem
from gossipfl.runs.facts import Facts

COMPRESSED = 0.3  # the fraction of 1/L with which BEER converges when a tenth of the numbers is sent


def largest(agreement: Agreement, alone: bool) -> Callable[[Problem], float]:
    """A function for the largest smoothness constant: of all peers or, if `alone`, of the peers in this process."""

    def found(problem: Problem) -> float:
        own = problem.smoothness()[:, None].cpu()
        return float(own.max() if alone else agreement.maximum(own)[0])

    return found


def the_step(
    study: Study, kind: str, problem: Problem, most: Callable[[Problem], float], known: Facts | None
) -> float:
    """The learning rate: as given, or for "auto" by the rows of all peers; with known facts not longer than theirs."""
    if study.experiment.algorithm.step != "auto":
        return study.experiment.algorithm.step
    own = auto_step(study, kind, problem, most)
    return min(own, known.step) if known else own


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
