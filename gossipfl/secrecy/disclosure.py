"""What totals would show of few rows or few peers, and how many sums rows bear; must not know rows or how sums travel.

A total of fewer numbers than its rows hold does not tell them; from many totals they follow by least squares. So the numbers
of all sums together stay below half of what the rows hold: the rows of all peers; those that differ in a column from most rows
of their peer, for example by a level; and those in which two such columns meet, of which there may be one only.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gossipfl.errors import BadData

FEWEST = 2  # sums that a method needs at least
ENOUGH = 10  # sums that Newton's method should have
FRONT = 5  # numbers in a sum beside gradient and Hessian
PARTS = 16  # of the sums that all rows bear: those that the rows without any one peer's bear are rounded down to such a part
DOMINATES = 0.9  # of the spread of a column: a row with more of it is nearly read off the totals
NAMED = 40

Array = npt.NDArray[np.float64]


class Held(NamedTuple):
    """Rows, of all peers or of one: how many, and in each column how many differ from most rows of their peer, (p,)."""

    rows: float
    cells: Array


class OneSum(NamedTuple):
    """What a sum tells.

    features: numbers of a row that count, the intercept among them. outputs: margins of a row.
    curved: it has a Hessian, and not only a gradient.
    fixed: the Hessian is the same in each sum, as of least squares.
    variables: for each column, of which variable of the data it is.
    patterns: different rows that there can be, at least. If they are few, totals tell how many there are of each.
    """

    features: int
    outputs: int
    curved: bool
    fixed: bool
    variables: Sequence[str]
    patterns: float = math.inf

    @property
    def width(self) -> int:
        return self.features * self.outputs

    @property
    def each(self) -> int:
        """The numbers in a sum."""
        return self.width * (self.width + 3) // 2 + FRONT if self.curved else self.width + FRONT

    def borne(self, held: Held) -> float:
        """How many such sums these rows bear: their numbers are at most half of those in the rows."""
        pairs = self.outputs * (self.outputs + 1) // 2 if self.curved else 0
        of_column = pairs * self.features + self.outputs
        limits = [held.rows / self.each]
        if not self.fixed:
            limits.append(self.patterns / self.features / self.each)
            limits += (held.cells[held.cells > 0] / of_column).tolist()
            if pairs and len({self.variables[j] for j in np.flatnonzero(rare(held)).tolist()}) > 1:
                limits.append(1 / pairs)
        return min(limits) * self.features / 2

    def rarest(self, held: Held) -> int | None:
        """The column that limits the sums; None if all rows together do, or rows where two columns meet."""
        if not (held.cells > 0).any():
            return None
        alone = self.borne(Held(held.rows, np.zeros_like(held.cells)))
        column = int(np.where(held.cells > 0, held.cells, math.inf).argmin())
        one = np.where(np.arange(len(held.cells)) == column, held.cells, 0.0)
        return column if self.borne(Held(held.rows, one)) < alone else None


def refuse(
    rows: Mapping[str, float], peers: Mapping[str, float], min_cell: int, min_peers: int, way: str = ""
) -> None:
    """Refuse classes and columns in which few rows differ from the others of their peer, or rows of few peers; 0 is none.

    `way` is what else may be done.

    Raises:
        BadData: it names all of them.
    """
    few = {name for name, count in rows.items() if 0 < count < min_cell}
    few |= {name for name, count in peers.items() if 0 < count < min_peers}
    if few:
        raise BadData(
            f"fewer than {min_cell} training rows of all peers, or rows of fewer than {min_peers} peers, differ in "
            f"{_listed([name for name in peers if name in few])}: secure sums would show these rows, or whose they are. Leave "
            f"such columns out with drop, or join such a level or class with another one, at all peers{way}"
        )


def check(
    sums: OneSum, held: Held, borne: float, columns: Sequence[str], most: float, needs: int = FEWEST
) -> None:
    """Refuse a model that these rows do not bear.

    Args:
        sums: what they tell.
        held: the rows of all peers.
        borne: how many such sums may be taken.
        columns: names of the cells.
        most: parameters for each row.
        needs: sums that are needed at least.

    Raises:
        BadData: there are too few rows for these sums, or for so many parameters.
    """
    known = f"{held.rows:,.0f} training rows and {sums.width:,} parameters"
    if sums.width > most * held.rows:
        raise BadData(
            f"{known} are more than {most:g} parameters for each row (privacy.max_parameters_per_row): totals would show "
            "rows. Use fewer columns, or more rows"
        )
    if borne < needs:
        rare = sums.rarest(held)
        why = "" if rare is None else f", since few rows differ in {columns[rare]!r}"
        way = 'Use fewer columns, more rows or algorithm.kind = "lbfgs", which sums gradients only'
        if sums.patterns < 2 * needs * sums.each:
            why = f", since rows can be of {sums.patterns:,.0f} kinds, and totals tell how many there are of each"
            way = 'Use algorithm.kind = "lbfgs", which sums gradients only, or privacy.sums = "private"'
        raise BadData(
            f"{known} do not bear {needs} sums of {sums.each:,} numbers{why}: more would be known of rows than half of what "
            f"they hold. {way}"
        )


def sentence(sums: OneSum, held: Held, borne: float, peers: int, columns: Sequence[str]) -> str:
    """What secure sums promise, and how many may be taken."""
    rare = sums.rarest(held)
    return (
        f"secure sums: a peer learns the totals of all {peers} peers and nothing else of other peers' rows; "
        f"{held.rows:,.0f} training rows and {sums.width:,} parameters bear {int(borne):,} sums of {sums.each:,} numbers"
        + ("" if rare is None else f" (few rows differ in {columns[rare]!r})")
    )


def shown(columns: Sequence[str], hidden: bool) -> str:
    """What is shown besides totals: the levels of columns, and the classes if they are not hidden; the end of a sentence."""
    parts = [f"levels of {_listed(columns)}"] if columns else []
    if not (parts := [*parts, *([] if hidden else ["classes"])]):
        return ""
    return f". Neighbours see which {' and '.join(parts)} each peer has: data.levels and data.classes can hide that"


def rare(held: Held) -> npt.NDArray[np.bool_]:
    """The cells in which half of the rows, or more, have the most frequent value of their peer."""
    found: npt.NDArray[np.bool_] = (held.cells > 0) & (2 * held.cells <= held.rows)
    return found


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(repr, names[:NAMED])) + more
