"""Which peers still take part in secure sums, after one has disappeared; must not know what is summed."""

import dataclasses
import logging
from collections.abc import Collection

import networkx as nx

from gossipfl.errors import Absent, NetworkError
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.live.engines import Live
from gossipfl.experiment.live.following import called
from gossipfl.experiment.study.study import Study
from gossipfl.peer import Exchange
from gossipfl.peer.exchange import BegunAnew
from gossipfl.peer.wire import ident
from gossipfl.secrecy.partners import pods
from gossipfl.topology.names import several

log = logging.getLogger(__name__)


class Cohort:
    """The peers of a study, less those that are gone, as one of them knows them; `gone` only grows.

    Args:
        study: with all peers.
        me: this peer.
        exchange: its communication.
    """

    def __init__(self, study: Study, me: str, exchange: Exchange) -> None:
        self.gone: set[str] = set()
        self._whole, self._me, self._exchange = study, me, exchange
        self._names = called(study)

    def lose(self, peers: Collection[int]) -> None:
        """These neighbours have been away for too long."""
        self.gone |= {self._names[peer] for peer in peers}
        log.info("%s: gone for too long; the others agree again without", several(sorted(self.gone)))
        self._exchange.retry()

    def agree(self, live: Live) -> Study:
        """The study of those that are still there, the same at all of them.

        Raises:
            NetworkError: this peer leaves with its pod; or those that are left are too few, or have no path to each other.
        """
        while True:
            try:
                return self._study(self._told(live))
            except BegunAnew:
                continue
            except Absent as absent:
                self.lose(absent.peers)

    def _told(self, live: Live) -> set[str]:
        """All peers that anybody misses, by a flood among the others."""
        graph, names = self._whole.graph.copy(), self._whole.names
        graph.remove_edges_from([*graph.edges(self.gone)])
        self._exchange.shrink(self._names, {*map(ident, self.gone)})

        def read(name: str) -> str:
            if name not in names:
                raise ValueError("no peer")
            return name

        agreement = Agreement(graph, len(names) - 1, self._whole.tree, live.agreeing)
        self.gone |= agreement.union([self.gone], read)
        if self._whole.experiment.privacy.on_leave == "pods":
            size = self._whole.experiment.privacy.pod
            self.gone |= {name for pod in pods(names, size) if self.gone & {*pod} for name in pod}
        return self.gone

    def _study(self, gone: set[str]) -> Study:
        without, privacy = several(sorted(gone)), self._whole.experiment.privacy
        if self._me in gone:
            raise NetworkError(
                f"a peer of this one's pod is gone: a sum without it alone would tell its rows, so all of {without} leave"
            )
        graph = self._whole.graph.subgraph([name for name in self._whole.names if name not in gone]).copy()
        if len(graph) < privacy.min_peers or not nx.is_connected(graph.to_undirected()):
            raise NetworkError(
                f"without {without} the {len(graph)} others are too few for secure sums, or have no path to each other"
            )
        study = dataclasses.replace(self._whole, graph=graph)
        self._exchange.shrink(called(study), {*map(ident, gone)})
        return study
