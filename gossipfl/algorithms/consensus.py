"""Consensus: only mixing, used by peers to agree before they learn; must not know any engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gossipfl.algorithms.algorithm import Account, Grad, Mix
from gossipfl.algorithms.d_psgd import Iterate
from gossipfl.mixing import Property
from gossipfl.tensors import Tensor


@dataclass(frozen=True)
class Consensus:
    """x' = mix(x): the mean with `Average`, the maximum with `Maximum`, the union with `Union`.

    Xiao, Boyd, "Fast linear iterations for distributed averaging", Systems & Control Letters 53, 2004.
    """

    requires: ClassVar[Property] = Property.CONSENSUS
    min_eigenvalue: ClassVar[float] = float("-inf")
    accounts: ClassVar[Mapping[str, Account]] = {}
    weighted: ClassVar[bool] = False

    def init(self, x: Tensor) -> Iterate:
        return Iterate(x)

    def round(self, s: Iterate, grad: Grad, mix: Mix) -> Iterate:
        return Iterate(mix(s.x))
