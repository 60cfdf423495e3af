"""When a peer sends: at every wake-up, or when it has tokens; must not know what it sends.

At a wake-up a peer sends with probability `proactive(a)`; otherwise it saves a token, a' = a + 1. When it receives a model, it
spends x tokens on x messages at once. x is `reactive(a, useful)`, rounded up or down at random with that mean. As
proactive(capacity) = 1 and reactive(a) <= a, the account stays between 0 and capacity. A peer that wakes k times in a period
sends at most k + capacity messages in it: bursts are bounded, and the clock sets the rate.

Danner, Jelasity, "Token account algorithms: the best of the proactive and reactive worlds", ICDCS 2018, section III.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from gossipfl.errors import BadExperiment
from gossipfl.topology.links import Mask, Numbers, Reals


class Control(Protocol):
    """Flow control. `tokens` is (n,). `useful` is (n,): the received model is at least as old as the peer's own."""

    @property
    def capacity(self) -> int: ...
    def proactive(self, tokens: Numbers) -> Reals:
        """The probability of sending at a wake-up, (n,)."""

    def reactive(self, tokens: Numbers, useful: Mask) -> Reals:
        """The mean number of messages to send after receiving one, (n,)."""


@dataclass(frozen=True)
class Proactive:
    """A message at every wake-up, and none between wake-ups."""

    capacity: ClassVar[int] = 0

    def proactive(self, tokens: Numbers) -> Reals:
        return np.ones(len(tokens))

    def reactive(self, tokens: Numbers, useful: Mask) -> Reals:
        return np.zeros(len(tokens))


def _full(tokens: Numbers, capacity: int) -> Reals:
    return (tokens >= capacity).astype(np.float64)


@dataclass(frozen=True)
class Simple:
    """proactive = [a >= C];  reactive = [a > 0]: a received model is passed on while there are tokens."""

    capacity: int = 10

    def __post_init__(self) -> None:
        _check(self.capacity, 1)

    def proactive(self, tokens: Numbers) -> Reals:
        return _full(tokens, self.capacity)

    def reactive(self, tokens: Numbers, useful: Mask) -> Reals:
        return (tokens > 0).astype(np.float64)


@dataclass(frozen=True)
class Generalised:
    """proactive = [a >= C];  reactive = floor((A - 1 + a) / A), halved before the floor if the model is not useful."""

    capacity: int = 10
    spend: int = 5  # A: a larger value spends fewer tokens

    def __post_init__(self) -> None:
        _check(self.capacity, self.spend)

    def proactive(self, tokens: Numbers) -> Reals:
        return _full(tokens, self.capacity)

    def reactive(self, tokens: Numbers, useful: Mask) -> Reals:
        messages: Reals = np.floor((self.spend - 1 + tokens) / (self.spend * np.where(useful, 1.0, 2.0)))
        return messages


@dataclass(frozen=True)
class Randomised:
    """proactive = (a - A + 1) / (C - A + 1), clamped to [0, 1];  reactive = a / A if the model is useful, else 0."""

    capacity: int = 10
    spend: int = 5  # A

    def __post_init__(self) -> None:
        _check(self.capacity, self.spend)

    def proactive(self, tokens: Numbers) -> Reals:
        return ((tokens - self.spend + 1) / (self.capacity - self.spend + 1)).clip(0, 1)

    def reactive(self, tokens: Numbers, useful: Mask) -> Reals:
        return tokens / self.spend * useful


def _check(capacity: int, spend: int) -> None:
    if not 1 <= spend <= capacity:
        raise BadExperiment(
            f"A token account needs 1 <= spend <= capacity, but spend is {spend} and capacity is {capacity}: "
            "increase capacity, or use the control that sends at every wake-up"
        )
