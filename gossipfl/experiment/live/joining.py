"""The start of a live peer: with all others, late, or again after an interruption; must not know how it ends.

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
    study: Study,
    me: int,
    table: Table,
    exchange: Exchange,
    transport: ZeroMQ,
    journal: Journal,
    rejoin: bool,
    changed: Callable[[], Change | None],
) -> tuple[Session, str]:
    """A session that is ready to learn, and a sentence: it starts with all others, late, or again."""

    def session(point: Checkpoint | None = None) -> Session:
        known = point.facts if point else None
        return Session(
            study, [table], [me], Live(study, me, exchange, transport, changed, known), point=point
        )

    point, how = journal.read() if rejoin else None, "continues from round {} of its checkpoint"
    if point is None:
        try:
            begun, how = session(), "all peers have agreed: learning begins"
        except StateTransferred as state:
            log.info("the others are learning already: a neighbour sent the agreed facts")
            point, how = _received(state.payload), "the others are learning already: joins in round {}"
    if point is not None:
        exchange.begin(point.facts.origin, lambda: pack(begun.point))
        begun = session(point)
        if begun.facts.working_step < point.facts.working_step:
            log.info("the others' step is too long for these rows, which need %g", begun.facts.working_step)
    if isinstance(begun.engine, Following):
        exchange.begin(begun.facts.origin, lambda: pack(begun.point))
        journal.resumable = True
    elif isinstance(begun.engine, GossipPeer):
        # A peer that agreed with me may resend its last agreement message; it is no newcomer.
        newcomers = begun.facts.origin - (point is None)
        begun.engine.gossiper.begin(newcomers, lambda: pack(begun.point))
        journal.resumable = True
    return begun, how.format(begun.outcome.rounds)


def _received(message: bytes) -> Checkpoint:
    try:
        return unpack(message)
    except BadMessage as error:
        raise NetworkError(
            f"a neighbour sent facts that are not valid: {error}; use the same experiment file and version at all peers"
        ) from error


def patience(experiment: Experiment, endpoints: Iterable[str]) -> Patience:
    """The time limits for silent neighbours: those of the experiment or, for "auto", by the neighbours' endpoints."""
    preset = experiment.peers.patience
    here = all(re.match(r"ipc://|tcp://(127\.|localhost:)", endpoint) for endpoint in endpoints)
    return PRESETS[preset] if preset != "auto" else LOOPBACK if here else LAN
