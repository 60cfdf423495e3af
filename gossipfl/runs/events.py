"""The events of a running experiment; must not know who uses them."""

from pathlib import Path
from typing import NamedTuple

from gossipfl.runs.learned import Summary


class Started(NamedTuple):
    """The run folder exists and the peers are being prepared."""

    folder: Path
    peers: int
    rounds: int  # maximum
    seconds: float | None = None  # maximum time of learning


class Progress(NamedTuple):
    """One line of metrics of the peers in this process."""

    round: int
    loss: float  # mean of the peers' own objectives at their own models
    disagreement: float  # largest relative distance between the last messages of two neighbours
    seconds: float  # since learning began
    messages: int = 0  # that these peers sent while they learned


class Struck(NamedTuple):
    """A fault was carried out, or a peer that was away learns again."""

    fault: str  # a phrase
    seconds: float  # since learning began
    do: str = ""  # the kind of the fault, or "back"
    begins: bool = True  # False: it ends an earlier fault
    peers: tuple[str, ...] = ()
    after: int | None = None  # the round after which it happened, in the simulator


class Warned(NamedTuple):
    """A warning of a peer or of the launcher, which goes on."""

    peer: str  # "" for the launcher
    warning: str


class Comparing(NamedTuple):
    """Learning has ended, and the pooled optimum is being computed, which may take longer."""


class Finished(NamedTuple):
    """All files are written; the last event."""

    folder: Path
    summary: Summary


Event = Started | Progress | Struck | Warned | Comparing | Finished
