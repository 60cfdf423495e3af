"""Everything that can go wrong and is worth a sentence; must not know what raises it.

GossipError
├── BadExperiment     yours: a setting, found before anything runs           exit code 3
│   └── Incompatible  yours: two parts that do not fit together              exit code 3
├── BadData           yours: a file, a column, a row                         exit code 4
├── NetworkError      a port in use, a neighbour that stays silent           exit code 5
│   ├── Departed      a neighbour said goodbye in the middle of a round      exit code 5, or the neighbour's
│   └── Dropped       the topology does not name this peer any more          none: it leaves
└── BadMessage        theirs: caught at the edge and counted, never propagated

Divergence is no error but an outcome: it is a value in the metrics, and the command exits with code 6.
"""

from collections.abc import Mapping
from typing import ClassVar


class GossipError(Exception):
    """The root. `str(error)` is one sentence: what, where, and what to do."""

    exit_code: ClassVar[int] = 1


class BadExperiment(GossipError):
    """A setting is wrong; the message names the file or key, the value and the fix."""

    exit_code = 3


class Incompatible(BadExperiment):
    """Two parts do not fit together, mathematically; the message says why and what to use instead."""


class BadData(GossipError):
    """The data cannot be learned from as they are; the message names file, column or peer."""

    exit_code = 4


class NetworkError(GossipError):
    """The peer cannot talk to its neighbours; the message names endpoint or neighbour."""

    exit_code = 5


class Departed(NetworkError):
    """A neighbour left before the end and said why: "diverged", "interrupted" or "failed"."""

    def __init__(self, neighbour: str, reason: str) -> None:
        super().__init__(f"neighbour {neighbour} left ({reason}): see its own log for more")
        self.neighbour, self.reason = neighbour, reason


class Dropped(NetworkError):
    """This peer is not to take part any longer; the message names the file that says so."""


class BadMessage(GossipError):
    """What a neighbour sent is not a message of this study. It is counted, and changes nothing.

    `sender` is what the message calls who sent it, a number; where that is told, `what` goes on after its name.
    """

    def __init__(self, what: str, sender: int | None = None) -> None:
        super().__init__(what if sender is None else f"peer {sender} {what}")
        self.what, self.sender = what, sender

    def told(self, names: Mapping[int, str]) -> str:
        """The sentence, with the sender's name where that is known."""
        known = None if self.sender is None else names.get(self.sender)
        return str(self) if known is None else f"{known} {self.what}"
