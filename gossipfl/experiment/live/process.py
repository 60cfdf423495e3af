"""One live peer's life, in its own process; must not know its launcher beyond the pipe to it.

Importing this module starts no thread and runs no torch operation: a forkserver preloads it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from gossipfl.data import Table
from gossipfl.errors import Departed, GossipError
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.live.following import Following, called, openings
from gossipfl.experiment.live.joining import begin, patience
from gossipfl.experiment.live.journal import Journal, Tell, log_to
from gossipfl.experiment.live.reports import BULKY, Report, gossip, told
from gossipfl.experiment.live.reread import Reread
from gossipfl.experiment.study.study import Study
from gossipfl.peer import Exchange, ZeroMQ
from gossipfl.peer.inbox import AHEAD
from gossipfl.peer.transport import Chances, Unreliable
from gossipfl.peer.wire import ident
from gossipfl.signals import interrupt_once, unheard

LINGER = 1.0  # seconds for a gossiping peer's last words to reach neighbours that may have gone
PARTING = 1.0  # seconds for the goodbyes of neighbours that end with me
LARGEST = 2**30  # bytes of a message: some 128 million float64 parameters
GOODBYES = {
    "tolerance": "settled",
    "seconds": "settled",
    "rounds": "done",
}  # why a peer goes that has learned to the end
log = logging.getLogger(__name__)


def live(
    made: Study,
    me: int,
    table: Table,
    folder: Path,
    transport: ZeroMQ,
    endpoints: Mapping[int, str],
    tell: Tell,
    rejoin: bool = False,
    chances: Sequence[float] = (),
    reread: Reread | None = None,
) -> Report:
    """Connect, agree, learn, write: the whole life of peer number `me`. Never raises a GossipError: it is reported.

    Args:
        made: the study.
        me: this peer's number.
        table: its rows.
        folder: where its files go.
        transport: bound, not yet connected.
        endpoints: of its neighbours, by number.
        tell: called with "learning" and how it begins to, "progress" and each line of metrics, "warning" and a sentence.
        rejoin: go on from the checkpoint in the folder, if there is one.
        chances: where messages are to be lost and doubled, with which probabilities at present.
        reread: the topology file, if it may change.
    """
    e, near = made.experiment, {ident(made.names[other]): endpoint for other, endpoint in endpoints.items()}
    carrier = Unreliable(transport, lambda: Chances(*chances), me, e.seed) if chances else transport
    ahead = AHEAD + 4 * made.horizon  # which is measured from some rounds only; chance may make others longer
    exchange = Exchange(
        ident(made.names[me]),
        called(made),
        made.fingerprint,
        openings(made, me),
        carrier,
        e.peers.wait,
        ahead=ahead,
        patience=patience(e, endpoints.values()),
    )
    session: Session | None = None
    failure: dict[str, Any] = {}
    journal = Journal(folder, made, tell)
    try:
        transport.connect(near, 2 * ahead)
        session, how = begin(made, me, table, exchange, transport, journal, rejoin, reread or (lambda: None))
        tell("learning", how)
        unheeded = None if isinstance(session.engine, Following) else reread
        if unheeded:
            unheeded.refuse(f"{session.prepared.kind} cannot go on along other links")
        for progress in session:
            if unheeded:
                unheeded()
            journal.line(progress, exchange)
            tell("progress", progress)
            journal.checkpoint(session, exchange)
        if peer := gossip(session):  # others may go on for a while, each by its own clock
            peer.leave(session.outcome.stopped)
        else:
            exchange.leave(GOODBYES.get(session.outcome.stopped, session.outcome.stopped))
    except KeyboardInterrupt:
        if session:
            session.interrupt()
        (gossip(session) or exchange).leave("interrupted")
    except GossipError as error:
        failure = {"exit_code": error.exit_code, "error": str(error), "departed": isinstance(error, Departed)}
        log.error("%s", error)
        exchange.leave("failed")
    finally:
        with unheard():
            gone = set() if gossip(session) else exchange.part(PARTING)
            transport.close(LINGER if gossip(session) else 5.0, gone)
    with unheard():
        report = told(exchange, session, failure)
        if session and report.stopped == "interrupted":
            journal.checkpoint(session, exchange, now=True)
        figures = {name: value for name, value in vars(report).items() if name not in BULKY}
        unwritten = journal.end(session.models[0] if session else None, table, figures)
        return replace(report, unwritten=unwritten)


def main(
    pipe: Connection,
    made: Study,
    me: int,
    table: Table,
    folder: Path,
    endpoint: str,
    rejoin: bool = False,
    chances: Sequence[float] = (),
) -> None:
    """A peer started by the launcher: tell the endpoint, learn the others', live, and report through the pipe.

    Once it learns it does not need the launcher any more.
    """
    interrupt_once()
    torch.set_num_threads(1)
    log_to(folder)

    def tell(*what: Any) -> None:
        try:
            pipe.send(what)
        except OSError:
            log.warning("the launcher is gone; %s not told", what[0])

    try:
        transport = ZeroMQ(endpoint, LARGEST)
        pipe.send(("endpoint", transport.endpoint))
        endpoints = pipe.recv()
        report = live(made, me, table, folder, transport, endpoints, tell, rejoin, chances)
        with unheard():
            tell("report", report)
    except KeyboardInterrupt:
        tell("report", Report())
    except GossipError as error:
        tell("report", Report(exit_code=error.exit_code, error=str(error)))
    except (BrokenPipeError, EOFError):
        log.error("the launcher is gone before this peer could begin")
    except Exception as error:
        log.exception("an error that nobody expected")
        told = (
            f"peer {made.names[me]}: {type(error).__name__}: {error}; the trace is in {folder / 'log.jsonl'}"
        )
        tell("report", Report(exit_code=1, error=told))
