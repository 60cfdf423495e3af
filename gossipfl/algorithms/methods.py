"""The table of methods: what each kind of algorithm is made of, needs and can; must not know experiments or engines.

No other file asks for a method by its name: it asks the row for a capability.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

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
from gossipfl.algorithms.sums import (
    LBFGS,
    PLAIN,
    Carrier,
    Clipped,
    ClippedDescent,
    ClippedNewton,
    DampedNewton,
    Objective,
    SufficientStatistics,
    Summed,
    SumMethod,
    Units,
)
from gossipfl.mixing import Aggregator, Average, PullAndPush, Push
from gossipfl.models import Loss
from gossipfl.models.losses import Huber, Logistic, Squared
from gossipfl.models.shard import Shard
from gossipfl.secrecy.promise import Query
from gossipfl.tensors import Tensor


def no_hessian(x: Tensor) -> Tensor:
    """The Hessian of a problem that has no second derivative. Raises NotImplementedError."""
    raise NotImplementedError("this problem has no Hessian")


class Sums(NamedTuple):
    """What a sum method is made of: public numbers, and the rows of the peers held here."""

    objective: Objective
    loss: Loss
    tolerance: float
    rows: Sequence[Shard]
    peers: int
    exchanges: int  # of a sum
    shift: Tensor  # (d,): the model is what the method finds, plus this
    carrier: Carrier = PLAIN
    allowance: float = math.inf  # numbers whose totals may become known
    unit: float = 1.0  # of the targets
    fixed: Clipped = Clipped()  # for a private method

    def in_units(self, size: float) -> "Sums":
        """The same for targets in units of a power of two near `size`, so that sums of fixed point keep their digits."""
        unit = 2.0 ** math.floor(math.log2(size))
        objective = self.objective
        units = objective.units._replace(spread=objective.units.spread / unit)
        return self._replace(
            objective=replace(objective, units=units, l1=objective.l1 / unit),
            loss=replace(self.loss, delta=self.loss.delta / unit)
            if isinstance(self.loss, Huber)
            else self.loss,
            rows=[rows.in_units(unit) for rows in self.rows],
            unit=unit,
        )

    def of(self, method: SumMethod) -> Summed:
        return Summed(
            method, self.rows, self.peers, self.exchanges, self.shift, self.carrier, self.allowance, self.unit
        )


def no_sums(loss: Loss, peers: int = 1, exchanges: int = 1) -> Sums:
    """A method over no rows, for checks and tables."""
    nothing: Any = ()  # no numbers, in place of tensors
    return Sums(Objective(nothing, Units(nothing, nothing)), loss, 0.0, (), peers, exchanges, nothing)


class Ingredients(NamedTuple):
    """What a method may be made of."""

    step: float
    prox: Prox = no_penalty
    local_steps: int = 1
    beta: float = 0.0  # momentum
    hessian: Hessian = no_hessian
    cycle: int = 1  # exchanges of an exact average
    mu: float = 1.0  # a lower bound of the objective's curvature
    chi: float = 1.0  # the condition number of I - W
    sums: Sums | None = None  # for a method that takes sums along a tree
    options: Mapping[str, Any] = MappingProxyType({})  # for a method of the user's own


class Method(NamedTuple):
    """One kind of algorithm: how it is made, what it needs of an experiment, and what it can do."""

    summary: str
    make: Callable[[Ingredients], Algorithm] | None  # None: it has no rounds
    exact: bool = False  # it ends at the pooled optimum
    sends: str = "d"  # numbers along each link in a round
    aggregator: Aggregator = Average()
    gamma: float = 1.0
    gamma_changing: float | None = None  # gamma where links change from round to round, if it differs
    # What step = "auto" is: stride/L, 1, or 1/(l2 t).
    step: Literal["smoothness", "whole", "pegasos"] = "smoothness"
    stride: float = 1.0  # the safe step in units of 1/L, where the links allow it
    tracks: bool = False  # it tracks gradients between exchanges, so that local steps divide the safe step
    momentum: float = 0.0  # unless the experiment says otherwise
    penalty: bool = True  # it takes an l1 penalty
    with_penalty: str = ""  # the kind that takes one, where this kind does not
    feedback: bool = False  # it is made for compressed messages with error feedback
    with_feedback: str = ""  # what this kind is called over such messages
    # A step needs an exact average or sum: whole cycles of exchanges along links that do not fail.
    averages: bool = False
    sums: bool = False  # it can only take sums along a tree
    curvature: bool = False  # it needs the second derivative of the loss
    mu: bool = False  # it needs a lower bound of the objective's curvature
    spectrum: bool = False  # it needs the eigenvalues of one W
    talks: bool = True  # its peers exchange messages
    private: Callable[[int, int, float], Query] | None = None
    """What it sums is clipped, so that noise hides each row: what is summed for so many columns, margins, and a clip."""
    deviations: bool = False  # it needs rows in units of their deviations
    epsilon: float = 0.0  # below this its noise leaves nothing to learn from
    models: tuple[str, ...] = ()  # the kinds of model that it is for; empty: any that has what it needs
    gathers: bool = False  # it learns in one place, from the rows of all peers

    @property
    def rounds(self) -> bool:
        """Whether peers go on in rounds. Gossip learning does not: it has no common clock, average or end."""
        return self.make is not None


def made(kind: str, of: Ingredients) -> Algorithm:
    """The algorithm of that kind; `beta` above 0 gives it momentum."""
    make = METHODS[kind].make
    if make is None:
        raise NotImplementedError(f"{kind} has no rounds")
    algorithm = make(of)
    if of.beta and not isinstance(algorithm, QuasiGlobal):
        return Momentum(algorithm, of.beta)
    return algorithm


def private(model: str) -> str:
    """The kind with noise for a kind of model; "" if there is none."""
    return next((kind for kind, method in METHODS.items() if method.private and model in method.models), "")


def robust(penalty: bool) -> str:
    """The kind that takes over from a method that cannot go on without a neighbour."""
    return "nids" if penalty else "exact-diffusion"


def _lbfgs(of: Ingredients) -> Algorithm:
    sums = of.sums or no_sums(Squared())
    return sums.of(LBFGS(sums.objective, sums.tolerance))


def _clipped(of: Ingredients) -> Algorithm:
    sums = of.sums or no_sums(Squared())
    return sums.of(ClippedDescent(sums.objective, sums.loss, sums.fixed))


def _clipped_newton(of: Ingredients) -> Algorithm:
    sums = of.sums or no_sums(Logistic())
    return sums.of(ClippedNewton(sums.objective, sums.loss, sums.fixed))


def _sufficient(of: Ingredients) -> Algorithm:
    sums = of.sums or no_sums(Squared())
    return sums.of(SufficientStatistics(sums.objective, sums.fixed))


ALGORITHMS: dict[str, Method] = {
    "newton": Method(
        "exact in a few dozen exchanges, for up to some thousand parameters",
        lambda i: i.sums.of(DampedNewton(*i.sums[:3])) if i.sums else Newton(i.cycle, i.hessian),
        exact=True, sends="2d + d(d + 1)/2", step="whole", penalty=False, with_penalty="nids", averages=True, curvature=True,
    ),
    "exact-diffusion": Method(
        "exact, step 1/L on any network",
        lambda i: ExactDiffusion(i.step, i.local_steps),
        exact=True, gamma=0.5, penalty=False, with_penalty="nids",
    ),
    "nids": Method(
        "exact diffusion with an l1 penalty",
        lambda i: NIDS(i.step, i.prox, i.local_steps),
        exact=True, gamma=0.5,
    ),
    "d2": Method(
        "exact diffusion with raw weights; their eigenvalues must exceed -1/3",
        lambda i: ExactDiffusion(i.step, i.local_steps),
        exact=True, penalty=False, with_penalty="nids",
    ),
    "extra": Method(
        "exact; like exact diffusion",
        lambda i: Extra(i.step, i.prox, i.local_steps),
        exact=True, gamma=0.5, gamma_changing=1.0,
    ),
    "opapc": Method(
        "exact, accelerated: for badly conditioned problems with l2",
        lambda i: OPAPC(i.step, i.mu, i.chi),
        exact=True, gamma=0.5, penalty=False, with_penalty="nids", mu=True, spectrum=True,
    ),
    "gradient-tracking": Method(
        "exact, also on changing links",
        lambda i: GradientTracking(i.step, i.prox),
        exact=True, sends="2d", tracks=True, with_feedback="beer",
    ),
    "push-pull": Method(
        "exact over directed links that lose messages",
        lambda i: PushPull(i.step, i.prox),
        exact=True, sends="2d", aggregator=PullAndPush(), stride=0.3, tracks=True,
    ),
    "push-diging": Method(
        "exact over directed links",
        lambda i: PushSum(GradientTracking(i.step)),
        exact=True, sends="2d + 1", aggregator=Push(), stride=0.3, tracks=True, penalty=False, with_penalty="push-pull",
    ),
    "d-psgd": Method(
        "gradient step, then average; biased where data differ",
        lambda i: DPSGD(i.step, i.prox),
        with_feedback="choco-sgd",
    ),
    "qg-dsgdm": Method(
        "D-PSGD whose momentum follows the network",
        lambda i: QuasiGlobal(i.step, i.prox, i.beta),
        momentum=0.9,
    ),
    "sgp": Method(
        "D-PSGD over directed links",
        lambda i: PushSum(DPSGD(i.step)),
        sends="d + 1", aggregator=Push(), penalty=False, with_penalty="push-pull",
    ),
}  # fmt: skip

METHODS: dict[str, Method] = ALGORITHMS | {
    "beer": ALGORITHMS["gradient-tracking"]._replace(
        summary="gradient tracking over compressed messages with error feedback; exact",
        sends="2d, compressed", feedback=True, with_feedback="",
    ),
    "choco-sgd": ALGORITHMS["d-psgd"]._replace(
        summary="D-PSGD over compressed messages with error feedback; biased as D-PSGD is",
        sends="d, compressed", feedback=True, with_feedback="",
    ),
    "lbfgs": Method(
        "exact by sums of gradients along a tree, for thousands of parameters",
        _lbfgs, exact=True, step="whole", averages=True, sums=True,
    ),
    "dp-gd": Method(
        "differentially private: gradient descent on noised sums of clipped gradients",
        _clipped, step="whole", averages=True, sums=True, penalty=False, private=ClippedDescent.asks,
        models=("logistic", "softmax", "squared-svm", "huber"),
    ),
    "adassp": Method(
        "differentially private ridge regression, from one noised sum of products",
        _sufficient, sends="d(d + 3)/2", step="whole", averages=True, sums=True, penalty=False,
        private=SufficientStatistics.asks, deviations=True, models=("linear",),
    ),
    "dp-newton": Method(
        "differentially private logistic regression, from three noised sums, where rows are many",
        _clipped_newton, sends="d(d + 3)/2", step="whole", averages=True, sums=True, penalty=False,
        private=ClippedNewton.asks, deviations=True, epsilon=2.0, models=("logistic",),
    ),
    "gossip-learning": Method(
        "models that walk, merge and learn, asynchronously: no peer waits for another",
        None, step="pegasos", penalty=False, with_penalty="nids",
    ),
    "local": Method(
        "a baseline: no peer ever talks, and each keeps a model of its own",
        lambda i: DPSGD(i.step, i.prox), sends="0", talks=False,
    ),
    "pooled": Method(
        "a baseline: one place holds all rows and learns alone",
        lambda i: DPSGD(i.step, i.prox), sends="0", exact=True, talks=False, gathers=True,
    ),
}  # fmt: skip
"""Every kind of algorithm that an experiment may name; "auto" stands for one of them."""
