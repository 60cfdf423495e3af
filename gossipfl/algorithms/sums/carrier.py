"""How the numbers of one peer travel in a sum, and what is read off the total; must not know optimisers or network."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from gossipfl.secrecy import promise
from gossipfl.secrecy.fixed import PLACES, STEP, Hiding, fitting, fixed, total
from gossipfl.tensors import Tensor, torch

HEAD = 2  # numbers in front of a plain sum: the count of contributors, and the digest of x
LEARNING = 2**56  # the first cycle of learning: those before it are of the agreement


class Place(NamedTuple):
    """Which sum it is: the cycle counts the sums that counted, the attempt those that did not.

    places: binary, of fixed point. peer: which of the peers held here.
    """

    cycle: int = 0
    attempt: int = 0
    places: int = PLACES
    peer: int = 0


class Reading(NamedTuple):
    """What a total says; `places` are those of the next sum. numbers: None if it does not count. known: how many it tells."""

    digest: int
    numbers: Tensor | None
    places: int = PLACES
    void: bool = False
    known: int = 0


class Carrier(Protocol):
    """Makes the row that is added up, and reads the total."""

    def row(self, numbers: Tensor, digest: int, place: Place) -> Tensor:
        """(W,) from the numbers (D,) of one peer. `digest` is summed exactly."""

    def read(self, row: Tensor, peers: int, place: Place) -> Reading:
        """From the total (W,) of so many peers."""


class Plain(NamedTuple):
    """Floating point. An overflow becomes a number so large that every peer notices it."""

    def row(self, numbers: Tensor, digest: int, place: Place) -> Tensor:
        huge = float(torch.finfo(torch.float64).max ** 0.5)
        row = torch.cat((numbers.new_tensor([1.0, float(digest)]), numbers))
        return row.nan_to_num(huge, huge, -huge) + 0.0

    def read(self, row: Tensor, peers: int, place: Place) -> Reading:
        void = bool(row[0] != peers)
        numbers = None if void else row[HEAD:]
        return Reading(0 if void else int(row[1]), numbers, place.places, void, len(row) - HEAD)


PLAIN = Plain()


@dataclass(frozen=True)
class Integers:
    """Fixed point modulo 2^64: nobody learns more than the total, if there are masks (`secrecy.masks`).

    A number that is too large for all places makes every total nan, and the next sum begins with all places.
    """

    peers: int
    masks: Hiding | None = None

    def row(self, numbers: Tensor, digest: int, place: Place) -> Tensor:
        words = fixed(numbers.numpy(), place.places, self.peers, (digest,))
        if self.masks is not None:
            if words[0]:  # zeros would show the others' total
                words[HEAD + 1 :] = self.masks.noise(len(numbers))
            words = words + self.masks.words(LEARNING + place.cycle, place.attempt, len(words))
        return torch.from_numpy(words.view(np.int64))

    def read(self, row: Tensor, peers: int, place: Place) -> Reading:
        told = total(row.contiguous().numpy().view(np.uint64), place.places, peers, 1)
        if not told.complete:
            return Reading(0, None, place.places, True, len(told.numbers))
        if not told.overflowed:
            return Reading(
                told.exact[0],
                torch.from_numpy(told.numbers),
                fitting(told.numbers, place.places, peers),
                known=len(told.numbers),
            )
        if place.places >= STEP:
            return Reading(told.exact[0], None, place.places - STEP)
        return Reading(told.exact[0], torch.full((len(told.numbers),), torch.nan, dtype=torch.float64))


@dataclass(frozen=True)
class Noised:
    """Integers with noise: the total is mu-GDP. Rows are rounded and clipped before they are added up.

    noise: of this peer, paid before a row is made. A void sum has the same noise again.
    mu: of each sum. norm: of what a row adds, at most.
    """

    integers: Integers
    noise: promise.Noise
    mu: float
    norm: float

    def row(self, numbers: Tensor, digest: int, place: Place) -> Tensor:
        """Raises Spent where the budget does not suffice."""
        exact = torch.ldexp(numbers, torch.tensor(promise.PLACES)).round().long().tolist()
        most = promise.sensitivity(self.norm, len(numbers))
        noised = self.noise.added(f"sum {place.cycle}", place.peer, exact, most, self.mu)
        values = torch.ldexp(torch.tensor(noised, dtype=torch.float64), torch.tensor(-promise.PLACES))
        return self.integers.row(values, digest, place._replace(places=promise.PLACES))

    def read(self, row: Tensor, peers: int, place: Place) -> Reading:
        told = self.integers.read(row, peers, place._replace(places=promise.PLACES))
        return told._replace(places=promise.PLACES)
