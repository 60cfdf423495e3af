"""The life of one live peer, in its own process; must not know its launcher except for the pipe to it.

Importing this module starts no thread and runs no torch operation: a forkserver preloads it.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from gossipfl.data import Table
from gossipfl.errors import Departed, Ended, GossipError
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.live.following import Following, called, openings
from gossipfl.experiment.live.joining import begin, inherited, patience, received
from gossipfl.experiment.live.journal import Journal, Tell, log_to
from gossipfl.experiment.live.largest import largest
from gossipfl.experiment.live.reports import BULKY, Report, gossip, learners, reported
from gossipfl.experiment.live.reread import Reread
from gossipfl.experiment.study.study import Study
from gossipfl.peer import Exchange, ZeroMQ
from gossipfl.peer.check import Checker
from gossipfl.peer.exchange import BegunAnew
from gossipfl.peer.gate import LinkKeys
from gossipfl.peer.inbox import AHEAD
from gossipfl.peer.limits import Limits
from gossipfl.peer.neighbour import Message
from gossipfl.peer.transport import Chances, Unreliable
from gossipfl.peer.wire import ident
from gossipfl.runs.lock import locked
from gossipfl.secrecy.start import Identity
from gossipfl.signals import interrupt_once, unheard

WAIT = 30.0  # seconds that a peer of a run waits for the first message of each neighbour
LINGER = 1.0  # seconds for the last messages of gossip learning to neighbours that may have ended
PARTING = 1.0  # seconds to wait for the goodbyes of neighbours that end at the same time
GOODBYES = {
    "tolerance": "settled",
    "seconds": "settled",
    "rounds": "done",
    "ended": "done",
    "no optimum": "done",
}  # the reason in the goodbye of a peer that has learned to the end
log = logging.getLogger(__name__)


def live(
    study: Study,
    me: int,
    table: Table,
    folder: Path,
    transport: ZeroMQ,
    endpoints: Mapping[int, str],
    tell: Tell,
    rejoin: bool = False,
    chances: Sequence[float] = (),
    reread: Reread | None = None,
    alone: float | None = None,
    identity: Identity | None = None,
    wait: float | None = None,
) -> Report:
    """Connect, agree, learn and write: the whole life of peer number `me`. A GossipError becomes part of the report.

    Args:
        study: what to learn.
        me: this peer's number.
        table: its rows.
        folder: of its files.
        transport: bound, but not yet connected.
        endpoints: of its neighbours, by number.
        tell: called with ("learning", sentence), ("agreed", a warning that all peers give), ("progress", line of metrics) or
            ("warning", sentence).
        rejoin: continue from the checkpoint in the folder, if there is one.
        chances: for faults, the present probabilities that a message is lost and that it is duplicated.
        reread: the topology file, if it may change.
        alone: if the peer comes late or again, it waits so many seconds for an answer before it learns alone; default:
            `stop.absent`.
        identity: what signs the peer's keys of secure sums.
        wait: seconds within which each neighbour must be there; default: `peers.wait`, or 30.
    """
    e, near = study.experiment, {ident(study.names[other]): endpoint for other, endpoint in endpoints.items()}
    carrier = Unreliable(transport, lambda: Chances(*chances), me, e.seed) if chances else transport
    # The horizon is measured from some rounds only; others may be longer by chance.
    ahead, most = AHEAD + 4 * study.horizon, largest(study, table)

    idle = partial(_keep_up, reread, transport)
    exchange = Exchange(
        ident(study.names[me]),
        called(study),
        study.fingerprint,
        openings(study, me),
        carrier,
        wait or e.peers.wait or WAIT,
        ahead=ahead,
        patience=patience(e, [place or transport.endpoint for place in endpoints.values()]),
        limits=Limits(most, math.inf if e.stop.seconds is None else e.stop.seconds),
        unpack=lambda message: received(study, table, message),
        absent=e.stop.absent,
        idle=idle,
        checker=Checker(ident(study.names[me]), study.settings),
    )
    alone = e.stop.absent if alone is None else alone
    session: Session | None = None
    heritage: Message | None = None
    failure: dict[str, Any] = {}
    journal = Journal(folder, study, tell)
    try:
        transport.connect(near, 2 * ahead)
        while session is None or _anew(session, exchange, transport, journal, tell, reread):
            since = session.outcome if session else None
            session, how = begin(
                study,
                me,
                table,
                exchange,
                transport,
                journal,
                rejoin,
                reread or (lambda: None),
                alone,
                identity,
                since,
            )
            tell("learning", how)
            if session.prepared.warning:
                tell("agreed", session.prepared.warning)
    except KeyboardInterrupt:
        if session:
            session.interrupt()
        (gossip(session) or exchange).leave("interrupted")
    except Ended as ended:
        assert session is not None, "only peers that learn wait"
        session, heritage = inherited(study, me, table, exchange, transport, session, ended)
        _leave(exchange, session)
    except GossipError as error:
        failure = {"exit_code": error.exit_code, "error": str(error), "departed": isinstance(error, Departed)}
        log.error("%s", error)
        exchange.leave("failed")
    finally:
        with unheard():
            gone = set() if gossip(session) else exchange.part(PARTING)
            transport.close(LINGER if gossip(session) else 5.0, gone)
    with unheard():
        report = reported(exchange, session, failure, heritage)
        if session and report.stopped == "interrupted":
            journal.checkpoint(session, exchange, now=True)
        figures = {name: value for name, value in vars(report).items() if name not in BULKY}
        figures["certificate"] = report.certificate and report.certificate.distance
        unwritten = journal.end(session.models[0] if session else None, table, figures)
        return replace(report, unwritten=unwritten)


def _anew(
    session: Session,
    exchange: Exchange,
    transport: ZeroMQ,
    journal: Journal,
    tell: Tell,
    reread: Reread | None,
) -> bool:
    """Learn, and leave; or, if a peer is back with new keys of secure sums, return True: then all agree again."""
    unheeded = None if isinstance(session.engine, Following) else reread
    if unheeded:
        unheeded.refuse(f'algorithm "{session.prepared.kind}" cannot continue on other links')
    try:
        for progress in session:
            _keep_up(unheeded, transport)  # with keys and endpoints only
            journal.line(progress, exchange)
            tell("progress", progress)
            journal.checkpoint(session, exchange)
        _leave(exchange, session)
    except BegunAnew:
        log.info("a peer is back, with new keys of secure sums: all agree again")
        return True
    return False


def _keep_up(reread: Reread | None, transport: ZeroMQ) -> None:
    """Use other keys and endpoints as soon as the topology file has them."""
    if reread and (change := reread(links=False)):
        change.connect(transport)


def _leave(exchange: Exchange, session: Session) -> None:
    """Score the model with all that learned to the end, and say goodbye to all neighbours, as a peer that has learned."""
    near = learners(exchange, session) if exchange.rumours.cut else None
    exchange.conclude()
    session.evaluate(near=near)
    stopped = session.outcome.stopped
    if peer := gossip(session):  # others may continue for a while, each by its own clock
        peer.leave(stopped)
    else:
        exchange.leave(GOODBYES.get(stopped, stopped))


def main(
    pipe: Connection,
    study: Study,
    me: int,
    table: Table,
    folder: Path,
    endpoint: str,
    rejoin: bool = False,
    chances: Sequence[float] = (),
    keys: LinkKeys | None = None,
    identity: Identity | None = None,
) -> None:
    """The main function of a peer's process: send the endpoint through the pipe, receive those of others, live, and report.

    Once it learns it does not need the launcher any more.
    """

    def tell(*what: Any) -> None:
        try:
            pipe.send(what)
        except OSError:
            log.warning("the launcher has ended and does not receive: %s", what[0])

    report = Report()
    try:
        try:
            interrupt_once()
            torch.set_num_threads(1)
            log_to(folder)
            with locked(folder), study.unrecorded():
                transport = ZeroMQ(endpoint, largest(study, table), keys)
                pipe.send(("endpoint", transport.endpoint))
                endpoints = pipe.recv()
                report = live(
                    study, me, table, folder, transport, endpoints, tell, rejoin, chances, identity=identity
                )
        except GossipError as error:
            report = Report(exit_code=error.exit_code, error=str(error))
        except (BrokenPipeError, EOFError):
            log.error("the launcher ended before this peer could begin")
        except Exception as error:
            log.exception("unexpected error")
            sentence = f"peer {study.names[me]}: {type(error).__name__}: {error}; the trace is in {folder / 'log.jsonl'}"
            report = Report(exit_code=1, error=sentence)
    except KeyboardInterrupt:  # it comes once, at any place above
        log.info("interrupted before it learned")
    with unheard():
        tell("report", report)
