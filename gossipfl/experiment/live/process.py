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
from gossipfl.experiment.live.following import called, openings
from gossipfl.experiment.live.joining import inherited, patience, received
from gossipfl.experiment.live.journal import Journal, Tell, log_to
from gossipfl.experiment.live.largest import largest
from gossipfl.experiment.live.life import Life, keep_up
from gossipfl.experiment.live.reports import BULKY, Report, gossip, reported
from gossipfl.experiment.live.reread import Reread
from gossipfl.experiment.study.own import enlist
from gossipfl.experiment.study.study import Study
from gossipfl.peer import Exchange, ZeroMQ
from gossipfl.peer.check import Checker
from gossipfl.peer.gate import LinkKeys
from gossipfl.peer.inbox import AHEAD
from gossipfl.peer.limits import Limits, room
from gossipfl.peer.neighbour import Message
from gossipfl.peer.transport import Chances, Unreliable
from gossipfl.peer.wire import ident
from gossipfl.runs.lock import locked
from gossipfl.secrecy.start import Identity
from gossipfl.signals import interrupt_once, many_files, unheard

WAIT = 30.0  # seconds that a peer of a run waits for the first message of each neighbour
LINGER = 1.0  # seconds for the last messages of gossip learning to neighbours that may have ended
PARTING = 1.0  # seconds to wait for the goodbyes of neighbours that end at the same time
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

    idle = partial(keep_up, reread, transport)
    exchange = Exchange(
        ident(study.names[me]),
        called(study),
        study.fingerprint,
        openings(study, me),
        carrier,
        wait or e.peers.wait or WAIT,
        ahead=ahead,
        patience=patience(e, [place or transport.endpoint for place in endpoints.values()]),
        limits=Limits(
            room(most, study.horizon * (study.changing or study.graph.is_directed())),
            math.inf if e.stop.seconds is None else e.stop.seconds,
        ),
        unpack=lambda message: received(study, table, message),
        absent=e.stop.absent,
        idle=idle,
        checker=Checker(ident(study.names[me]), study.settings),
    )
    alone = e.stop.absent if alone is None else alone
    heritage: Message | None = None
    failure: dict[str, Any] = {}
    journal = Journal(folder, study, tell)
    life = Life(study, me, table, exchange, transport, journal, tell, rejoin, reread, alone, identity)
    try:
        transport.connect(near, 2 * ahead)
        life.learn()
    except KeyboardInterrupt:
        if life.session:
            life.session.interrupt()
        (gossip(life.session) or exchange).leave("interrupted")
    except Ended as ended:
        assert life.session is not None, "only peers that learn wait"
        life.session, heritage = inherited(study, me, table, exchange, transport, life.session, ended)
        life.leave()
    except GossipError as error:
        failure = {"exit_code": error.exit_code, "error": str(error), "departed": isinstance(error, Departed)}
        log.error("%s", error)
        exchange.leave("failed")
    finally:
        with unheard():
            gone = set() if gossip(life.session) else exchange.part(PARTING)
            transport.close(LINGER if gossip(life.session) else 5.0, gone)
    with unheard():
        session, report = life.session, reported(exchange, life.session, failure, heritage)
        report = replace(report, without=(*report.without, *life.gone))
        if session and report.stopped == "interrupted":
            journal.checkpoint(session, exchange, now=True)
        figures = {name: value for name, value in vars(report).items() if name not in BULKY}
        figures["certificate"] = report.certificate and report.certificate.distance
        unwritten = journal.end(session.models[0] if session else None, table, figures)
        return replace(report, unwritten=unwritten)


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
            many_files()
            torch.set_num_threads(1)
            log_to(folder)
            enlist(study.experiment)
            with locked(folder), study.unrecorded():
                transport = ZeroMQ(endpoint, largest(study, table), keys)
                pipe.send(("endpoint", transport.endpoint))
                endpoints = pipe.recv()
                report = live(
                    study, me, table, folder, transport, endpoints, tell, rejoin, chances, identity=identity
                )
        except GossipError as error:
            report = Report(exit_code=error.exit_code, error=str(error))
        except (ConnectionError, EOFError):
            log.error("the launcher ended before this peer could begin")
        except Exception as error:
            log.exception("unexpected error")
            sentence = f"peer {study.names[me]}: {type(error).__name__}: {error}; the trace is in {folder / 'log.jsonl'}"
            report = Report(exit_code=1, error=sentence)
    except KeyboardInterrupt:  # it comes once, at any place above
        log.info("interrupted before it learned")
    with unheard():
        tell("report", report)
