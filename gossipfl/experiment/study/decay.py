"""A step that shrinks over the rounds, as a gradient that shrinks; must not know which method uses it."""

from collections.abc import Callable
from dataclasses import dataclass

from gossipfl.algorithms import Grad
from gossipfl.config.algorithm import DecaySettings
from gossipfl.models import Problem
from gossipfl.models.problem import ArrayGrad
from gossipfl.tensors import Tensor


@dataclass(frozen=True)
class Scheduled:
    """A problem whose gradient in round k is multiplied by factor(k)."""

    problem: Problem
    factor: Callable[[int], float]

    @property
    def width(self) -> int:
        return self.problem.width

    def loss(self, x: Tensor) -> Tensor:
        return self.problem.loss(x)

    def grad(self, round: int) -> Grad:
        inner, factor = self.problem.grad(round), self.factor(round)
        return lambda x: factor * inner(x)

    def in_numpy(self, round: int) -> ArrayGrad | None:
        inner, factor = getattr(self.problem, "in_numpy", lambda _: None)(round), self.factor(round)
        return None if inner is None else lambda x: factor * inner(x)

    def prox(self, x: Tensor, step: float) -> Tensor:
        return self.problem.prox(x, step)

    def smoothness(self) -> Tensor:
        return self.problem.smoothness()


def factor(decay: DecaySettings) -> Callable[[int], float]:
    """k -> 1 / (1 + k / rounds), or its square root."""
    power = 1.0 if decay.kind == "inverse" else 0.5
    return lambda k: float((1.0 + k / decay.rounds) ** -power)
