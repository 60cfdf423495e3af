"""The method that takes over where the chosen one does not bear faults; must not know engines."""

from gossipfl.experiment.method import Method, bears, method
from gossipfl.experiment.prepare import FALLBACK, Prepared
from gossipfl.experiment.study import Study


def beside(study: Study, prepared: Prepared) -> Method | None:
    """Exact diffusion beside Newton's, its step agreed on while that was prepared; None where there is none that bears it."""
    step = prepared.facts.fallback
    other = method(study, FALLBACK, prepared.problem, step) if step else None
    return other if other and bears(study, other) else None
