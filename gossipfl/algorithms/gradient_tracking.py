"""Gradient tracking; must not know any engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from gossipfl.algorithms.algorithm import Account, Grad, Mix, Prox, no_penalty
from gossipfl.mixing import Property


class Tracked(NamedTuple):
    """Parameters x, correction c and last gradient g, each (n, d). The tracker is y = g + c."""

    x: Tensor
    c: Tensor
    g: Tensor


@dataclass(frozen=True)
class GradientTracking:
    """y = g + c;  x', m = mix(x - step * y, y);  x' = prox(x');  c' = c + (m - y);  g' = grad(x'),  from c = g = 0.

    y follows the average gradient of all peers: this is y' = mix(y) + grad(x') - grad(x), in the semi-ATC order. Both tensors
    travel in one exchange of 2d numbers. Mix it with raw weights: lazy ones are far slower on rings. As nothing is known
    before round 0, that round only mixes.

    Di Lorenzo, Scutari, "NEXT", IEEE Trans. Signal and Information Processing over Networks 2(2), 2016; Nedic, Olshevsky,
    Shi, "Achieving geometric convergence for distributed optimization over time-varying graphs", SIAM J. Optimization
    27(4), 2017.
    """

    step: float
    prox: Prox = no_penalty

    requires: ClassVar[Property] = Property.CONSENSUS | Property.MEAN | Property.SETTLING | Property.RELIABLE
    above: ClassVar[float] = -1.0
    accounts: ClassVar[Mapping[str, Account]] = {"c": Account(lane=1, factor=1.0)}

    def init(self, x: Tensor) -> Tracked:
        return Tracked(x, torch.zeros_like(x), torch.zeros_like(x))

    def round(self, s: Tracked, grad: Grad, mix: Mix) -> Tracked:
        y = s.g + s.c
        x, m = mix(s.x - self.step * y, y)
        x = self.prox(x, self.step)
        return Tracked(x, s.c + (m - y), grad(x))
