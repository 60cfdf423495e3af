"""The result of a learning session; must not know which engine learned, or which files are written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from gossipfl.data import Rows, Schema
from gossipfl.data.scale import Scale
from gossipfl.runs.facts import Selection

Summary = dict[str, Any]


class Certificate(NamedTuple):
    """What sums over all rows say of the mean of the models.

    distance: the predicted distance to the optimum of all data; None if it is not known.
    why: why it is not known.
    endless: there is no finite optimum.
    rounding: further steps change nothing but the rounding.
    contracted: the Newton step behind it, or the step after it, was at most half as long as the one before.
    spread: the largest distance of the models in question from their mean, relative; None if it is not known.
    newton: the exchanges in which Newton's method would get from there to the tolerance; 0 if that is not known.
    """

    distance: float | None = None
    why: str = ""
    endless: bool = False
    rounding: bool = False
    contracted: bool = False
    newton: int = 0
    spread: float | None = None


class Sources(NamedTuple):
    """Whose rows are in a peer's model: its own, but where it is `without` them, and those of others."""

    peer: str
    others: Sequence[str]
    without: Sequence[str]


def sides(models: Sequence[Sources], every: Sequence[str]) -> list[list[str]]:
    """The peers whose rows are in one model, for each different one; [] if all models have the rows of all."""
    found = dict.fromkeys(frozenset((peer, *others)) - {*without} for peer, others, without in models)
    return [] if set(found) <= {frozenset(every)} else [[n for n in every if n in side] for side in found]


@dataclass
class Learned:
    """The result of a session, from either engine: the peers' models and figures."""

    engine: str  # "simulator" or "peers"
    algorithm: str
    names: list[str]  # the peers, in the order of models
    models: Tensor  # (n, d)
    schema: Schema
    scales: list[Scale | None]
    step: float
    rounds: int
    stopped: str
    why: str
    messages_sent: int
    bytes_sent: int
    startup: float
    seconds: float
    cpu: float  # seconds of all peers together, while learning, without certificates
    status: dict[str, str]
    train: list[Rows]  # encoded and standardised
    test: list[Rows]
    kept: Tensor | None = None  # (n, cache, d), the newest models of each peer; gossip learning only
    certificate: Certificate | None = None  # None if none was taken
    attempts: int = 0  # certificates taken, at the end and before
    repairs: int = 0  # averages of models that differed in their last digits
    exchanges: int = 0  # in which they were taken
    budget: dict[str, float] | None = None  # of private sums: what is spent
    sides: list[list[str]] = field(default_factory=list)  # see `sides`
    selection: Selection | None = None  # the penalty that the peers have chosen
    scores: Summary | None = None  # on the test rows of all peers, by sums; see `learning.scores`
