"""A topology file that may change while a peer learns along it; must not know engines or messages."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gossipfl.errors import BadExperiment, Dropped, GossipError
from gossipfl.experiment.live.following import Change, called
from gossipfl.experiment.study.method import study
from gossipfl.experiment.study.study import Study
from gossipfl.topology import symmetric

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds between two looks at the file


class Reread:
    """What the file says, asked again and again: None, or the study over another topology.

    Args:
        made: the study over the topology as it was read first.
        name: whose neighbours they are.
        endpoints: where a peer's neighbours listen, of a study.
        tell: called with a sentence where a changed file cannot be used; then all stays as it is.
    """

    def __init__(
        self,
        made: Study,
        name: str,
        endpoints: Callable[[Study], dict[str, str]],
        tell: Callable[[str], None],
    ) -> None:
        self.made, self._name, self._endpoints, self._tell = made, name, endpoints, tell
        self._path = Path(made.experiment.topology.graph)
        self._seen: tuple[int, ...] = ()  # it may have changed since it was read
        self._next, self._asked = time.monotonic() + EVERY, False
        self._here = made.graph.nodes[name].get("endpoint")  # as the file said when this peer began to listen
        self._refused = ""

    def refuse(self, why: str) -> None:
        """From now on a file with other links is one that cannot be used, for this reason."""
        self._refused = why

    def ask(self, *_: Any) -> None:
        """Look at the file before the next round, whether it seems to have changed or not: a signal's handler."""
        self._asked = True

    def __call__(self) -> Change | None:
        """What has changed, if anything has. Raises Dropped where the file does not name this peer any more."""
        if not self._asked and time.monotonic() < self._next:
            return None
        self._next = time.monotonic() + EVERY
        seen = _stamp(self._path)
        if seen == self._seen and not self._asked:
            return None
        self._seen, self._asked = seen, False
        try:
            return self._change()
        except Dropped:
            raise
        except GossipError as error:
            words = (
                f"cannot take over what {self._path} says now, and goes on as before until it can: {error}"
            )
            log.warning("%s", words)
            self._tell(words)
            return None

    def _change(self) -> Change | None:
        made = study(self.made.experiment)
        if self._name not in made.graph:
            raise Dropped(f"{self._path} does not name {self._name} any more: it has left")
        self._own(made)
        places, before = self._endpoints(made), self._endpoints(self.made)
        if made.wiring == self.made.wiring and places == before:
            return None
        if self._refused:
            raise BadExperiment(f"{self._path}: {self._refused}: stop all peers and start them anew")
        if made.graph.is_directed() or made.changing or not symmetric(made.links):
            raise BadExperiment(
                f"{self._path}: peers go on along other links only where these lead both ways, weigh the same both ways "
                "and are the same in each round: stop all peers and start them anew"
            )
        called(made)
        self.made = made
        moved = [peer for peer, place in places.items() if before.get(peer, place) != place]
        return Change(made, places, moved)

    def _own(self, made: Study) -> None:
        """Say that the file has another endpoint for this peer itself, which stays where it is."""
        there = made.graph.nodes[self._name].get("endpoint")
        if there != self._here:
            words = (
                f"still listens where it did, and not on {there}, as {self._path} says now: start it again there, with the "
                "same --out, or its neighbours do not reach it"
            )
            log.warning("%s", words)
            self._tell(words)


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file does; nothing, where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
