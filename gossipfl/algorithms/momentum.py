"""Momentum, local and quasi-global; must not know any engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from gossipfl.algorithms.algorithm import Account, Algorithm, Grad, Mix, Prox, State, no_penalty
from gossipfl.mixing import Property
from gossipfl.tensors import Tensor, torch


class Moving(NamedTuple):
    """Parameters x (n, d), the state of the inner method, and the momentum m (n, d)."""

    x: Tensor
    inner: State
    m: Tensor


@dataclass(frozen=True)
class Momentum:
    """m' = beta m + grad(x), which the inner method uses as its gradient, starting at m = 0 (heavy ball at each peer).

    An exact method stays exact: when the peers stop moving, the mean of m is the mean gradient divided by 1 - beta. The
    steps are 1 / (1 - beta) times as long.

    Polyak, "Some methods of speeding up the convergence of iteration methods", USSR Comp. Math. 4(5), 1964.
    """

    inner: Algorithm
    beta: float

    @property
    def requires(self) -> Property:
        return self.inner.requires

    @property
    def min_eigenvalue(self) -> float:
        return self.inner.min_eigenvalue

    @property
    def accounts(self) -> Mapping[str, Account]:
        return {f"inner.{name}": account for name, account in self.inner.accounts.items()}

    @property
    def weighted(self) -> bool:
        return self.inner.weighted

    def init(self, x: Tensor) -> Moving:
        return Moving(x, self.inner.init(x), torch.zeros_like(x))

    def round(self, s: Moving, grad: Grad, mix: Mix) -> Moving:
        m = s.m

        def heavy(x: Tensor) -> Tensor:
            nonlocal m
            m = self.beta * s.m + grad(x)
            return m

        inner = self.inner.round(s.inner, heavy, mix)
        return Moving(inner.x, inner, m)


class Paced(NamedTuple):
    """Parameters x and momentum m, each (n, d)."""

    x: Tensor
    m: Tensor


@dataclass(frozen=True)
class QuasiGlobal:
    """x' = prox(mix(x - step (beta m + grad(x))));  m' = beta m + (1 - beta) (x - x') / step,  starting at m = 0.

    The momentum follows the common movement of the peers, not each peer's own gradient. This is better when the peers'
    data differ. It has a bias like D-PSGD. Sends d numbers a round.

    Lin, Karimireddy, Stich, Jaggi, "Quasi-global momentum", ICML 2021, algorithm 1 (QG-DSGDm).
    """

    step: float
    prox: Prox = no_penalty
    beta: float = 0.9

    requires: ClassVar[Property] = Property.CONSENSUS
    min_eigenvalue: ClassVar[float] = -1.0
    accounts: ClassVar[Mapping[str, Account]] = {}
    weighted: ClassVar[bool] = False

    def init(self, x: Tensor) -> Paced:
        return Paced(x, torch.zeros_like(x))

    def round(self, s: Paced, grad: Grad, mix: Mix) -> Paced:
        x = self.prox(mix(s.x - self.step * (self.beta * s.m + grad(s.x))), self.step)
        return Paced(x, self.beta * s.m + (1.0 - self.beta) / self.step * (s.x - x))
