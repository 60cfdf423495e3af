"""What an algorithm is; must not know any engine.

An algorithm is a frozen dataclass of hyper-parameters with two pure functions. Axis 0 of every tensor is "the peers held
here", and a round never reduces over it: `mix` is the only arrow that crosses rows.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor

from gossipfl.mixing import Property
from gossipfl.models import Grad

Mix = Callable[..., Any]  # one or more (n, d) tensors in, as many out: ONE exchange a round
Prox = Callable[[Tensor, float], Tensor]  # x (n, d), step -> proximal map of step * penalty at x
State = Any  # a NamedTuple of (n, d) tensors, x first


__all__ = ["Account", "Algorithm", "Grad", "Mix", "Prox", "State", "no_penalty"]


class Account(NamedTuple):
    """A field of the state that sums what was heard: field_new - field_old == factor * (mixed - sent) of that lane.

    `lane` counts the tensors given to `mix` from 0. Because W is symmetric, what one end of an edge adds to such a field
    the other end subtracts: the field is a sum of one account an edge, and an edge can be closed by both ends alone.
    """

    lane: int
    factor: float


class Algorithm(Protocol):
    """One method of decentralised optimisation."""

    requires: ClassVar[Property]  # what the exchange must preserve for the method to be right
    above: ClassVar[float]  # every eigenvalue of the mixing matrix must lie above this
    accounts: ClassVar[Mapping[str, Account]]

    def init(self, x: Tensor) -> State:
        """The state before round 0, from x (n, d)."""

    def round(self, s: State, grad: Grad, mix: Mix) -> State:
        """The next state. Calls `mix` exactly once."""


def no_penalty(x: Tensor, step: float) -> Tensor:  # noqa: ARG001 -- the proximal map of nothing
    """The proximal map of the zero function: x itself."""
    return x
