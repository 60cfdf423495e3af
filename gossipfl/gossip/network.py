"""What the network and the peers' machines do to messages: loss, delay, sessions; must not know what they carry."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gossipfl.errors import BadExperiment


@dataclass(frozen=True)
class Network:
    """Independent losses and delays, and peers that come and go. Lengths of time are in cycles, a wake-up's mean period.

    loss: the probability that a message never arrives, of which nobody learns anything.
    delay: the shortest and the longest way, uniform in between, a tick at least.
    online: the share of time that a peer is online. Offline it keeps its model, sends nothing and misses what arrives.
    session: mean length of an online session; offline ones last session * (1 - online) / online.
    spread: standard deviation of the logarithm of a session's length, which is log-normal.
    """

    loss: float = 0.0
    delay: tuple[float, float] = (0.0, 0.0)
    online: float = 1.0
    session: float = 50.0
    spread: float = 1.0

    def __post_init__(self) -> None:
        shortest, longest = self.delay
        for wrong, what in (
            (not 0 <= self.loss < 1, f"loss is {self.loss}, but must lie in [0, 1)"),
            (not 0 <= shortest <= longest, f"delay is {self.delay}, but must be two numbers 0 <= a <= b"),
            (not 0 < self.online <= 1, f"online is {self.online}, but must lie in (0, 1]"),
            (not self.session > 0, f"session is {self.session} cycles, but must be above 0"),
            (not self.spread >= 0, f"spread is {self.spread}, but must be 0 or above"),
        ):
            if wrong:
                raise BadExperiment(f"Network: {what}")

    @property
    def churn(self) -> bool:
        return self.online < 1

    def travel(self, u: Tensor, ticks: int) -> Tensor:
        """How many ticks messages take, from uniform numbers u (n,)."""
        a, b = self.delay
        return whole(ticks * (a + (b - a) * u))

    def length(self, online: Tensor, u: Tensor, ticks: int) -> Tensor:
        """How many ticks a session lasts that begins now, online or not (n,)."""
        return whole(ticks * self._mean(online) * torch.exp(self.spread * _normal(u) - self.spread**2 / 2))

    def rest(self, online: Tensor, u: Tensor, v: Tensor, ticks: int) -> Tensor:
        """How many ticks remain of a session that is under way when the world begins (n,).

        Long sessions are the likelier to be met under way: by as much as they are longer, which turns a log-normal length
        of parameter m into one of m + spread^2; and what remains of it is uniform.
        """
        met = self._mean(online) * torch.exp(self.spread * _normal(u) + self.spread**2 / 2)
        return whole(ticks * met * v)

    def _mean(self, online: Tensor) -> Tensor:
        return torch.where(online, self.session, self.session * (1 - self.online) / self.online).double()


def whole(ticks: Tensor) -> Tensor:
    """To whole ticks, at least one, at most 2^40."""
    return ticks.round().clamp(1, 2.0**40).long()


def period(jitter: float, u: Tensor, ticks: int) -> Tensor:
    """Ticks from one wake-up to the next: normal, with mean `ticks` and `jitter` times that as standard deviation."""
    return whole(ticks * (1 + jitter * _normal(u))) if jitter else torch.full_like(u, ticks).long()


def _normal(u: Tensor) -> Tensor:
    normal: Tensor = torch.special.ndtri(u.clamp(min=2.0**-54))
    return normal


PERFECT = Network()
# "Extreme" in Ormándi, Hegedűs, Jelasity 2013, section 6: all failures at once. They took the lengths of sessions from a
# trace of a file sharing community, which is not public; here an online session lasts 50 cycles on average.
EXTREME = Network(loss=0.5, delay=(1.0, 10.0), online=0.9)
