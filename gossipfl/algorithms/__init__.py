"""The methods of decentralised optimisation, each written once; must not know any engine."""

from collections.abc import Callable
from typing import NamedTuple

from gossipfl.algorithms.algorithm import Account, Algorithm, Grad, Mix, Prox, State, no_penalty
from gossipfl.algorithms.consensus import Consensus
from gossipfl.algorithms.d_psgd import DPSGD, Iterate
from gossipfl.algorithms.exact_diffusion import Corrected, ExactDiffusion
from gossipfl.algorithms.extra import Extra
from gossipfl.algorithms.fit import check
from gossipfl.algorithms.gradient_tracking import GradientTracking, Tracked

__all__ = [
    "ALGORITHMS",
    "DPSGD",
    "Account",
    "Algorithm",
    "Consensus",
    "Corrected",
    "ExactDiffusion",
    "Extra",
    "Grad",
    "GradientTracking",
    "Iterate",
    "Method",
    "Mix",
    "Prox",
    "State",
    "Tracked",
    "check",
    "no_penalty",
]


class Method(NamedTuple):
    """An algorithm under the name that an experiment calls it by, with the laziness that it is to be mixed with."""

    make: Callable[[float, Prox], Algorithm]  # step, proximal map
    gamma: float
    summary: str


ALGORITHMS: dict[str, Method] = {
    "d-psgd": Method(DPSGD, 1.0, "gradient step, then average; biased where peers' data differ"),
    "exact-diffusion": Method(ExactDiffusion, 0.5, "exact, one exchange a round, step 1/L on any network"),
    "d2": Method(ExactDiffusion, 1.0, "exact diffusion with raw weights; their eigenvalues must exceed -1/3"),
    "extra": Method(Extra, 0.5, "exact, one exchange a round"),
    "gradient-tracking": Method(GradientTracking, 1.0, "exact, twice the bytes; right on changing networks"),
}
