"""What a session's engine is made of, composed once, for both engines alike; must not know either of them."""

from dataclasses import replace
from typing import NamedTuple

from gossipfl.algorithms import METHODS, robust
from gossipfl.config.experiment import ChannelSettings
from gossipfl.experiment.learning.prepare import Prepared
from gossipfl.experiment.study.method import Composition, bears, composition
from gossipfl.experiment.study.study import Study
from gossipfl.models import Problem

SHORTEST = 32  # rounds that a method is given before the other one may take over


class Parts(NamedTuple):
    """The method, and the one that takes over from it while something is wrong.

    problem: whose gradients both take, with a step that shrinks where the experiment says so.
    main: the method that the experiment asks for.
    tolerant: main goes on without a neighbour, and is right in the end. Then it needs no fallback.
    fallback: goes on while main cannot; None where main is tolerant, or no method can.
    turn: rounds between two moments at which one may take over from the other.
    """

    study: Study
    prepared: Prepared
    problem: Problem
    main: Composition
    tolerant: bool
    fallback: Composition | None
    turn: int


def compose(study: Study, prepared: Prepared) -> Parts:
    """A pure function: every peer, and the simulator, composes the same.

    Raises:
        Incompatible: the study's method does not fit its links.
    """
    main = composition(study, prepared.kind, prepared.problem, prepared.step)
    tolerant = bears(study, main)
    fallback = None if tolerant else _fallback(study, prepared)
    return Parts(
        study, prepared, study.scheduled(prepared.problem), main, tolerant, fallback, _turn(study, main)
    )


def _fallback(study: Study, prepared: Prepared) -> Composition | None:
    """Exact diffusion of whole numbers, which remembers nothing of neighbours but what its accounts have.

    None where it does not tolerate faults either, or its step is unknown.
    """
    if not METHODS[prepared.kind].talks:
        return None
    step = prepared.facts.fallback_step if METHODS[prepared.kind].step == "whole" else prepared.step
    plain = replace(study, experiment=study.experiment.model_copy(update={"channel": ChannelSettings()}))
    kind = robust(penalty=bool(study.experiment.model.l1))
    other = composition(plain, kind, prepared.problem, step) if step else None
    return other if other and bears(plain, other) else None


def _turn(study: Study, main: Composition) -> int:
    """Whole steps, and enough rounds for word to reach everybody."""
    if METHODS[main.kind].averages:
        return main.cycle
    return max(study.horizon + 1, SHORTEST) * study.experiment.algorithm.local_steps
