"""The start of a live peer: with all others, late, or again after an interruption; must not know how it ends.

Importing this module starts no thread and runs no torch operation: a forkserver preloads it.
"""

import logging
from collections.abc import Callable, Iterable

import torch

from gossipfl.algorithms import METHODS
from gossipfl.config.experiment import Experiment
from gossipfl.data import Table
from gossipfl.engine import Engine
from gossipfl.errors import BadData, BadMessage, Ended, GossipError
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.learning.compose import compose
from gossipfl.experiment.learning.prepare import prepare
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.live.engines import Live
from gossipfl.experiment.live.following import Change, Following
from gossipfl.experiment.live.journal import Journal
from gossipfl.experiment.study.study import Study
from gossipfl.mixing import Mixing
from gossipfl.peer import Exchange, GossipPeer, ZeroMQ
from gossipfl.peer.exchange import BegunAnew, StateTransferred
from gossipfl.peer.neighbour import Message
from gossipfl.peer.patience import LAN, LOOPBACK, PRESETS, Patience
from gossipfl.peer.rumours import SHORTEST
from gossipfl.runs.facts import Checkpoint, Facts, pack, unpack
from gossipfl.secrecy.start import Identity
from gossipfl.topology.endpoint import local

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
    alone: float,
    identity: Identity | None = None,
    since: Session | None = None,
) -> tuple[Session, str]:
    """A session that is ready to learn, and a sentence: it starts with all others, late, or again.

    `alone`: if it comes late or again, it waits so many seconds for an answer before it learns alone. `since`: its session
    before all had to agree again.
    """

    def session(point: Checkpoint | None = None) -> Session:
        known = point.facts if point else None
        return Session(
            study,
            [table],
            [me],
            Live(study, me, exchange, transport, changed, known, identity, journal.folder, table),
            point=point,
            since=since,
        )

    point, how = (
        journal.read() if rejoin and not study.secure else None,
        "continues from round {} of its checkpoint",
    )
    begun: Session | None = None
    while begun is None and point is None:
        try:
            begun, how = session(), "all peers have agreed: learning begins" + " again" * (since is not None)
        except StateTransferred as transferred:
            log.info("the others are learning already: a neighbour sent the agreed facts")
            unfit = rehearsed(study, me, table, transferred.state)
            if unfit is None:
                point, how = transferred.state, "the others are learning already: joins in round {}"
            elif not exchange.distrust(transferred.sender, str(unfit)):
                raise unfit from None
        except BegunAnew:
            if since is not None:  # who takes part comes first
                raise
    if point is not None:
        exchange.begin(point.facts.origin)
        exchange.alone = alone
        begun = session(point)
        bearable(study.names[me], begun.facts, point.facts)
        if begun.facts.working_step < point.facts.working_step:
            log.info("the others' step is too long for these rows, which need %g", begun.facts.working_step)
    assert begun is not None
    _ready(study, begun, exchange, late=point is not None)
    journal.resumable = isinstance(begun.engine, Following | GossipPeer)
    return begun, how.format(begun.outcome.rounds)


def bearable(name: str, own: Facts, known: Facts) -> None:
    """Raise BadData if this peer's rows need a far shorter step than all others learn with."""
    if own.working_step < SHORTEST * known.working_step:
        raise BadData(
            f"{name} needs a step of {own.working_step:.1g}, and all others learn with {known.working_step:.1g}: "
            "are its features in the same units as theirs?"
        )


def rehearsed(study: Study, me: int, table: Table, point: Checkpoint) -> GossipError | None:
    """Why this peer cannot continue from a state that a neighbour sent; None if it can. Nobody hears of the attempt."""

    def missing(*_: object) -> Engine:
        raise BadMessage("it lacks a part of what all others have agreed on")

    try:
        agreement = Agreement(study.graph, study.diameter, study.tree, missing)
        prepared = prepare(study, [table], torch.tensor([me]), agreement, known=point.facts)
        prepared.continued(point.x)
        if METHODS[prepared.kind].rounds:
            compose(study, prepared)
        bearable(study.names[me], prepared.facts, point.facts)
    except GossipError as error:
        return error
    except (
        ArithmeticError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:  # of facts that were made up
        return BadData(f"{study.names[me]} cannot learn from what a neighbour says was agreed: {error}")
    return None


def inherited(
    study: Study, me: int, table: Table, exchange: Exchange, transport: ZeroMQ, session: Session, ended: Ended
) -> tuple[Session, Message | None]:
    """The session of a peer that came back after all others had ended, and the message from which it has their model.

    If no neighbour has sent one that can be used, the session is interrupted, and the message is None.
    """
    words: Message | None = ended.words
    try:
        if words is not None and words.payload:
            theirs = received(study, table, words.payload)
            live = Live(study, me, exchange, transport, lambda: None, theirs.facts)
            session = Session(study, [table], [me], live, point=theirs)
            session.outcome.stopped, session.outcome.why = "ended", f"{ended}; it has their model"
            return session, words
    except BadMessage as error:
        log.warning("a neighbour sent a state that cannot be used: %s", error)
    session.interrupt()
    session.outcome.why = f"{ended}; it has its own model of round {session.outcome.rounds}"
    return session, None


def _ready(study: Study, begun: Session, exchange: Exchange, late: bool) -> None:
    """Tell the ends of all edges that learning begins, within what limits, and what a newcomer gets."""
    engine, stop = begun.engine, begun.stop
    if isinstance(engine, GossipPeer):
        # A peer that agreed with me may resend its last agreement message; it is no newcomer.
        engine.gossiper.begin(begun.facts.origin - (not late), lambda: pack(begun.point))
        return
    main = engine.parts.main.mixing if isinstance(engine, Following) else Mixing()
    transfer = (lambda: pack(begun.point)) if isinstance(engine, Following) else None
    rounds = stop.rounds * study.experiment.algorithm.local_steps
    exchange.begin(
        begun.facts.origin,
        transfer,
        rounds * main.exchanges,
        begun.facts.working_step,
        None if late else 0.0,
        anew=study.secure,
    )


def received(study: Study, table: Table, message: bytes) -> Checkpoint:
    """The state of the others, as a neighbour has sent it to a peer with these rows.

    Raises:
        BadMessage: the bytes are no such message, or it is the state of other columns or of a model of another size.
    """
    if study.secure:
        raise BadMessage("a state, though with secure sums all agree again where a peer begins again")
    point = unpack(message)
    schema, p = point.facts.schema, point.x.shape[1]
    if set(schema.columns) != set(table.columns):
        raise BadMessage(f"it has other columns than {table.where}: {', '.join(schema.columns[:20])}")
    if study.experiment.model.kind != "module":
        outputs = study.loss.outputs(len(schema.classes or ()))
        if p != (width := (len(schema.features) + study.experiment.model.intercept) * outputs):
            raise BadMessage(f"a model of {p} parameters, where this study has {width}")
    rank = min(study.experiment.algorithm.precondition, p)
    if len(point.facts.curvature) != rank * p:
        raise BadMessage(
            f"{len(point.facts.curvature)} numbers of a curvature, where this study has {rank * p}"
        )
    return point


def patience(experiment: Experiment, endpoints: Iterable[str]) -> Patience:
    """The time limits for silent neighbours: those of the experiment or, for "auto", by the neighbours' endpoints."""
    preset = experiment.peers.patience
    here = all(map(local, endpoints))
    return PRESETS[preset] if preset != "auto" else LOOPBACK if here else LAN
