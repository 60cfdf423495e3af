"""A topology file that may change while a peer learns along it; must not know engines or messages."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gossipfl.errors import BadExperiment, Dropped, GossipError
from gossipfl.experiment.live.following import Change, called
from gossipfl.experiment.live.keyring import keyed, neighbour_keys, signature_keys
from gossipfl.experiment.study.make import study
from gossipfl.experiment.study.study import Study
from gossipfl.secrecy.start import Identity
from gossipfl.topology import symmetric
from gossipfl.topology.names import several

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds between two checks of the file


class Reread:
    """Checks the file for changes; a call returns the study over a changed topology, or None.

    A call with `links=False` returns other keys and endpoints only; it leaves other links to a later call.

    Args:
        study: the study over the topology as it was read first.
        name: of the peer.
        endpoints: study -> the endpoints of the peer's neighbours.
        tell: called with a sentence if a changed file cannot be used; then nothing changes.
    """

    def __init__(
        self,
        study: Study,
        name: str,
        endpoints: Callable[[Study], dict[str, str]],
        tell: Callable[[str], None],
    ) -> None:
        self.study, self._name, self._endpoints, self._tell = study, name, endpoints, tell
        self._path = Path(study.experiment.topology.graph)
        self._seen: tuple[int, ...] = ()  # empty, as the file may have changed since it was read
        self._later = False  # the file has other links, which nobody has used yet
        self._next, self._asked = time.monotonic() + EVERY, False
        self._here = study.graph.nodes[name].get("endpoint")  # in the file when this peer began to listen
        self._refused = ""
        self.identity: Identity | None = None  # of this peer: it learns the others' new keys

    def refuse(self, why: str) -> None:
        """From now on, refuse a file with other links for this reason."""
        self._refused = why

    def ask(self, *_: Any) -> None:
        """Read the file before the next round, even if it seems unchanged. This is a signal handler."""
        self._asked = True

    def __call__(self, links: bool = True) -> Change | None:
        """The change, or None. Raises Dropped if the file no longer names this peer."""
        if not self._asked and time.monotonic() < self._next:
            return None
        self._next = time.monotonic() + EVERY
        seen = _stamp(self._path)
        if seen == self._seen and not self._asked and not (links and self._later):
            return None
        self._seen, self._asked, self._later = seen, False, False
        try:
            return self._change(links)
        except Dropped:
            raise
        except GossipError as error:
            warning = f"cannot use the changed {self._path}, and learns with the topology as before: {error}"
            log.warning("%s", warning)
            self._tell(warning)
            return None

    def _change(self, links: bool) -> Change | None:
        changed = study(self.study.experiment)
        if self._name not in changed.graph:
            raise Dropped(f"{self._path} no longer names {self._name}, which has left")
        if keyed(changed) != keyed(self.study):
            raise BadExperiment(
                f"{self._path}: links cannot change between open and encrypted while peers learn: stop all peers and start "
                "them again"
            )
        self._own(changed)
        places, before = self._endpoints(changed), self._endpoints(self.study)
        if changed.wiring == self.study.wiring and (places == before or self._refused or not links):
            keys = neighbour_keys(changed, self._name)
            same = keys == neighbour_keys(self.study, self._name) and places == before
            if same and signature_keys(changed) == signature_keys(self.study):
                return None
            log.info("the topology file has other public keys or endpoints")
            self._adopt(changed)
            return Change(self.study, places, keys=keys, rewired=False)
        if self._refused:
            raise BadExperiment(f"{self._path}: {self._refused}: stop all peers and start them again")
        if not links:
            self._tell(f"the changed {self._path} has other links: they count when learning begins")
            self._later = True
            return None
        if self.study.divided and (added := sorted(set(changed.names) - set(self.study.holders))):
            raise BadExperiment(
                f"{self._path}: {several(added)} would hold rows that other peers hold, because {several(self.study.holders)} "
                "divide one data.source among them: give each peer its own file with --data, or stop all peers and start "
                "them again"
            )
        if changed.graph.is_directed() or changed.changing or not symmetric(changed.links):
            raise BadExperiment(
                f"{self._path}: running peers can only use new links that have both directions, equal weights in both, and "
                "do not change between rounds: stop all peers and start them again"
            )
        called(changed)
        self._adopt(changed)
        moved = [peer for peer, place in places.items() if before.get(peer, place) != place]
        return Change(self.study, places, moved, neighbour_keys(self.study, self._name))

    def _adopt(self, changed: Study) -> None:
        self.study = replace(changed, holders=self.study.holders, divided=self.study.divided)
        if self.identity:
            self.identity.public.update(signature_keys(changed))

    def _own(self, study: Study) -> None:
        """Warn if the file has another endpoint for this peer, which keeps its own."""
        there = study.graph.nodes[self._name].get("endpoint")
        if there != self._here:
            warning = (
                f"still listens on its old endpoint, but {self._path} now has {there}: start this peer again with the same "
                "--out, or its neighbours cannot reach it"
            )
            log.warning("%s", warning)
            self._tell(warning)


def _stamp(path: Path) -> tuple[int, ...]:
    """Numbers that change when the file changes; () if there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
