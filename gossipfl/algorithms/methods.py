"""The methods under the names that an experiment calls them by; must not know experiments or engines."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from gossipfl.algorithms.algorithm import Algorithm, Prox, no_penalty
from gossipfl.algorithms.d_psgd import DPSGD
from gossipfl.algorithms.exact_diffusion import ExactDiffusion
from gossipfl.algorithms.extra import Extra
from gossipfl.algorithms.gradient_tracking import GradientTracking
from gossipfl.algorithms.momentum import Momentum, QuasiGlobal
from gossipfl.algorithms.newton import Hessian, Newton
from gossipfl.algorithms.nids import NIDS
from gossipfl.algorithms.opapc import OPAPC
from gossipfl.algorithms.push_pull import PushPull
from gossipfl.algorithms.push_sum import PushSum
from gossipfl.mixing import Aggregator, Average, PullAndPush, Push


def no_hessian(x: Tensor) -> Tensor:
    """Stands where a problem has no second derivative."""
    raise NotImplementedError("this problem has no Hessian")


class Ingredients(NamedTuple):
    """What a method may be made of."""

    step: float
    prox: Prox = no_penalty
    local_steps: int = 1
    beta: float = 0.0  # momentum
    hessian: Hessian = no_hessian
    cycle: int = 1  # exchanges of an exact average
    mu: float = 1.0  # how curved the objective is at least
    chi: float = 1.0  # the condition number of I - W


class Method(NamedTuple):
    """An algorithm with the exchange that it is to be mixed with."""

    make: Callable[[Ingredients], Algorithm]
    summary: str
    exact: bool
    gamma: float = 1.0
    gamma_changing: float | None = None  # gamma where links change from round to round, if it is another one
    aggregator: Aggregator = Average()
    penalty: bool = True  # whether it takes an l1 penalty
    least: str = "d"  # numbers sent along each link in a round
    stride: float = 1.0  # the step that is safe, in units of 1/L


def made(name: str, of: Ingredients) -> Algorithm:
    """The algorithm of that name; `beta` above 0 gives it momentum."""
    algorithm = ALGORITHMS[name].make(of)
    if of.beta and not isinstance(algorithm, QuasiGlobal):
        return Momentum(algorithm, of.beta)
    return algorithm


def diffusion(of: Ingredients) -> Algorithm:
    """Exact diffusion, with a proximal step where there is a penalty."""
    if of.prox is no_penalty:
        return ExactDiffusion(of.step, of.local_steps)
    return NIDS(of.step, of.prox, of.local_steps)


ALGORITHMS: dict[str, Method] = {
    "newton": Method(
        lambda i: Newton(i.cycle, i.hessian), "exact in a few dozen exchanges, for up to some thousand parameters",
        True, penalty=False, least="2d + d(d + 1)/2",
    ),
    "exact-diffusion": Method(
        diffusion, "exact, step 1/L on any network; with l1, NIDS", True, gamma=0.5
    ),
    "d2": Method(
        diffusion,
        "exact diffusion with raw weights; their eigenvalues must exceed -1/3", True,
    ),
    "extra": Method(
        lambda i: Extra(i.step, i.prox, i.local_steps), "exact; like exact diffusion", True, gamma=0.5, gamma_changing=1.0
    ),
    "opapc": Method(
        lambda i: OPAPC(i.step, i.mu, i.chi), "exact, accelerated: for badly conditioned problems with l2", True,
        gamma=0.5, penalty=False,
    ),
    "gradient-tracking": Method(
        lambda i: GradientTracking(i.step, i.prox), "exact, also on changing links and (BEER) compressed", True,
        least="2d",
    ),
    "push-pull": Method(
        lambda i: PushPull(i.step, i.prox), "exact over directed links that lose messages", True,
        aggregator=PullAndPush(), least="2d", stride=0.3,
    ),
    "push-diging": Method(
        lambda i: PushSum(GradientTracking(i.step)), "exact over directed links", True,
        aggregator=Push(), penalty=False, least="2d + 1", stride=0.3,
    ),
    "d-psgd": Method(
        lambda i: DPSGD(i.step, i.prox), "gradient step, then average; biased where data differ; compressed: CHOCO-SGD",
        False,
    ),
    "qg-dsgdm": Method(
        lambda i: QuasiGlobal(i.step, i.prox, i.beta), "D-PSGD whose momentum follows the network", False
    ),
    "sgp": Method(
        lambda i: PushSum(DPSGD(i.step)), "D-PSGD over directed links", False,
        aggregator=Push(), penalty=False, least="d + 1",
    ),
}  # fmt: skip
