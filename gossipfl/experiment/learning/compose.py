"""The parts of a session's engine, composed once in the same way for both engines; must not know either of them."""

from dataclasses import replace
from typing import NamedTuple

from gossipfl.algorithms import METHODS, Summed, robust
from gossipfl.config.experiment import ChannelSettings
from gossipfl.experiment.learning.prepare import Prepared
from gossipfl.experiment.study.method import Composition, bears, composition
from gossipfl.experiment.study.study import Study
from gossipfl.models import Problem

SHORTEST = 32  # minimum rounds of a method before the other one may take over


class Parts(NamedTuple):
    """The main method, and its fallback for faults.

    problem: the problem of both methods, with the decay of the experiment.
    main: the method of the experiment.
    tolerant: whether main continues without a missing neighbour and still ends at the right model. Then it has no fallback.
    fallback: the method that runs while main cannot; None if main is tolerant, or if no method can.
    turn: the number of rounds between two points at which one method may take over from the other.
    """

    study: Study
    prepared: Prepared
    problem: Problem
    main: Composition
    tolerant: bool
    fallback: Composition | None
    turn: int


def compose(study: Study, prepared: Prepared) -> Parts:
    """The parts for a study. This is a pure function: all peers and the simulator compute the same parts.

    Raises:
        Incompatible: the study's method does not fit its links.
    """
    study = study.chosen(prepared.facts.selection)
    main = composition(
        study,
        prepared.kind,
        prepared.problem,
        prepared.step,
        prepared.facts.moments,
        prepared.carrier,
        prepared.allowance,
        prepared.fixed,
    )
    tolerant = bears(study, main)
    fallback = None if tolerant else _fallback(study, prepared)
    return Parts(
        study, prepared, study.scheduled(prepared.problem), main, tolerant, fallback, _turn(study, main)
    )


def hops(study: Study, composition: Composition) -> int:
    """The exchanges that word of the stop needs to reach every peer; with sums all peers read it off equal totals."""
    return 0 if isinstance(composition.algorithm, Summed) else study.horizon


def _fallback(study: Study, prepared: Prepared) -> Composition | None:
    """Exact diffusion without compression, which remembers nothing of its neighbours except its accounts.

    None if it does not tolerate faults on these links, or if its step is unknown.
    """
    if not METHODS[prepared.kind].talks:
        return None
    step = prepared.facts.fallback_step if METHODS[prepared.kind].step == "whole" else prepared.step
    plain = replace(study, experiment=study.experiment.model_copy(update={"channel": ChannelSettings()}))
    kind = robust(penalty=bool(study.l1))
    other = composition(plain, kind, prepared.problem, step) if step else None
    return other if other and bears(plain, other) else None


def _turn(study: Study, main: Composition) -> int:
    """The length of a turn: complete steps, and enough rounds for information to reach every peer."""
    if METHODS[main.kind].averages:
        return main.cycle
    return max(study.horizon + 1, SHORTEST) * study.experiment.algorithm.local_steps
