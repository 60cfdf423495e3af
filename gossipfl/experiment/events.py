"""What an experiment tells while it runs; must not know who listens."""

from pathlib import Path
from typing import NamedTuple

from gossipfl.experiment.finish import Summary
from gossipfl.experiment.learn import Progress


class Started(NamedTuple):
    """The run folder exists and the peers are being prepared."""

    folder: Path
    peers: int
    rounds: int  # at most


class Struck(NamedTuple):
    """A fault of the experiment was carried out."""

    fault: str
    seconds: float  # since learning began


class Warned(NamedTuple):
    """A peer says that something is wrong, and goes on."""

    peer: str
    warning: str


class Finished(NamedTuple):
    """All files are written."""

    folder: Path
    summary: Summary


Event = Started | Progress | Struck | Warned | Finished
