"""Push-sum, which lets other methods learn over directed edges; must not know any engine or method."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from gossipfl.algorithms.algorithm import Account, Algorithm, Grad, Mix, State
from gossipfl.mixing import Property
from gossipfl.tensors import Tensor


class Pushed(NamedTuple):
    """Parameters x = u / w (n, d), the state of the inner method, which moves u, and the weights w (n, 1)."""

    x: Tensor
    inner: State
    w: Tensor


@dataclass(frozen=True)
class PushSum:
    """u', w' = mix(u, w), where each peer gives shares away;  gradients are computed at x' = u' / w';  starting at w = 1.

    A peer gives each receiver an equal share of what it has, so it needs to know only its own out-degree. The sums over all
    peers are conserved, and the division by w corrects for uneven shares. With D-PSGD inside it is SGP, with gradient
    tracking inside it is Push-DIGing. Sends one number more than the inner method.

    Kempe, Dobra, Gehrke, "Gossip-based computation of aggregate information", FOCS 2003; Assran, Loizou, Ballas, Rabbat,
    "Stochastic gradient push", ICML 2019; Nedic, Olshevsky, Shi, SIAM J. Optimization 27(4), 2017, algorithm 2.
    """

    inner: Algorithm

    requires: ClassVar[Property] = Property.MEAN | Property.LINEAR | Property.SETTLING | Property.RELIABLE
    min_eigenvalue: ClassVar[float] = float("-inf")
    accounts: ClassVar[Mapping[str, Account]] = {}
    weighted: ClassVar[bool] = True

    def init(self, x: Tensor) -> Pushed:
        return Pushed(x, self.inner.init(x), x.new_ones(len(x), 1))

    def round(self, s: Pushed, grad: Grad, mix: Mix) -> Pushed:
        w = s.w

        def push(first: Tensor, *others: Tensor) -> Any:
            nonlocal w
            *mixed, w = mix(first, *others, w)
            return mixed if others else mixed[0]

        inner = self.inner.round(s.inner, lambda u: grad(u / w), push)
        return Pushed(inner.x / w, inner, w)
