"""What an algorithm is; must not know any engine.

An algorithm is a frozen dataclass of hyper-parameters with two pure functions. Axis 0 of every tensor is "the peers held
here", and a round never reduces over it: `mix` is the only arrow that crosses rows.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from gossipfl.mixing import Property
from gossipfl.models import Grad

Mix = Callable[..., Any]  # one or more (n, d) tensors in, as many out: ONE exchange a round
Prox = Callable[[Tensor, float], Tensor]  # x (n, d), step -> proximal map of step * penalty at x
State = Any  # a NamedTuple of row tensors, or of such NamedTuples, x first


__all__ = [
    "Account",
    "Algorithm",
    "Grad",
    "Mix",
    "Prox",
    "State",
    "leaves",
    "no_penalty",
    "rebuilt",
    "subgradient",
]


class Account(NamedTuple):
    """A field of the state that sums what was heard: field_new - field_old == factor * (mixed - sent) of that block.

    `block` counts the tensors given to `mix` from 0. Because W is symmetric, what one end of an edge adds to such a field
    the other end subtracts: the field is a sum of one account an edge, and an edge can be closed by both ends alone.
    """

    block: int
    factor: float


class Algorithm(Protocol):
    """One method of decentralised optimisation."""

    @property
    def requires(self) -> Property:
        """What the exchange must preserve for the method to be right."""

    @property
    def min_eigenvalue(self) -> float:
        """Every eigenvalue of the mixing matrix must lie above this."""

    @property
    def accounts(self) -> Mapping[str, Account]:
        """Which fields of the state sum what was heard; "inner.e" is field e of the field `inner`."""

    def init(self, x: Tensor) -> State:
        """The state before round 0, from x (n, d)."""

    def round(self, s: State, grad: Grad, mix: Mix) -> State:
        """The next state. Calls `mix` exactly once."""


def leaves(state: State, name: str = "") -> dict[str, Tensor]:
    """A state's tensors by their names, those of nested states as "inner.e"."""
    if isinstance(state, Tensor):
        return {name: state}
    return {
        path: tensor
        for field, value in state._asdict().items()
        for path, tensor in leaves(value, f"{name}.{field}" if name else field).items()
    }


def rebuilt(tensors: Mapping[str, Tensor], like: State, name: str = "") -> State:
    """The state of these tensors, of the kind of `like`: rebuilt(leaves(s), s) is s."""
    if isinstance(like, Tensor):
        return tensors[name]
    values = {
        field: rebuilt(tensors, value, f"{name}.{field}" if name else field)
        for field, value in like._asdict().items()
    }
    return type(like)(**values)


def no_penalty(x: Tensor, step: float) -> Tensor:  # noqa: ARG001 -- the proximal map of nothing
    """The proximal map of the zero function: x itself."""
    return x


def subgradient(prox: Prox, z: Tensor, u: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """x = prox(z + step u), and the subgradient of the penalty at x that this has taken; u is that of the round before.

    z is where u has been descended already, by whoever added it to the gradient.
    """
    if prox is no_penalty:
        return z, u
    z = z + step * u
    x = prox(z, step)
    return x, (z - x) / step
