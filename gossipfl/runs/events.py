"""What an experiment tells while it runs; must not know who listens."""

from pathlib import Path
from typing import NamedTuple

from gossipfl.runs.learned import Summary


class Started(NamedTuple):
    """The run folder exists and the peers are being prepared."""

    folder: Path
    peers: int
    rounds: int  # at most
    seconds: float | None = None  # of learning, at most


class Progress(NamedTuple):
    """One line of metrics, of the peers held here."""

    round: int
    loss: float  # mean of the peers' own objectives at their own models
    disagreement: float  # largest relative distance between neighbours, in what they last sent
    seconds: float  # since learning began


class Struck(NamedTuple):
    """A fault of the experiment was carried out, or a peer that was away learns again."""

    fault: str  # in words
    seconds: float  # since learning began
    do: str = ""  # its kind, or "back"
    begins: bool = True  # or it ends what another one has begun
    peers: tuple[str, ...] = ()
    after: int | None = None  # rounds, where they are what the engine knows


class Warned(NamedTuple):
    """A peer, or its launcher, says that something is wrong, and goes on."""

    peer: str  # "" for the launcher
    warning: str


class Finished(NamedTuple):
    """All files are written."""

    folder: Path
    summary: Summary


Event = Started | Progress | Struck | Warned | Finished
