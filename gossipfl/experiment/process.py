"""One live peer's life, in its own process; must not know its launcher beyond the pipe to it.

Importing this module starts no thread and runs no torch operation: a forkserver preloads it.
"""

import logging
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import torch

from gossipfl.data import Table
from gossipfl.errors import Departed, GossipError
from gossipfl.experiment import folder as files
from gossipfl.experiment.finish import Learned
from gossipfl.experiment.gossip_live import gossiping
from gossipfl.experiment.learn import Progress
from gossipfl.experiment.session import Session
from gossipfl.experiment.study import Study
from gossipfl.peer import Exchange, GossipPeer, Peer, ZeroMQ
from gossipfl.peer.inbox import AHEAD

LINGER = 1.0  # seconds for a gossiping peer's last words to reach neighbours that may have gone
LARGEST = 2**30  # bytes of a message: some 128 million float64 parameters
Tell = Callable[[str, Progress | None], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """What one peer has to say when it ends. `model` is None where it never began to learn."""

    rounds: int = 0
    stopped: str = "interrupted"
    why: str = ""
    algorithm: str = ""
    step: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    messages_sent: int = 0
    bytes_sent: int = 0
    refused: int = 0
    exit_code: int = 0
    error: str = ""
    departed: bool = False  # the error is only that a neighbour left first
    model: list[float] | None = None
    kept: list[list[float]] | None = None  # the newest models of a gossiping peer
    schema: Any = None
    scale: Any = None


def live(
    made: Study,
    me: int,
    table: Table,
    folder: Path,
    transport: ZeroMQ,
    endpoints: Mapping[int, str],
    tell: Tell,
) -> Report:
    """Connect, agree, learn, write: the whole life of peer number `me`. Never raises a GossipError: it is reported.

    Args:
        made: the study.
        me: this peer's number.
        table: its rows.
        folder: where its files go.
        transport: bound, not yet connected.
        endpoints: of its neighbours, by number.
        tell: called with "learning" when agreement is reached, and with "progress" and each line of metrics.
    """
    ahead = AHEAD + 4 * made.horizon  # which is measured from some rounds only; chance may make others longer
    exchange = Exchange(
        me,
        made.names,
        made.fingerprint,
        sorted(endpoints),
        transport,
        made.experiment.peers.wait,
        ahead=ahead,
    )
    session: Session | None = None
    failure: dict[str, Any] = {}
    try:
        transport.connect(endpoints, 2 * ahead)
        session = Session(
            made, [table], [me], lambda *parts: Peer(exchange, *parts), gossiping(made, me, transport)
        )
        tell("learning", None)
        with (folder / "metrics.jsonl").open("wb", buffering=0) as metrics:
            for progress in session:
                metrics.write(msgspec.json.encode(progress._asdict()) + b"\n")
                tell("progress", progress)
        if gossip := _gossip(session):  # others may go on for a while, each by its own clock
            gossip.leave(session.outcome.stopped)
        elif session.outcome.stopped in ("diverged", "interrupted"):
            exchange.leave(session.outcome.stopped)
    except KeyboardInterrupt:
        if session:
            session.interrupt()
        (_gossip(session) or exchange).leave("interrupted")
    except GossipError as error:
        failure = {"exit_code": error.exit_code, "error": str(error), "departed": isinstance(error, Departed)}
        log.error("%s", error)
        exchange.leave("failed")
    finally:
        transport.close(LINGER if _gossip(session) else 5.0)
    report = _report(exchange, session, failure)
    if session:
        files.write_tensor(folder / "model.safetensors", session.models[0])
        files.write_rows(folder, table)
    figures = {
        name: value
        for name, value in vars(report).items()
        if name not in ("model", "kept", "schema", "scale")
    }
    files.write_json(folder / "summary.json", figures)
    return report


def _gossip(session: Session | None) -> GossipPeer | None:
    """The engine, where it gossips."""
    return session.engine if session and isinstance(session.engine, GossipPeer) else None


def _report(exchange: Exchange, session: Session | None, failure: Mapping[str, Any]) -> Report:
    gossip = _gossip(session)
    traffic: dict[str, Any] = {
        "messages_sent": exchange.messages_sent + (gossip.messages_sent if gossip else 0),
        "bytes_sent": exchange.bytes_sent + (gossip.bytes_sent if gossip else 0),
        "refused": exchange.inbox.refused + (gossip.refused if gossip else 0),
    }
    if session is None:
        return Report(**traffic, **failure)
    outcome, prepared = session.outcome, session.prepared
    stopped = "interrupted" if failure else outcome.stopped
    return Report(
        rounds=outcome.rounds, stopped=stopped, why=outcome.why, algorithm=prepared.kind, step=prepared.step,
        seconds=outcome.seconds or time.monotonic() - outcome.began, cpu=session.cpu,
        model=session.models[0].tolist(), kept=None if session.kept is None else session.kept[0].tolist(),
        schema=prepared.schema, scale=prepared.scales[0], **traffic, **failure,
    )  # fmt: skip


def collect(
    made: Study, reports: Mapping[int, Report], status: dict[str, str], startup: float
) -> Learned | None:
    """The reports of live peers as one, or None where nobody learned."""
    present = {me: report for me, report in sorted(reports.items()) if report.model is not None}
    if not present:
        return None
    every = list(present.values())
    kept = [report.kept for report in every]
    ends = {report.stopped for report in every}
    stopped = next((s for s in ("diverged", "interrupted", "rounds") if s in ends), "tolerance")
    return Learned(
        engine="peers",
        algorithm=every[0].algorithm,
        names=[made.names[me] for me in present],
        models=torch.tensor([report.model for report in every], dtype=made.dtype),
        schema=every[0].schema,
        scales=[report.scale for report in every],
        step=every[0].step,
        rounds=min(report.rounds for report in every),
        stopped=stopped,
        why=next((report.why for report in every if report.why and report.stopped == stopped), ""),
        messages_sent=sum(report.messages_sent for report in every),
        bytes_sent=sum(report.bytes_sent for report in every),
        startup=startup,
        seconds=max(report.seconds for report in every),
        cpu=sum(report.cpu for report in every),
        status=status,
        kept=torch.tensor(kept, dtype=made.dtype) if all(kept) else None,
    )


def main(pipe: Connection, made: Study, me: int, table: Table, folder: Path, endpoint: str) -> None:
    """A peer started by the launcher: tell the endpoint, learn the others', live, and report through the pipe."""
    interrupt_once()
    torch.set_num_threads(1)
    log_to(folder)
    try:
        transport = ZeroMQ(endpoint, LARGEST)
        pipe.send(("endpoint", transport.endpoint))
        endpoints = pipe.recv()
        pipe.send(
            ("report", live(made, me, table, folder, transport, endpoints, lambda *what: pipe.send(what)))
        )
    except KeyboardInterrupt:
        pipe.send(("report", Report()))
    except GossipError as error:
        pipe.send(("report", Report(exit_code=error.exit_code, error=str(error))))
    except (BrokenPipeError, EOFError):
        log.error("the launcher is gone before this peer could begin")
    except Exception as error:
        log.exception("an error that nobody expected")
        told = (
            f"peer {made.names[me]}: {type(error).__name__}: {error}; the trace is in {folder / 'log.jsonl'}"
        )
        pipe.send(("report", Report(exit_code=1, error=told)))


def interrupt_once() -> None:
    """SIGINT and SIGTERM interrupt once; a second one must not tear what the first one makes us write."""

    def first(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        for s in (signal.SIGINT, signal.SIGTERM):
            signal.signal(s, lambda *_: None)  # not SIG_IGN: Python prints a trace if one is pending already
        raise KeyboardInterrupt

    for s in (signal.SIGINT, signal.SIGTERM):
        signal.signal(s, first)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": record.created,
            "level": record.levelname,
            "from": record.name,
            "text": record.getMessage(),
        }
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry).decode()


def log_to(folder: Path) -> None:
    """Log as JSON lines into log.jsonl of this folder."""
    handler = logging.FileHandler(folder / "log.jsonl", delay=True)
    handler.setFormatter(_Json())
    logging.getLogger("gossipfl").addHandler(handler)
