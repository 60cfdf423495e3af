"""What differential privacy promises, and what it costs in noise; must not know what is summed, nor how it travels.

The total of a sum is private whoever colludes: the noise of those that do not has the whole variance that it needs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from secrets import randbelow
from typing import NamedTuple

from gossipfl.errors import Spent
from gossipfl.secrecy.budget import epsilon_of, mu_of
from gossipfl.secrecy.noise import Below, discrete_gaussian

PLACES = 24  # binary places of a noised number
COUNTED = 0.02  # of mu^2, for the number of rows
STANDARDISED = 0.05  # of mu^2, for means and deviations of columns, if they are asked for
SLACK = 1e-9  # of mu^2, for rounding

Keep = Callable[[dict[str, float]], None]


class Query(NamedTuple):
    """What a private method sums: so many sums of so many numbers, that one row changes by `norm` at most, by the norm."""

    sums: int = 1
    numbers: int = 1
    norm: float = 1.0


class Promise(NamedTuple):
    """(epsilon, delta)-differential privacy of every row, added or removed, against `colluders` of the peers."""

    epsilon: float
    delta: float
    clip: float
    peers: int
    colluders: int
    standardises: bool = False

    @property
    def mu(self) -> float:
        return mu_of(self.epsilon, self.delta)

    @property
    def counting(self) -> float:
        """The mu of the count of rows."""
        return self.mu * math.sqrt(COUNTED)

    @property
    def standardising(self) -> float:
        """The mu of the sum for means and deviations."""
        return self.mu * math.sqrt(STANDARDISED)

    @property
    def noise(self) -> float:
        """The deviation of the noise in a total, for sensitivity 1 and mu = 1; above 1, as colluders know theirs."""
        return math.sqrt(self.peers / (self.peers - self.colluders))

    def each(self, sums: int) -> float:
        """The mu of each of so many sums."""
        left = 1 - COUNTED - STANDARDISED * self.standardises
        return self.mu * math.sqrt(left / sums)

    def deviation(self, asked: Query) -> float:
        """Of the noise in each number of a total."""
        most = sensitivity(asked.norm, asked.numbers) * 2.0**-PLACES
        return most / self.each(asked.sums) * self.noise

    def plan(self, rows: int, asked: Query) -> dict[str, float]:
        """The sums, and the numbers in each; the deviation of the noise in each number of a total, and in the number of rows;
        the norm of the noise in a mean over so many rows, and in the mean of all sums; and the norm that these means have at
        most.
        """
        noise = self.deviation(asked)
        return {
            "sums": asked.sums,
            "numbers": asked.numbers,
            "noise": noise,
            "rows_noise": self.noise / self.counting,
            "relative": noise * math.sqrt(asked.numbers) / rows,
            "together": noise * math.sqrt(asked.numbers / asked.sums) / rows,
            "norm": asked.norm,
        }

    def variance(self, sensitivity: float, mu: float) -> int:
        """That of one peer's noise for a sum of integers of this sensitivity, so that the total is mu-GDP."""
        return math.ceil((sensitivity / mu) ** 2 / (self.peers - self.colluders))


def sensitivity(clip: float, numbers: int) -> float:
    """The most that a row changes so many integers, by the Euclidean norm: it has norm `clip` before it is rounded."""
    return clip * 2.0**PLACES + math.sqrt(numbers) / 2


@dataclass
class Spending:
    """What a peer has spent of its budget. It is kept, on disk, before anything leaves that costs it: no crash refunds it.

    promise: what the budget is.
    spent: mu^2.
    keep: writes a record, and returns when it is safe; it raises what the disk raises.
    ahead: mu^2 that some other peer has spent beyond that: all stop at the same sum.
    """

    promise: Promise
    spent: float = 0.0
    keep: Keep = lambda _: None
    sums: int = 0
    ahead: float = 0.0

    def pay(self, mu: float) -> None:
        """Raises Spent where the budget does not suffice; then nothing is paid."""
        after, whole = self.spent + mu**2, self.promise.mu**2
        if after + self.ahead > whole * (1 + SLACK):
            raise Spent(
                f"another sum would cost more than is left of epsilon = {self.promise.epsilon:g}: "
                f"{self.epsilon:.3g} is spent in {self.sums} sums"
            )
        self.keep(self.record(after, self.sums + 1))
        self.spent, self.sums = after, self.sums + 1

    @property
    def epsilon(self) -> float:
        """What is spent, as epsilon at the delta of the promise."""
        return epsilon_of(math.sqrt(self.spent), self.promise.delta)

    def record(self, spent: float | None = None, sums: int | None = None) -> dict[str, float]:
        """What is kept and told."""
        spent = self.spent if spent is None else spent
        return {
            "epsilon": self.promise.epsilon,
            "delta": self.promise.delta,
            "spent": epsilon_of(math.sqrt(spent), self.promise.delta),
            "mu_squared": spent,
            "sums": self.sums if sums is None else sums,
            "colluders": self.promise.colluders,
            "peers": self.promise.peers,
        }


@dataclass
class Noise:
    """Adds one peer's share of noise to integers. The same sum again has the same noise, and costs nothing."""

    spending: Spending
    below: Below = randbelow
    _known: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    _paid: set[str] = field(default_factory=set)

    def added(self, name: str, peer: int, integers: Sequence[int], most: float, mu: float) -> list[int]:
        """The noised integers of a sum with this name, at one of the peers here; `most` is their sensitivity.

        Raises:
            Spent: the budget does not suffice.
        """
        if (name, peer) not in self._known:
            if name not in self._paid:
                self.spending.pay(mu)
                self._paid.add(name)
                self._known.clear()
            variance = self.spending.promise.variance(most, mu)
            noise = discrete_gaussian(variance, len(integers), self.below).tolist()
            self._known[name, peer] = [own + one for own, one in zip(integers, noise, strict=True)]
        return self._known[name, peer]
