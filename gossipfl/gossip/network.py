"""Loss, delay and sessions: what the network and the machines do to messages; must not know what messages carry."""

from dataclasses import dataclass

import numpy as np

from gossipfl.errors import BadExperiment
from gossipfl.tensors import torch
from gossipfl.topology.links import Mask, Numbers, Reals


@dataclass(frozen=True)
class Network:
    """Independent losses and delays, and peers that come and go. Times are in cycles, the mean time between two wake-ups.

    loss: the probability that a message never arrives. No peer notices the loss.
    delay: the shortest and the longest delay, uniform in between, at least one tick.
    online: the share of time that a peer is online. An offline peer keeps its model, sends nothing and misses messages.
    session: the mean length of an online session. Offline sessions have the mean session * (1 - online) / online.
    spread: the standard deviation of the logarithm of a session's length, which is log-normal.
    """

    loss: float = 0.0
    delay: tuple[float, float] = (0.0, 0.0)
    online: float = 1.0
    session: float = 50.0
    spread: float = 1.0

    def __post_init__(self) -> None:
        shortest, longest = self.delay
        for wrong, what in (
            (not 0 <= self.loss < 1, f"loss is {self.loss}, but must be in [0, 1)"),
            (not 0 <= shortest <= longest, f"delay is {self.delay}, but must be two numbers 0 <= a <= b"),
            (not 0 < self.online <= 1, f"online is {self.online}, but must be in (0, 1]"),
            (not self.session > 0, f"session is {self.session} cycles, but must be above 0"),
            (not self.spread >= 0, f"spread is {self.spread}, but must be 0 or above"),
        ):
            if wrong:
                raise BadExperiment(f"Network: {what}")

    @property
    def churn(self) -> bool:
        return self.online < 1

    def travel(self, u: Reals, ticks: int) -> Numbers:
        """The delays of messages in ticks, from uniform numbers u (n,)."""
        a, b = self.delay
        return whole(ticks * (a + (b - a) * u))

    def length(self, online: Mask, u: Reals, ticks: int) -> Numbers:
        """The length in ticks of a session that begins now; `online` (n,) is its kind."""
        return whole(ticks * self._mean(online) * np.exp(self.spread * _normal(u) - self.spread**2 / 2))

    def rest(self, online: Mask, u: Reals, v: Reals, ticks: int) -> Numbers:
        """The remaining ticks of a session that has already begun when the simulation starts, (n,).

        The chance to be in a session at that moment is proportional to its length. This turns a log-normal length with
        parameter m into one with m + spread^2. The remaining part is uniform.
        """
        met = self._mean(online) * np.exp(self.spread * _normal(u) + self.spread**2 / 2)
        return whole(ticks * met * v)

    def _mean(self, online: Mask) -> Reals:
        return np.where(online, self.session, self.session * (1 - self.online) / self.online)


def whole(ticks: Reals) -> Numbers:
    """Rounded to whole ticks, at least 1, at most 2^40."""
    return np.rint(ticks).clip(1, 2.0**40).astype(np.int64)


def period(jitter: float, u: Reals, ticks: int) -> Numbers:
    """Ticks from one wake-up to the next: normal, with mean `ticks` and standard deviation `jitter` times `ticks`."""
    return whole(ticks * (1 + jitter * _normal(u))) if jitter else np.full(u.shape, ticks)


def _normal(u: Reals) -> Reals:
    normal: Reals = torch.special.ndtri(torch.from_numpy(u.clip(min=2.0**-54))).numpy()
    return normal


PERFECT = Network()
# "Extreme" in Ormándi, Hegedűs, Jelasity 2013, section 6: all failures at once. Their session lengths come from a trace of
# a file sharing community, which is not public. Here an online session lasts 50 cycles on average.
EXTREME = Network(loss=0.5, delay=(1.0, 10.0), online=0.9)
