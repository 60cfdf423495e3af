"""The scores of the model on the test rows of all peers, by sums; must not know which engine carries them.

Each peer reads its own test rows only. A sum says whose rows are in it, so that its scores are told as those of these peers.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gossipfl.data import Rows
from gossipfl.data.encode import taken
from gossipfl.data.fill import MIN_ROWS
from gossipfl.errors import BadData, NetworkError
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.models import Linear, Loss, Module
from gossipfl.models.losses import Squared
from gossipfl.models.margins import scorer
from gossipfl.models.scoring import BINS, Scoring
from gossipfl.runs.learned import Summary

WORD = 48  # peers that one number tells apart: a sum of different powers of two is exact
MOST = 2**28  # numbers that all sums of a simulation may move
ENOUGH_ROWS = 30  # for tests, of all peers: intervals tell the margin of each, but not whose it is
log = logging.getLogger(__name__)
Array = npt.NDArray[np.float64]
Total = Callable[[Sequence[Array]], Array]


class Contradicted(NetworkError):
    """Not all sums have the rows of the same peers."""


class Contributors:
    """Sums over the peers held here and all others that tell whose numbers are in them.

    Args:
        agreement: takes the sums.
        rows: the numbers of the peers in this process.
        here: those of them that are present.
    """

    def __init__(self, agreement: Agreement, rows: Sequence[int], here: Sequence[int]) -> None:
        self._agreement = agreement
        self._marks = np.zeros((len(rows), -(-agreement.peers // WORD)))
        for place, row in enumerate(rows):
            self._marks[place, row // WORD] = 2.0 ** (row % WORD) * (row in here)
        self.who: Sequence[int] | None = None  # the peers whose numbers were in the sums so far

    def total(self, each: Sequence[Array]) -> Array:
        """The sum of these vectors and of those of all other peers, (k,). Raises Contradicted."""
        there = self._marks.any(1, keepdims=True)
        words = self._marks.shape[1]
        total = self._agreement.total(np.concatenate((self._marks, there * np.stack(each)), 1))
        told = [int(word) for word in total[:words]]
        who = [p for p in range(self._agreement.peers) if told[p // WORD] >> p % WORD & 1]
        if self.who not in (None, who):
            raise Contradicted
        self.who = who
        return total[words:]

    def part(self) -> None:
        """All peers have what they need of their neighbours."""
        self._agreement.part(self._marks)


@dataclass(frozen=True)
class Tests:
    """The models and test rows of the peers in this process.

    problem: says what a model's margins are.
    loss: of the model; squared loss for a module.
    models: (n, d).
    test: the test rows, scaled as the rows that are learned from.
    unit: a power of two, in which targets of squared loss are summed: integers of a sum have so many places.
    """

    problem: Linear | Module
    loss: Loss
    models: Tensor
    test: Sequence[Rows]
    unit: float = 1.0

    @property
    def numbers(self) -> int:
        """The numbers that a peer puts into all sums, about."""
        return 4 * BINS * self._outputs + self.models.shape[1]

    def averaged(self, total: Total) -> "Tests":
        """The same with the mean of all peers' models in the place of each."""
        sums = total([np.append(1.0, x) for x in self.models.double().numpy()])
        mean = torch.from_numpy(sums[1:] / sums[0]).to(self.models.dtype)
        return replace(self, models=mean.expand_as(self.models))

    def scores(self, total: Total) -> Summary:
        """The scores from two sums: rows, and `Scoring.metrics`."""
        scoring = Scoring(self.loss, self._outputs)
        unit = self.unit if isinstance(self.loss, Squared) else 1.0
        each = zip(self.models, self.test, strict=True)
        parts = [(self._margins(x, rows) / unit, rows.y / unit) for x, rows in each]
        first = total([scoring.first(z, y) for z, y in parts])
        second = total([scoring.second(z, y, first) for z, y in parts])
        found: Summary = {"rows": int(first[0])} | scoring.metrics(first, second)
        return found | {"rmse": found["rmse"] * unit} if "rmse" in found else found

    @property
    def confidential(self) -> "Tests":
        """The same without the rows of peers that have few of them."""
        nothing = [slice(None if len(rows.y) >= MIN_ROWS else 0) for rows in self.test]
        return replace(
            self, test=[taken(rows, which) for rows, which in zip(self.test, nothing, strict=True)]
        )

    @property
    def _outputs(self) -> int:
        return getattr(self.problem, "outputs", 1)

    def _margins(self, x: Tensor, rows: Rows) -> Array:
        z = scorer(self.problem, x)(rows.x)
        return z if rows.offset is None else z + rows.offset[:, None]


def scored(
    tests: Tests, sums: Contributors, names: Sequence[str], alike: bool, fewest: int = 0
) -> Summary | None:
    """The scores on the test rows of all peers that take part: "peers", "of" how many, "rows", and `Scoring.metrics`.

    None if sums are secure and would be over few rows, or those of few peers.

    Args:
        tests: of the peers in this process.
        sums: over all peers.
        names: of all peers.
        alike: all peers hold the same model; if not, their mean is scored, which takes one more sum.
        fewest: peers with test rows that secure sums need; 0: sums are plain.

    Raises:
        Contradicted, NetworkError: peers came or went meanwhile.
    """
    if fewest and (few := _few(tests := tests.confidential, sums, fewest)):
        log.warning("%s: secure sums would show them, so they are not summed", few)
        sums.part()
        return None
    try:
        found = (tests if alike else tests.averaged(sums.total)).scores(sums.total)
    except BadData as why:  # all peers see it
        log.warning("the test rows of all peers were not summed: %s", why)
        sums.part()
        return None
    sums.part()
    return {"peers": [names[p] for p in sums.who or ()], "of": len(names)} | found


def _few(tests: Tests, sums: Contributors, fewest: int) -> str:
    """Why the test rows are too few for a sum; "" if they are enough."""
    rows = [len(part.y) for part in tests.test]
    if sums.total([np.array([float(count > 0)]) for count in rows])[0] < fewest:
        return f"fewer than {fewest} peers have {MIN_ROWS} test rows or more"
    if (total := sums.total([np.array([float(count)]) for count in rows])[0]) < ENOUGH_ROWS:
        return f"all peers together have {total:.0f} test rows, and fewer than {ENOUGH_ROWS}"
    return ""


def own(tests: Tests, name: str, peers: int) -> Summary:
    """The same of the single peer in this process alone, one of so many."""
    return {"peers": [name], "of": peers} | tests.scores(lambda each: each[0])
