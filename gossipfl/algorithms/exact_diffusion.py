"""Exact diffusion and D2; must not know any engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from gossipfl.algorithms.algorithm import Account, Grad, Mix
from gossipfl.mixing import Property
from gossipfl.tensors import Tensor, torch


class Corrected(NamedTuple):
    """Parameters x (n, d) and the correction e (n, d): the sum of what the neighbours have pulled so far."""

    x: Tensor
    e: Tensor


@dataclass(frozen=True)
class ExactDiffusion:
    """phi = x - step * grad(x) + e/t;  m = mix(phi);  x' = m;  e' = e + (m - phi),  starting at e = 0.

    Converges linearly to the exact pooled optimum with a constant step up to about 1/L, on any network. Sends d numbers a
    round. Mixes with (I + W)/2 (gamma = 1/2). With gamma = 1 it is D2, which needs every eigenvalue of W above -1/3. If only
    every t-th round has links (`local_steps` t), the sum in e is divided by t and so spread over t rounds.

    Yuan, Ying, Zhao, Sayed, "Exact diffusion for distributed optimization and learning", IEEE Trans. Signal Processing
    67(3), 2019, algorithm 1. Tang et al., "D2: decentralized training over decentralized data", ICML 2018, algorithm 1.
    With a penalty use `NIDS`.
    """

    step: float
    local_steps: int = 1

    requires: ClassVar[Property] = Property.EXACT | Property.RELIABLE | Property.SYMMETRIC
    min_eigenvalue: ClassVar[float] = -1.0 / 3.0
    accounts: ClassVar[Mapping[str, Account]] = {"e": Account(block=0, factor=1.0)}
    weighted: ClassVar[bool] = False
    arithmetic: ClassVar[bool] = True

    def init(self, x: Tensor) -> Corrected:
        return Corrected(x, torch.zeros_like(x))

    def round(self, s: Corrected, grad: Grad, mix: Mix) -> Corrected:
        phi = s.x - self.step * grad(s.x) + s.e / self.local_steps
        m = mix(phi)
        return Corrected(m, s.e + (m - phi))
