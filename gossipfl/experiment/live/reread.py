"""A topology file that may change while a peer learns along it; must not know engines or messages."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx

from gossipfl.errors import BadExperiment, Dropped, GossipError
from gossipfl.experiment.live.following import Change, called
from gossipfl.experiment.live.keyring import keyed, neighbour_keys, presents, signature_keys
from gossipfl.experiment.study.make import study
from gossipfl.experiment.study.study import Study
from gossipfl.peer.gate import LinkKeys
from gossipfl.secrecy.start import Identity
from gossipfl.topology import read, symmetric
from gossipfl.topology.names import several

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds between two checks of the file


class Reread:
    """Checks the file for changes; a call returns the study over a changed topology, or None.

    A call with `links=False` returns other keys and endpoints only; it leaves other links to a later call. Keys always count
    at once, even those of a file that cannot be used else: who is not in it any more, or has no key there, has none.

    Args:
        study: the study over the topology as it was read first.
        name: of the peer.
        endpoints: study -> the endpoints of the peer's neighbours.
        tell: called with a sentence if a changed file cannot be used; then nothing changes but the keys.
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
        self._keys = neighbour_keys(study, name), signature_keys(study)  # which count
        self.identity: Identity | None = None  # of this peer: it learns the others' new keys
        self.own: LinkKeys | None = None  # the keys of its links, if they are encrypted

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
        listed, change = self._listed(), None
        try:
            change = self._change(links)
        except Dropped:
            raise
        except GossipError as error:
            self._warn(
                f"cannot use the changed {self._path}, and learns with the topology as before: {error}"
            )
        return change if change or listed is None else self._rekeyed(listed)

    def _listed(self) -> nx.Graph | None:
        """What the file lists, whether or not it can be used. None: it has nothing to say of keys."""
        try:
            listed = read(self._path)
        except BadExperiment:  # it is told soon
            return None
        if self.own is None or self._name not in listed:
            return None
        if not presents(self.own, listed, self._name):
            self._warn(
                f"{self._path} no longer names the key that this peer presents: start it again with the same --out, or its "
                "neighbours refuse it"
            )
        return listed

    def _rekeyed(self, listed: nx.Graph) -> Change | None:
        """Other keys alone, if the file has others: then the rest of it is as before, or cannot be used."""
        links, signatures = keys = (
            neighbour_keys(self.study, self._name, listed),
            signature_keys(self.study, listed),
        )
        if keys == self._keys:
            return None
        gone = [peer for peer, those in signatures.items() if not those and self._keys[1].get(peer)]
        if gone:
            self._warn(
                f"{self._path} has no public key for {several(gone)} any more: messages under the old one are refused, and "
                "nothing is sent until the file has a new one"
            )
        self._count(keys)
        return Change(self.study, self._endpoints(self.study), keys=links, rewired=False)

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
            if places == before and (keys, signature_keys(changed)) == self._keys:
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
        self._count((neighbour_keys(changed, self._name), signature_keys(changed)))

    def _count(self, keys: tuple[dict[int, list[bytes]], dict[str, list[bytes]]]) -> None:
        """From now on these keys count, of neighbours and of all peers."""
        self._keys = keys
        if self.identity:
            for peer in self.identity.public:
                self.identity.public[peer] = keys[1].get(peer, [])
            self.identity.public.update(keys[1])

    def _own(self, study: Study) -> None:
        """Warn if the file has another endpoint for this peer, which keeps its own."""
        there = study.graph.nodes[self._name].get("endpoint")
        if there != self._here:
            self._warn(
                f"still listens on its old endpoint, but {self._path} now has {there}: start this peer again with the same "
                "--out, or its neighbours cannot reach it"
            )

    def _warn(self, warning: str) -> None:
        log.warning("%s", warning)
        self._tell(warning)


def _stamp(path: Path) -> tuple[int, ...]:
    """Numbers that change when the file changes; () if there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
