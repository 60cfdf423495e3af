"""The method that takes over where the chosen one does not bear faults; must not know engines."""

from dataclasses import replace

from gossipfl.config.experiment import ChannelSettings
from gossipfl.experiment.learning.prepare import FALLBACK, Prepared
from gossipfl.experiment.study.method import Composition, bears, method
from gossipfl.experiment.study.study import Study

SHORTEST = 32  # rounds that a method is given before it may be given up again


def beside(study: Study, prepared: Prepared) -> Composition | None:
    """Exact diffusion of whole numbers, which remembers nothing of neighbours but what its accounts have.

    None where it does not bear faults either, or its step is not known.
    """
    facts = prepared.facts
    step = facts.fallback if prepared.kind == "newton" else facts.step
    plain = replace(study, experiment=study.experiment.model_copy(update={"channel": ChannelSettings()}))
    other = method(plain, FALLBACK, prepared.problem, step) if step else None
    return other if other and bears(plain, other) else None


def turns(study: Study, made: Composition) -> int:
    """Rounds between two moments at which methods may change: whole steps, and enough for word to reach everybody."""
    if made.kind == "newton":
        return made.cycle
    return max(study.horizon + 1, SHORTEST) * study.experiment.algorithm.local_steps
