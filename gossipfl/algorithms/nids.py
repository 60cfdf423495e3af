"""NIDS: exact diffusion with a proximal step; must not know any engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from gossipfl.algorithms.algorithm import Account, Grad, Mix, Prox
from gossipfl.algorithms.exact_diffusion import ExactDiffusion
from gossipfl.mixing import Property
from gossipfl.tensors import Tensor, torch


class Moved(NamedTuple):
    """Parameters x, correction e, and the movement p of the last proximal step; each (n, d)."""

    x: Tensor
    e: Tensor
    p: Tensor


@dataclass(frozen=True)
class NIDS:
    """phi = x - step * grad(x) + e/t + p;  m = mix(phi);  z = m - p;  x' = prox(z);  p' = x' - z;  e' = e + (m - phi),
    starting at e = p = 0.

    Each peer may have its own penalty: -p/step is the subgradient that its proximal step used, and it is mixed like the
    gradient. (With x' = prox(m) all peers would need the same penalty. They do not have it if a penalty is weighted by a
    peer's number of rows.) Without a penalty p is 0 and this is exact diffusion: same steps, same mixing, d numbers a round.

    Li, Shi, Yan, "A decentralized proximal-gradient method with network independent step-sizes and separated convergence
    rates" (NIDS), IEEE Trans. Signal Processing 67(17), 2019, algorithm 1 with z = x - step * grad(x) + e for its memory.
    """

    step: float
    prox: Prox
    local_steps: int = 1

    requires: ClassVar[Property] = ExactDiffusion.requires
    min_eigenvalue: ClassVar[float] = ExactDiffusion.min_eigenvalue
    accounts: ClassVar[Mapping[str, Account]] = ExactDiffusion.accounts
    weighted: ClassVar[bool] = False

    def init(self, x: Tensor) -> Moved:
        return Moved(x, torch.zeros_like(x), torch.zeros_like(x))

    def round(self, s: Moved, grad: Grad, mix: Mix) -> Moved:
        phi = s.x - self.step * grad(s.x) + s.e / self.local_steps + s.p
        m = mix(phi)
        z = m - s.p
        x = self.prox(z, self.step)
        return Moved(x, s.e + (m - phi), x - z)
