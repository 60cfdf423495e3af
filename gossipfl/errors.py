"""All errors that the user sees as one sentence; must not know what raises them.

GossipError
├── BadExperiment     a wrong setting, found before anything runs            exit code 3
│   └── Incompatible  two parts that do not fit together                     exit code 3
├── BadData           a wrong file, column or row                            exit code 4
├── NetworkError      a port in use, a neighbour that stays silent           exit code 5
│   ├── Absent        a neighbour that was there stays silent                exit code 5
│   ├── Departed      a neighbour said goodbye in the middle of a round      exit code 5, or the neighbour's
│   ├── Ended         a peer came back after all others had ended            none: it stops
│   └── Dropped       the topology no longer names this peer                 none: it leaves
├── Unwritten         a disk that is full or read-only                    exit code 7
├── Spent             a sum would tell too much of the rows                  none: learning stops
└── BadMessage        from a neighbour: caught on arrival, counted, never propagated

Divergence is not an error but an outcome: it is a value in the metrics, and the command exits with code 6.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class GossipError(Exception):
    """The base class. `str(error)` is one sentence: what is wrong, where, and what to do."""

    exit_code: ClassVar[int] = 1


class BadExperiment(GossipError):
    """A setting is wrong; the message names the file or key, the value and the fix."""

    exit_code = 3


class Incompatible(BadExperiment):
    """Two parts do not fit together mathematically; the message says why, and what to use instead."""


class BadData(GossipError):
    """A model cannot be trained on these data; the message names the file, column or peer."""

    exit_code = 4


class NetworkError(GossipError):
    """The peer cannot talk to its neighbours; the message names the endpoint or the neighbour."""

    exit_code = 5


class Absent(NetworkError):
    """Neighbours that were there stay silent for too long; `peers` are what messages call them."""

    def __init__(self, sentence: str, peers: Sequence[int]) -> None:
        super().__init__(sentence)
        self.peers = peers


class Departed(NetworkError):
    """A neighbour left before this peer's end and said why: "diverged", "interrupted" or "failed", or "done" or "settled"."""

    def __init__(self, neighbour: str, reason: str) -> None:
        super().__init__(
            f"neighbour {neighbour} has learned to the end without this peer: to learn together, start all peers again"
            if reason in ("done", "settled")
            else f"neighbour {neighbour} left ({reason}): see its log for details"
        )
        self.neighbour, self.reason = neighbour, reason


class Ended(NetworkError):
    """All others had ended before this peer came back, as `neighbour` says; `words` is its goodbye, if there is one."""

    def __init__(self, neighbour: str, words: Any) -> None:
        super().__init__(f"all others had ended before this peer came back, as {neighbour} says")
        self.words = words


class Dropped(NetworkError):
    """This peer no longer takes part; the message names the file that says so."""


class Unwritten(GossipError):
    """A disk is full or read-only; the message names the file."""

    exit_code = 7


class Spent(GossipError):
    """Another sum would tell more than the rows bear; the message says how much is known."""


class BadMessage(GossipError):
    """A neighbour sent something that is not a message of this experiment. It is counted, and changes nothing.

    `sender` is the sender's number according to the message. If it is given, `what` continues the sentence after its name.
    """

    def __init__(self, what: str, sender: int | None = None) -> None:
        super().__init__(what if sender is None else f"peer {sender} {what}")
        self.what, self.sender = what, sender

    def of(self, sender: int | None) -> "BadMessage":
        """The same error, of the peer with whose key the message came, where the message itself does not say whose it is."""
        return self if sender is None or self.sender is not None else BadMessage(f"sent {self.what}", sender)

    def told(self, names: Mapping[int, str]) -> str:
        """The sentence, with the sender's name if it is known."""
        known = None if self.sender is None else names.get(self.sender)
        return str(self) if known is None else f"{known} {self.what}"
