"""OPAPC: an exact method with Nesterov's acceleration; must not know any engine."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from gossipfl.algorithms.algorithm import Account, Grad, Mix
from gossipfl.mixing import Property
from gossipfl.tensors import Tensor, torch


class Ahead(NamedTuple):
    """Parameters x, their slow average f, and the correction e, the sum of what the neighbours pulled; each (n, d)."""

    x: Tensor
    f: Tensor
    e: Tensor


@dataclass(frozen=True)
class OPAPC:
    """p = tau x + (1 - tau) f;  v = x - eta (grad(p) - mu p) + e;  phi = v / (1 + eta mu);  m = mix(phi);
    e' = e + (m - phi);  x' = (v + (m - phi)) / (1 + eta mu);  f' = p + 2 tau / (2 - tau) (x' - x),  from f = x, e = 0.

    With tau = min(1, sqrt(chi step mu) / 2) and eta = step / (4 tau) it reaches the exact pooled optimum in about
    sqrt(chi kappa) + chi rounds, where kappa = 1 / (step mu). Exact diffusion needs kappa + chi rounds. This is the paper's
    APAPC with the gossip matrix I - W, theta = 1 / eta and e = -eta y. With Chebyshev exchanges in each round it is OPAPC. If
    mu or chi is inaccurate, it takes longer to reach the same optimum. Sends d numbers an exchange. Use gamma = 1/2.

    Kovalev, Salim, Richtarik, "Optimal and practical algorithms for smooth and strongly convex decentralized optimization",
    NeurIPS 2020.

    Args:
        step: at most 1/L, where L is the largest smoothness constant of the peers.
        mu: a lower bound on the strong convexity constant of each peer's objective, above 0.
        chi: the largest eigenvalue of I - W (at most 1) divided by its smallest non-zero eigenvalue, or an upper bound on that.
    """

    step: float
    mu: float
    chi: float = 1.0

    requires: ClassVar[Property] = Property.EXACT | Property.RELIABLE | Property.SYMMETRIC
    min_eigenvalue: ClassVar[float] = 0.0
    accounts: ClassVar[Mapping[str, Account]] = {"e": Account(block=0, factor=1.0)}
    weighted: ClassVar[bool] = False

    @property
    def tau(self) -> float:
        """The weight of x in the point p, where gradients are computed."""
        return min(1.0, math.sqrt(self.chi * self.step * self.mu) / 2)

    def init(self, x: Tensor) -> Ahead:
        return Ahead(x, x, torch.zeros_like(x))

    def round(self, s: Ahead, grad: Grad, mix: Mix) -> Ahead:
        tau = self.tau
        eta = self.step / (4 * tau)
        p = torch.lerp(s.f, s.x, tau)
        v = s.x - eta * (grad(p) - self.mu * p) + s.e
        phi = v / (1 + eta * self.mu)
        pulled = mix(phi) - phi
        x = (v + pulled) / (1 + eta * self.mu)
        return Ahead(x, p + 2 * tau / (2 - tau) * (x - s.x), s.e + pulled)
