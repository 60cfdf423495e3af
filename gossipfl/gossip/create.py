"""How a peer uses a model that arrives; must not know how it travelled, nor what the rule learns.

Ormándi, Hegedűs, Jelasity, "Gossip learning with linear models on fully distributed data", Concurrency and Computation
25(4), 2013, alg. 2 and 3. The age of a merged model is the larger of the two ages.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gossipfl.errors import BadExperiment
from gossipfl.tensors import Tensor, torch


class Model(NamedTuple):
    """n models, one in each row, and their ages: the number of learning steps of each."""

    w: Tensor  # (n, d)
    age: Tensor  # (n,) int64


Update = Callable[[Model], Model]  # each model learns from the rows of its peer
Mean = Callable[[Model, Model], Model]


class Create(Protocol):
    """The next model of a peer.

    own: whether `other` is the peer's own model (Hegedűs, Danner, Jelasity 2021), or the model that arrived before
        `received` (the choice of the paper of 2013). The latter has not learned from this peer's rows yet.
    """

    @property
    def own(self) -> bool: ...
    def __call__(self, received: Model, other: Model, update: Update) -> Model: ...


def equal(a: Model, b: Model) -> Model:
    """(a + b) / 2."""
    return Model((a.w + b.w) / 2, torch.maximum(a.age, b.age))


def by_age(a: Model, b: Model) -> Model:
    """(t_a a + t_b b) / (t_a + t_b): the older model has more weight. Two models of age 0 have equal weight.

    Hegedűs, Danner, Jelasity, "Decentralized learning works", J. Parallel and Distributed Computing 148, 2021, alg. 3.
    """
    ages = torch.stack((a.age, b.age), 1).to(a.w.dtype)
    ages = torch.where((ages == 0).all(1, keepdim=True), 1.0, ages)
    share = ages / ages.sum(1, keepdim=True)
    return Model(share[:, :1] * a.w + share[:, 1:] * b.w, torch.maximum(a.age, b.age))


@dataclass(frozen=True)
class Fresh:
    """(1 - u) a + u b, where b is younger by g steps and u = 1 / (2 (1 + g / patience)): half if both have the same age.

    The old models of a slow peer do not hold other peers back, and a slow peer catches up with what it hears. But its rows
    have less weight.

    Xie, Koyejo, Gupta, "Asynchronous federated optimization", 2019, section 5: polynomial staleness, of power 1.
    """

    patience: int

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise BadExperiment(f"Fresh: patience is {self.patience} steps, but must be 1 or more")

    def __call__(self, a: Model, b: Model) -> Model:
        gap = (a.age - b.age).unsqueeze(1)
        less = 1 / (2 * (1 + gap.abs().to(a.w.dtype) / self.patience))
        share = torch.where(gap > 0, less, 1 - less)  # the weight of b
        return Model((1 - share) * a.w + share * b.w, torch.maximum(a.age, b.age))


@dataclass(frozen=True)
class Walk:
    """update(received), "RW": independent random walks of models that never merge."""

    own: bool = False

    def __call__(self, received: Model, other: Model, update: Update) -> Model:
        return update(received)


@dataclass(frozen=True)
class MergeUpdate:
    """update(mean(received, other)), "MU": merge, then update."""

    mean: Mean = equal
    own: bool = False

    def __call__(self, received: Model, other: Model, update: Update) -> Model:
        return update(self.mean(received, other))


@dataclass(frozen=True)
class UpdateMerge:
    """mean(update(received), update(other)), "UM": update, then merge. Both models learn from the same rows."""

    mean: Mean = equal
    own: bool = False

    def __call__(self, received: Model, other: Model, update: Update) -> Model:
        return self.mean(update(received), update(other))
