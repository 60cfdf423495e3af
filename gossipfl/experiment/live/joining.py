"""How a live peer comes to learn: with all others, late, or again after it was there; must not know how it ends.

Importing this module starts no thread and runs no torch operation: a forkserver preloads it.
"""

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from gossipfl.config.experiment import Experiment
from gossipfl.data import Table
from gossipfl.errors import BadMessage, NetworkError
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.live.following import Change, Following, made_sturdy, openings, working_step
from gossipfl.experiment.live.gossip import gossiping
from gossipfl.experiment.live.journal import Journal
from gossipfl.experiment.study.study import Study
from gossipfl.peer import Exchange, GossipPeer, Peer, ZeroMQ
from gossipfl.peer.exchange import Welcomed
from gossipfl.peer.patience import LAN, LOOPBACK, PRESETS, Patience
from gossipfl.runs.facts import Checkpoint, Facts, pack, unpack

log = logging.getLogger(__name__)


def begin(
    made: Study,
    me: int,
    table: Table,
    exchange: Exchange,
    transport: ZeroMQ,
    journal: Journal,
    rejoin: bool,
    changed: Callable[[], Change | None],
) -> tuple[Session, str]:
    """A session that is ready to learn, and what is true of it in words: all begin now, or one goes on, or comes late."""

    def session(known: Facts | None = None) -> Session:
        return Session(
            made,
            [table],
            [me],
            lambda *parts: Peer(exchange, *parts),
            gossiping(made, me, exchange.transport),
            known=known,
        )

    point, how = journal.read() if rejoin else None, "goes on from round {} of its checkpoint"
    if point is None:
        try:
            begun = session()
            begun.prepared = replace(begun.prepared, facts=begun.prepared.facts.begun(exchange.tick))
            how = "all are here: learning"
        except Welcomed as welcome:
            log.info("the study is under way: a neighbour told what was agreed")
            point, how = _told(welcome.payload), "the study is under way: learning from round {}"
    if point is not None:
        begun = _late(session(point.facts), point)
        exchange.tick = point.facts.origin
        step = working_step(begun.prepared.facts)
        if step < working_step(point.facts):
            log.info("the others' step is too long for these rows: %g", step)
        exchange.rewire(
            exchange.names, openings(made, me, step)
        )  # it may not be the one that was agreed at first
    _hardened(begun, point is not None, exchange, transport, journal, changed)
    return begun, how.format(begun.outcome.rounds)


def _hardened(
    begun: Session,
    late: bool,
    exchange: Exchange,
    transport: ZeroMQ,
    journal: Journal,
    changed: Callable[[], Change | None],
) -> None:
    """Where its method bears that, let the session go on without neighbours, welcome newcomers, and keep checkpoints."""
    made = begun.study
    if sturdy := begun.method and made_sturdy(made, begun.prepared, exchange):
        inner, begun.cycle = sturdy
        begun.engine = Following(begun, inner, exchange, transport, changed)
        exchange.around.origin, exchange.inbox.graph = begun.prepared.facts.origin, None
        exchange.welcome = lambda: pack(begun.point)
        journal.resumable = True
    elif isinstance(begun.engine, GossipPeer):
        gossiper = begun.engine.gossiper
        # Who agreed with me may yet say the last of it; who waits for what I never said may not.
        gossiper.newcomers = begun.prepared.facts.origin - (not late)
        gossiper.welcome = lambda: pack(begun.point)
        journal.resumable = True


def _late(begun: Session, point: Checkpoint) -> Session:
    """The session at a point that the peer, or a neighbour, had reached."""
    mine, theirs = begun.prepared.start.shape[1], point.x.shape[1]
    if mine != theirs:
        raise NetworkError(
            f"a model of {theirs} parameters to go on from, but this study has {mine}: is it the same experiment?"
        )
    begun.resume(point)
    return begun


def _told(message: bytes) -> Checkpoint:
    try:
        return unpack(message)
    except BadMessage as error:
        raise NetworkError(f"a neighbour told what was agreed, but it makes no sense: {error}") from error


def patience(experiment: Experiment, endpoints: Iterable[str]) -> Patience:
    """How long silence is borne: as told, or as fits where the neighbours are."""
    told = experiment.peers.patience
    here = all(re.match(r"ipc://|tcp://(127\.|localhost:)", endpoint) for endpoint in endpoints)
    return PRESETS[told] if told != "auto" else LOOPBACK if here else LAN
