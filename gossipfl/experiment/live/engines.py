"""The engines of one live peer, on its exchange with its neighbours; must not know files or sockets' addresses."""

from collections.abc import Callable
from pathlib import Path

import networkx as nx

from gossipfl.algorithms import Algorithm
from gossipfl.data import Table
from gossipfl.engine import Engine, Run
from gossipfl.errors import BadExperiment
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.learning.compose import Parts
from gossipfl.experiment.live.following import Change, Following, lock_step, openings, together
from gossipfl.experiment.study.study import Study
from gossipfl.gossip import GossipLearning, Shards
from gossipfl.mixing import Mixing
from gossipfl.peer import Exchange, Gossiper, GossipPeer, Peer, ZeroMQ
from gossipfl.peer.wire import attempt, ident
from gossipfl.runs import spent
from gossipfl.runs.facts import Facts
from gossipfl.runs.rows import keep
from gossipfl.secrecy.fixed import Hiding
from gossipfl.secrecy.promise import Spending
from gossipfl.secrecy.start import Identity, Start
from gossipfl.topology import Topology


class Live:
    """Makes the engines of peer number `me` (`Engines`).

    Args:
        study: what to learn.
        me: the peer's number.
        exchange, transport: its communication.
        changed: called before each round; returns changed links, or None.
        known: the facts from an earlier agreement, if the peer comes late or again.
        identity: what signs its keys of secure sums.
        folder: with the budget of private sums, and the hash of the rows that secure sums are taken of.
        table: these rows.
    """

    def __init__(
        self,
        study: Study,
        me: int,
        exchange: Exchange,
        transport: ZeroMQ,
        changed: Callable[[], Change | None],
        known: Facts | None = None,
        identity: Identity | None = None,
        folder: Path | None = None,
        table: Table | None = None,
    ) -> None:
        self._study, self._me, self._exchange = study, me, exchange
        self._transport, self._changed, self._known = transport, changed, known
        self._identity, self._folder, self._table = identity, folder, table
        # the exchange at which the last certificate began, and exchanges for those before
        self._since = self._spent = 0

    @property
    def exchanges(self) -> int:
        return self._exchange.number

    @property
    def widest(self) -> int:
        return self._exchange.inbox.limits.room

    @property
    def epoch(self) -> int:
        return attempt(self._exchange.number)

    def agreeing(self, algorithm: Algorithm, topology: Topology, mixing: Mixing) -> Peer:
        exchange = self._exchange
        after = not exchange.inbox.agreeing  # of learning: the sums of scores
        return Peer(exchange, algorithm, None, topology, mixing, origin=exchange.number, aside=after)

    def masks(self, agreement: Agreement) -> Hiding:
        """From keys that are flooded along the links.

        Raises:
            BadExperiment: this peer cannot sign its own.
            NetworkError: a peer has announced two keys, or none.
        """
        if self._identity is None:
            raise BadExperiment(
                "secure sums need a public key of each peer in the topology (gossipfl keys new), with which it signs its keys"
            )
        exchange, graph = self._exchange, self._study.graph
        exchange.outbox.roster = b""
        start = Start(self._study.fingerprint, self._study.names[self._me], self.epoch, self._identity)
        texts = agreement.union([[start.text]], start.read)
        masks, roster = start.masks(texts, {peer: set(nx.all_neighbors(graph, peer)) for peer in graph})
        exchange.outbox.roster = roster[:8]
        if self._folder and self._table and not self._study.private:
            keep(self._folder, self._table)
        return masks

    def spending(self) -> Spending:
        """As the peer's folder has it. Raises BadExperiment where it is of another budget."""
        assert self._folder, "a peer that learns has a folder"
        return spent.read(self._folder, self._study.promise)

    def learning(self, parts: Parts) -> tuple[Engine, Callable[[], Parts]]:
        """An engine that tolerates faults, if the method or its fallback does; else one that waits for all neighbours."""
        exchange = self._exchange
        if not (parts.tolerant or parts.fallback):
            return lock_step(parts, parts.main, exchange), lambda: parts
        if self._known is not None:  # the step may be shorter than the agreed one
            exchange.rewire(
                exchange.names, openings(parts.study, self._me, parts.prepared.facts.working_step)
            )
        following = Following(parts, exchange, self._transport, self._changed)
        return following, lambda: following.parts

    def aside(self, algorithm: Algorithm, topology: Topology, mixing: Mixing) -> Peer:
        self._since = self._exchange.number
        self._spent = self._exchange.neighbours.rumours.aside
        return Peer(self._exchange, algorithm, None, topology, mixing, origin=self._since, aside=True)

    def resume(self) -> None:
        """The exchanges since `aside` are no rounds."""
        self._exchange.neighbours.spread(aside=self._spent + self._exchange.number - self._since)

    def companies(self, study: Study, run: Run) -> list[nx.Graph]:
        exchange, rumours = self._exchange, self._exchange.rumours
        return [
            together(exchange, study.graph, rumours, exchange.names[exchange.me])
            if rumours.cut
            else study.graph
        ]

    def gossiping(self, learning: GossipLearning, shards: Shards) -> GossipPeer:
        study, e = self._study, self._study.experiment
        gossiper = Gossiper(
            self._me,
            [ident(name) for name in study.names],
            learning,
            shards,
            study.fingerprint,
            study.links,
            e.seed,
            loss=e.topology.loss,
        )
        return GossipPeer(gossiper, self._exchange.transport, e.gossip.period, refuse=self._exchange.refuse)
