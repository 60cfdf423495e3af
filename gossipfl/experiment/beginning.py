"""How a live peer comes to learn: with all others, late, or again after it was there; must not know how it ends.

Importing this module starts no thread and runs no torch operation: a forkserver preloads it.
"""

import logging
import re
from collections.abc import Iterable

import msgspec
import torch

from gossipfl.data import Table
from gossipfl.errors import BadMessage, NetworkError
from gossipfl.experiment.beside import beside
from gossipfl.experiment.checkpoint import Checkpoint
from gossipfl.experiment.facts import Facts, pack, unpack
from gossipfl.experiment.gossip_live import gossiping
from gossipfl.experiment.journal import Journal
from gossipfl.experiment.method import bears
from gossipfl.experiment.session import Session
from gossipfl.experiment.settings import Experiment
from gossipfl.experiment.study import Study
from gossipfl.peer import Exchange, Peer, ZeroMQ
from gossipfl.peer.exchange import Welcomed
from gossipfl.peer.fallback import Fallback
from gossipfl.peer.patience import LAN, LOOPBACK, PRESETS, Patience

log = logging.getLogger(__name__)


def begin(
    made: Study,
    me: int,
    table: Table,
    exchange: Exchange,
    transport: ZeroMQ,
    journal: Journal,
    rejoin: bool,
) -> Session:
    """A session that is ready to learn: of peers that all begin now; or of one that was here before, or comes late."""

    def session(known: Facts | None = None) -> Session:
        return Session(
            made,
            [table],
            [me],
            lambda *parts: Peer(exchange, *parts),
            gossiping(made, me, transport),
            known=known,
        )

    point = journal.read() if rejoin else None
    if point is None:
        try:
            begun = session()
            facts = msgspec.structs.replace(begun.prepared.facts, origin=exchange.tick)
        except Welcomed as welcome:
            log.info("the study is under way: a neighbour told what was agreed")
            facts, round, x = _told(welcome.payload)
            point = Checkpoint(x, round, 0.0, facts)
    if point is not None:
        facts, exchange.tick = point.facts, point.facts.origin
        begun = session(facts)
        mine, theirs = begun.prepared.start.shape[1], point.x.shape[1]
        if mine != theirs:
            raise NetworkError(
                f"a model of {theirs} parameters to go on from, but this study has {mine}: is it the same experiment?"
            )
        begun.resume(point.x, point.round, point.seconds)
    if harden(made, begun, exchange, facts):
        exchange.around.origin = facts.origin
        exchange.welcome = lambda: pack(facts, begun.outcome.run.round, begun.outcome.run.state.x)
        journal.facts = facts
    return begun


def harden(made: Study, session: Session, exchange: Exchange, facts: Facts) -> bool:
    """Let the session go on whatever becomes of neighbours, if its method bears that, or another one can take over."""
    absent, engine, start = made.experiment.stop.absent, session.engine, exchange.tick
    if session.method is None:
        return False  # gossip learning needs nobody anyway
    assert isinstance(engine, Peer)
    if bears(made, session.method):
        engine.tolerate(absent)
        return True
    other = beside(made, session.prepared)
    if other is None:
        return False
    exchange.tick = facts.origin
    parts = (
        other.algorithm,
        session.prepared.problem,
        other.topology,
        other.mixing,
        made.horizon,
        made.changing,
    )
    session.engine = Fallback(engine, Peer(exchange, *parts), session.method.cycle, absent)
    exchange.tick = start
    return True


def _told(message: bytes) -> tuple[Facts, int, torch.Tensor]:
    try:
        return unpack(message)
    except BadMessage as error:
        raise NetworkError(f"a neighbour told what was agreed, but it makes no sense: {error}") from error


def patience(experiment: Experiment, endpoints: Iterable[str]) -> Patience:
    """How long silence is borne: as told, or as fits where the neighbours are."""
    told = experiment.peers.patience
    here = all(re.match(r"ipc://|tcp://(127\.|localhost:)", endpoint) for endpoint in endpoints)
    return PRESETS[told] if told != "auto" else LOOPBACK if here else LAN
