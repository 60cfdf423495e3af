"""How a live peer comes to learn: with all others, late, or again after it was there; must not know how it ends.

Importing this module starts no thread and runs no torch operation: a forkserver preloads it.
"""

import logging
import re
from collections.abc import Callable, Iterable

from gossipfl.config.experiment import Experiment
from gossipfl.data import Table
from gossipfl.errors import BadMessage, NetworkError
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.live.engines import Live
from gossipfl.experiment.live.following import Change, Following
from gossipfl.experiment.live.journal import Journal
from gossipfl.experiment.study.study import Study
from gossipfl.peer import Exchange, GossipPeer, ZeroMQ
from gossipfl.peer.exchange import StateTransferred
from gossipfl.peer.patience import LAN, LOOPBACK, PRESETS, Patience
from gossipfl.runs.facts import Checkpoint, pack, unpack

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
    """A session that is ready to learn, and in words how it begins: together with all others, late, or again."""

    def session(point: Checkpoint | None = None) -> Session:
        known = point.facts if point else None
        return Session(made, [table], [me], Live(made, me, exchange, transport, changed, known), point=point)

    point, how = journal.read() if rejoin else None, "goes on from round {} of its checkpoint"
    if point is None:
        try:
            begun, how = session(), "all are here: learning"
        except StateTransferred as state:
            log.info("the study is under way: a neighbour sent what was agreed")
            point, how = _told(state.payload), "the study is under way: learning from round {}"
    if point is not None:
        exchange.begin(point.facts.origin, lambda: pack(begun.point))
        begun = session(point)
        if begun.facts.working_step < point.facts.working_step:
            log.info("the others' step is too long for these rows: %g", begun.facts.working_step)
    if isinstance(begun.engine, Following):
        exchange.begin(begun.facts.origin, lambda: pack(begun.point))
        journal.resumable = True
    elif isinstance(begun.engine, GossipPeer):
        # A peer that agreed with me may resend its last agreement message; it is no newcomer.
        newcomers = begun.facts.origin - (point is None)
        begun.engine.gossiper.begin(newcomers, lambda: pack(begun.point))
        journal.resumable = True
    return begun, how.format(begun.outcome.rounds)


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
