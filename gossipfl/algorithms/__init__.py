"""The methods of decentralised optimisation, each written once for all engines; must not know any engine."""

from gossipfl.algorithms.algorithm import (
    Account,
    Algorithm,
    Grad,
    Mix,
    Prox,
    Record,
    State,
    arithmetic,
    leaves,
    models,
    no_penalty,
    rebuilt,
)
from gossipfl.algorithms.consensus import Consensus
from gossipfl.algorithms.d_psgd import DPSGD, Iterate
from gossipfl.algorithms.exact_diffusion import Corrected, ExactDiffusion
from gossipfl.algorithms.extra import Extra
from gossipfl.algorithms.fit import Misfit, NetworkTraits, misfit, takes_back
from gossipfl.algorithms.gradient_tracking import GradientTracking, Tracked
from gossipfl.algorithms.methods import (
    ALGORITHMS,
    METHODS,
    Ingredients,
    Method,
    Sums,
    made,
    no_hessian,
    no_sums,
    private,
    robust,
)
from gossipfl.algorithms.momentum import Momentum, QuasiGlobal
from gossipfl.algorithms.newton import Newton
from gossipfl.algorithms.opapc import OPAPC
from gossipfl.algorithms.push_pull import PushPull
from gossipfl.algorithms.push_sum import PushSum
from gossipfl.algorithms.stability import Round, halved, longest_step
from gossipfl.algorithms.sums import Objective, Summed, Summing, Units

__all__ = [
    "ALGORITHMS",
    "DPSGD",
    "METHODS",
    "OPAPC",
    "Account",
    "Algorithm",
    "Consensus",
    "Corrected",
    "ExactDiffusion",
    "Extra",
    "Grad",
    "GradientTracking",
    "Ingredients",
    "Iterate",
    "Method",
    "Misfit",
    "Mix",
    "Momentum",
    "NetworkTraits",
    "Newton",
    "Objective",
    "Prox",
    "PushPull",
    "PushSum",
    "QuasiGlobal",
    "Record",
    "Round",
    "State",
    "Summed",
    "Summing",
    "Sums",
    "Tracked",
    "Units",
    "arithmetic",
    "halved",
    "leaves",
    "longest_step",
    "made",
    "misfit",
    "models",
    "no_hessian",
    "no_penalty",
    "no_sums",
    "private",
    "rebuilt",
    "robust",
    "takes_back",
]
