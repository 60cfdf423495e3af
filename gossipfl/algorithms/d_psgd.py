"""Decentralised parallel SGD; must not know any engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from gossipfl.algorithms.algorithm import Account, Grad, Mix, Prox, no_penalty
from gossipfl.mixing import Property
from gossipfl.tensors import Tensor


class Iterate(NamedTuple):
    """Only the parameters: x (n, d)."""

    x: Tensor


@dataclass(frozen=True)
class DPSGD:
    """x' = prox(mix(x - step * grad(x))).

    Every peer takes a gradient step on its own data, then averages with its neighbours. With a constant step and different
    data at each peer, the peers settle near the pooled optimum, not at it. The distance is of order step * heterogeneity /
    gap. This is a property of the method, not an error. Sends d numbers a round.

    Lian et al., "Can decentralized algorithms outperform centralized algorithms?", NeurIPS 2017, in the
    adapt-then-combine order (diffusion) of Chen and Sayed, IEEE Trans. Signal Processing 60(8), 2012.
    """

    step: float
    prox: Prox = no_penalty

    requires: ClassVar[Property] = Property.CONSENSUS
    min_eigenvalue: ClassVar[float] = -1.0
    accounts: ClassVar[Mapping[str, Account]] = {}
    weighted: ClassVar[bool] = False
    arithmetic: ClassVar[bool] = True

    def init(self, x: Tensor) -> Iterate:
        return Iterate(x)

    def round(self, s: Iterate, grad: Grad, mix: Mix) -> Iterate:
        return Iterate(self.prox(mix(s.x - self.step * grad(s.x)), self.step))
