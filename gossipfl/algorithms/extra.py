"""EXTRA, the exact first-order algorithm; must not know any engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gossipfl.algorithms.algorithm import Account, Grad, Mix, Prox, no_penalty
from gossipfl.algorithms.exact_diffusion import Corrected
from gossipfl.mixing import Property
from gossipfl.tensors import Tensor, torch


@dataclass(frozen=True)
class Extra:
    """m = mix(x);  x' = prox(m - step * grad(x) + e/t);  e' = e + (m - x)/2,  starting at e = 0.

    This is x^{k+1} = W x^k - step * grad(x^k) + sum_{t<k} (W - W~) x^t with W~ = (I + W)/2. Converges to the exact pooled
    optimum for steps below (1 + lambda_min(W))/L. With gamma = 1/2 this bound is at least 1/L. Sends d numbers a round.
    t is `local_steps`, the number of rounds from one exchange to the next.

    Shi, Ling, Wu, Yin, "EXTRA", SIAM J. Optimization 25(2), 2015, eq. (2.13); with a proximal step, "A proximal gradient
    algorithm for decentralized composite optimization" (PG-EXTRA), IEEE Trans. Signal Processing 63(22), 2015.
    """

    step: float
    prox: Prox = no_penalty
    local_steps: int = 1

    requires: ClassVar[Property] = Property.EXACT | Property.RELIABLE | Property.SYMMETRIC
    min_eigenvalue: ClassVar[float] = -1.0
    accounts: ClassVar[Mapping[str, Account]] = {"e": Account(block=0, factor=0.5)}
    weighted: ClassVar[bool] = False
    arithmetic: ClassVar[bool] = True

    def init(self, x: Tensor) -> Corrected:
        return Corrected(x, torch.zeros_like(x))

    def round(self, s: Corrected, grad: Grad, mix: Mix) -> Corrected:
        m = mix(s.x)
        return Corrected(
            self.prox(m - self.step * grad(s.x) + s.e / self.local_steps, self.step), s.e + 0.5 * (m - s.x)
        )
