"""A live peer from its first agreement to its goodbye, once or, with secure sums, again; must not know files or reports."""

import logging
from dataclasses import dataclass

from gossipfl.data import Table
from gossipfl.errors import Absent
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.live.cohort import Cohort
from gossipfl.experiment.live.engines import Live
from gossipfl.experiment.live.following import Following
from gossipfl.experiment.live.joining import begin
from gossipfl.experiment.live.journal import Journal, Tell
from gossipfl.experiment.live.reports import gossip, learners
from gossipfl.experiment.live.reread import Reread
from gossipfl.experiment.study.study import Study
from gossipfl.peer import Exchange, ZeroMQ
from gossipfl.peer.exchange import BegunAnew
from gossipfl.secrecy.start import Identity

GOODBYES = {
    "tolerance": "settled",
    "seconds": "settled",
    "rounds": "done",
    "ended": "done",
    "no optimum": "done",
}  # the reason in the goodbye of a peer that has learned to the end
log = logging.getLogger(__name__)


@dataclass
class Life:
    """What a live peer is made of; for the arguments see `process.live`. `session` is the latest one, if there is one."""

    study: Study
    me: int
    table: Table
    exchange: Exchange
    transport: ZeroMQ
    journal: Journal
    tell: Tell
    rejoin: bool
    reread: Reread | None
    alone: float
    identity: Identity | None
    session: Session | None = None

    def __post_init__(self) -> None:
        self._name, privacy = self.study.names[self.me], self.study.experiment.privacy
        leaves = self.study.secure and privacy.on_leave != "wait"
        self._cohort = Cohort(self.study, self._name, self.exchange) if leaves else None

    @property
    def gone(self) -> list[str]:
        """The peers that secure sums go on without."""
        return sorted(self._cohort.gone) if self._cohort else []

    def learn(self) -> None:
        """Agree, learn and leave; agree again with those that are there, where secure sums need it."""
        while True:
            try:
                self._begin()
                return self._follow()
            except BegunAnew:
                log.info("a peer is back, or another one gone: all agree again, with new keys of secure sums")
            except Absent as absent:
                if self.session is None or self._cohort is None:
                    raise
                self._cohort.lose(absent.peers)

    def leave(self) -> None:
        """Score the model with all that learned to the end, and say goodbye to all neighbours, as a peer that has learned."""
        exchange, session = self.exchange, self.session
        assert session is not None, "it has learned"
        near = learners(exchange, session) if exchange.rumours.cut else None
        exchange.conclude()
        session.evaluate(near=near)
        stopped = session.outcome.stopped
        if peer := gossip(session):  # others may continue for a while, each by its own clock
            peer.leave(stopped)
        else:
            exchange.leave(GOODBYES.get(stopped, stopped))

    def _begin(self) -> None:
        since = self.session
        if self._cohort and since:
            live = Live(self.study, self.me, self.exchange, self.transport, lambda: None)
            self.study = self._cohort.agree(live)
            self.me = self.study.names.index(self._name)
        self.session, how = begin(
            self.study, self.me, self.table, self.exchange, self.transport, self.journal, self.rejoin,
            self.reread or (lambda: None), self.alone, self.identity, since,
        )  # fmt: skip
        self.tell("learning", how)
        if self.session.prepared.warning:
            self.tell("agreed", self.session.prepared.warning)

    def _follow(self) -> None:
        """Learn to the end, and leave."""
        assert self.session is not None, "it has begun"
        unheeded = None if isinstance(self.session.engine, Following) else self.reread
        if unheeded:
            unheeded.refuse(fixed(self.study, self.session.prepared.kind))
        for progress in self.session:
            keep_up(unheeded, self.transport)  # with keys and endpoints only
            self.journal.budget = self.session.budget
            self.journal.line(progress, self.exchange)
            self.tell("progress", progress)
            self.journal.checkpoint(self.session, self.exchange)
        self.leave()


def fixed(study: Study, kind: str) -> str:
    """Why a method cannot learn on along other links, or with other peers."""
    if study.secure:
        return (
            "with secure sums no peer can be added or removed while the others learn, since the difference of two totals is "
            "what that peer contributed"
        )
    return f'algorithm "{kind}" cannot continue on other links'


def keep_up(reread: Reread | None, transport: ZeroMQ) -> None:
    """Use other keys and endpoints as soon as the topology file has them."""
    if reread and (change := reread(links=False)):
        change.connect(transport)
