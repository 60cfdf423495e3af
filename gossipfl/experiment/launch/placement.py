"""Where peers run, as a launcher sees it: the contract; must not know processes or machines.

Local processes are one placement (`processes`); actors of a cluster can be another. A launcher knows no other way to a peer.
"""

from collections.abc import Set
from typing import Any, Literal, Protocol

Signal = Literal["kill", "stop", "continue", "interrupt"]


class Placement(Protocol):
    """All peers of a study, by number, each in its present life."""

    @property
    def present(self) -> Set[int]:
        """The peers that have not ended."""

    @property
    def stopped(self) -> Set[int]:
        """Those of them that were stopped by `signal`: they say nothing until they continue."""

    def endpoint(self, me: int) -> str:
        """Where a peer is to listen when it starts for the first time; "tcp://127.0.0.1:*" and the like leave it the choice."""

    def start(self, me: int, endpoint: str, rejoin: bool, fresh: bool = False) -> None:
        """Start a peer that is not present.

        Args:
            me: its number.
            endpoint: where it listens; where it listened before, if it is started again.
            rejoin: it goes on from its checkpoint.
            fresh: its checkpoints are deleted before.
        """

    def signal(self, me: int, what: Signal) -> None:
        """Kill, stop or continue a peer, or ask it to end early and politely. Nothing happens to one that has ended."""

    def chance(self, me: int, place: int, amount: float) -> None:
        """From now on the probability that what a peer sends is lost (place 0) or doubled (place 1)."""

    def wait(self, timeout: float | None) -> list[int]:
        """The peers that have said something or ended, and are not stopped; none after `timeout` seconds."""

    def hear(self, me: int) -> tuple[str, Any] | None:
        """What a peer says next: a word and what belongs to it. None: it has ended, maybe in the middle of a word."""

    def say(self, me: int, what: Any) -> None:
        """Send something to a peer; nothing happens where it has ended meanwhile, which `hear` reports."""

    def outcome(self, me: int) -> str:
        """Wait for the end of a peer that says nothing any more; how it ended, in words. It is not present from here on."""

    def close(self) -> None:
        """End all peers that still run, and wait for it."""
