"""The interface of an algorithm; must not know any engine.

An algorithm is a frozen dataclass of hyper-parameters with two pure functions. Axis 0 of every tensor is the peers held
here. A round never reduces over it: data passes between rows only through `mix`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self, TypeVar, overload

from gossipfl.mixing import Property
from gossipfl.models import Grad
from gossipfl.tensors import Tensor, torch

Prox = Callable[[Tensor, float], Tensor]  # x (n, d), step -> proximal map of step * penalty at x

__all__ = [
    "Account",
    "Algorithm",
    "Grad",
    "Mix",
    "Prox",
    "Record",
    "State",
    "arithmetic",
    "leaves",
    "models",
    "no_penalty",
    "rebuilt",
    "subgradient",
]


class Record(Protocol):
    """A NamedTuple whose fields are tensors, or again such NamedTuples."""

    def _asdict(self) -> dict[str, Any]: ...
    def _replace(self, *_: Any, **fields: Any) -> Self: ...


class State(Record, Protocol):
    """The state of an algorithm: a `Record` of tensors with one row a peer."""

    @property
    def x(self) -> Tensor:
        """The parameters, (n, d)."""


class Mix(Protocol):
    """The exchange of a round: one or more (n, d) tensors in, as many out. They travel together."""

    @overload
    def __call__(self, x: Tensor, /) -> Tensor: ...
    @overload
    def __call__(self, x: Tensor, y: Tensor, /, *more: Tensor) -> Sequence[Tensor]: ...


class Account(NamedTuple):
    """A field of the state that sums what was heard: field_new - field_old == factor * (mixed - sent) of one block.

    `block` is the index of a tensor given to `mix`, from 0. W is symmetric, so one end of an edge adds to such a field what
    the other end subtracts. The field is a sum with one account for each edge, and the two ends can close their edge
    without other peers.
    """

    block: int
    factor: float


class Algorithm(Protocol):
    """One method of decentralised optimisation.

    It may have `arithmetic = True`: its state has no records in it, and a round mixes one tensor and, without a penalty, does
    nothing with rows but + - * /. A live peer then keeps its row in numpy, which is faster.
    """

    @property
    def requires(self) -> Property:
        """What the exchange must preserve for the method to be correct."""

    @property
    def min_eigenvalue(self) -> float:
        """Every eigenvalue of the mixing matrix must be above this."""

    @property
    def accounts(self) -> Mapping[str, Account]:
        """The fields of the state that sum what was heard, by name. "inner.e" is field e of the field `inner`."""

    @property
    def weighted(self) -> bool:
        """Whether the first tensor of a message is a model times a weight, and its last number is that weight."""

    def init(self, x: Tensor) -> State:
        """The state before round 0, from x (n, d)."""

    def round(self, s: Any, grad: Grad, mix: Mix) -> State:
        """The next state, from one that this algorithm made. Calls `mix` exactly once."""


R = TypeVar("R", bound=Record)


def leaves(record: Record) -> dict[str, Tensor]:
    """A record's tensors by name. Field e of the field `inner` is "inner.e"."""
    found: dict[str, Tensor] = {}
    for field, value in record._asdict().items():
        if isinstance(value, torch.Tensor):
            found[field] = value
        else:
            found |= {f"{field}.{name}": tensor for name, tensor in leaves(value).items()}
    return found


def rebuilt(tensors: Mapping[str, Tensor], like: R, path: str = "") -> R:
    """The record of the kind of `like` with these tensors: rebuilt(leaves(r), r) equals r."""
    fields = {}
    for field, value in like._asdict().items():
        name = path + field
        fields[field] = (
            tensors[name] if isinstance(value, torch.Tensor) else rebuilt(tensors, value, f"{name}.")
        )
    return like._replace(**fields)


def models(algorithm: Algorithm, messages: Tensor, width: int) -> Tensor:
    """The models (k, width) that messages (k, D) of this algorithm stand for: their first tensor, without its weight."""
    first = messages[:, :width]
    return first / messages[:, -1:] if algorithm.weighted else first


def arithmetic(algorithm: Algorithm) -> bool:
    """Whether rows may be numpy arrays in a round. A class does not inherit that: it may have a round of its own."""
    unpenalised = getattr(algorithm, "prox", no_penalty) is no_penalty
    return unpenalised and vars(type(algorithm)).get("arithmetic", False)


def no_penalty(x: Tensor, step: float) -> Tensor:  # noqa: ARG001 -- the proximal map of nothing
    """The proximal map of the zero function: x itself."""
    return x


def subgradient(prox: Prox, z: Tensor, u: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """x = prox(z + step u), and the subgradient of the penalty at x that this step used.

    u is the subgradient of the round before. The caller has added u to the gradient, so z already contains -step u.
    """
    if prox is no_penalty:
        return z, u
    z = z + step * u
    x = prox(z, step)
    return x, (z - x) / step
