"""Gradient tracking; must not know any engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from gossipfl.algorithms.algorithm import Account, Grad, Mix, Prox, no_penalty, subgradient
from gossipfl.mixing import Property
from gossipfl.tensors import Tensor, torch


class Tracked(NamedTuple):
    """Parameters x, correction c, last gradient g, and u, the part of g from the penalty; each (n, d).

    The tracker is y = g + c.
    """

    x: Tensor
    c: Tensor
    g: Tensor
    u: Tensor


@dataclass(frozen=True)
class GradientTracking:
    """y = g + c;  z, m = mix(x - step * y, y);  c' = c + (m - y);  from c = g = u = 0,
    z += step * u;  x' = prox(z);  u' = (z - x')/step;  g' = grad(x') + u'.

    y follows the average gradient of all peers: y' = mix(y) + grad(x') - grad(x), in the semi-ATC order. Both tensors travel
    in one exchange of 2d numbers. Use raw weights (gamma = 1): lazy weights are far slower on rings. No gradient is known
    before round 0, so that round only mixes. u is the subgradient of the peer's own penalty that its proximal step used. It
    is tracked with the gradient; without it, all peers would need the same penalty.

    Di Lorenzo, Scutari, "NEXT", IEEE Trans. Signal and Information Processing over Networks 2(2), 2016; Nedic, Olshevsky,
    Shi, "Achieving geometric convergence for distributed optimization over time-varying graphs", SIAM J. Optimization
    27(4), 2017.
    """

    step: float
    prox: Prox = no_penalty

    requires: ClassVar[Property] = Property.CONSENSUS | Property.MEAN | Property.SETTLING | Property.RELIABLE
    min_eigenvalue: ClassVar[float] = -1.0
    accounts: ClassVar[Mapping[str, Account]] = {"c": Account(block=1, factor=1.0)}
    weighted: ClassVar[bool] = False

    def init(self, x: Tensor) -> Tracked:
        return Tracked(x, *(torch.zeros_like(x) for _ in range(3)))

    def round(self, s: Tracked, grad: Grad, mix: Mix) -> Tracked:
        y = s.g + s.c
        z, m = mix(s.x - self.step * y, y)
        x, u = subgradient(self.prox, z, s.u, self.step)
        return Tracked(x, s.c + (m - y), grad(x) + u, u)
