"""Push-pull tracking, exact on directed edges that lose messages; must not know any engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from gossipfl.algorithms.algorithm import Account, Grad, Mix, Prox, no_penalty, subgradient
from gossipfl.mixing import Property
from gossipfl.tensors import Tensor, torch


class Totalled(NamedTuple):
    """Parameters x, tracker y, last gradient g, its part u from the penalty, and two totals of y; each (n, d).

    `sent` is the total of y that was sent; `heard` is the total that was heard and kept.
    """

    x: Tensor
    y: Tensor
    g: Tensor
    u: Tensor
    sent: Tensor
    heard: Tensor


@dataclass(frozen=True)
class PushPull:
    """S' = S + y;  x', T' = mix(x - step * y, S');  y' = T' - T + grad(x') - grad(x),  from y = S = T = 0.
    With a penalty as in `GradientTracking`.

    x is pulled: a plain average over the peers that are heard. y is pushed: each peer gives shares away. A peer sends the
    running total S of y, and a receiver uses the growth of that total, so a lost message is only late. The peers need no
    weights, need not notice losses, and still reach the pooled optimum. The shares must not change between rounds, because
    the totals depend on them. Sends 2d numbers a round.

    Pu, Shi, Xu, Nedic, "Push-pull gradient methods for distributed optimization in networks", IEEE Trans. Automatic Control
    66(1), 2021; running totals as in Tian, Sun, Scutari, "Achieving linear convergence in distributed asynchronous
    multiagent optimization" (ASY-SONATA), same journal 65(12), 2020.
    """

    step: float
    prox: Prox = no_penalty

    requires: ClassVar[Property] = (
        Property.CONSENSUS | Property.MEAN | Property.LINEAR | Property.SETTLING | Property.FIXED
    )
    min_eigenvalue: ClassVar[float] = float("-inf")
    accounts: ClassVar[Mapping[str, Account]] = {}
    weighted: ClassVar[bool] = False

    def init(self, x: Tensor) -> Totalled:
        return Totalled(x, *(torch.zeros_like(x) for _ in range(5)))

    def round(self, s: Totalled, grad: Grad, mix: Mix) -> Totalled:
        sent = s.sent + s.y
        z, heard = mix(s.x - self.step * s.y, sent)
        x, u = subgradient(self.prox, z, s.u, self.step)
        g = grad(x) + u
        return Totalled(x, heard - s.heard + g - s.g, g, u, sent, heard)
