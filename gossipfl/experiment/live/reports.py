"""The reports of live peers at their end, and the joint result; must not know how they lived."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx
import torch

from gossipfl.data import Table, encode
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.live.following import together
from gossipfl.experiment.study.study import Study
from gossipfl.peer import Exchange, GossipPeer
from gossipfl.peer.neighbour import Message
from gossipfl.runs.facts import Selection
from gossipfl.runs.learned import Certificate, Learned, Sources, Summary, sides

BULKY = (
    "model",
    "kept",
    "schema",
    "scale",
    "unwritten",
    "summary",
)  # fields of a report that are not in a summary


@dataclass(frozen=True)
class Report:
    """The report of one peer at its end. `model` is None if it never began to learn."""

    rounds: int = 0
    stopped: str = "interrupted"
    why: str = ""
    followed: bool = False  # this peer ended because a neighbour did
    algorithm: str = ""
    step: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    messages_sent: int = 0
    bytes_sent: int = 0
    refused: int = 0  # messages that were not valid, or of another study; words that were not believed
    refusals: tuple[str, ...] = ()  # of each neighbour whose words were refused: how often, and why at last
    late: int = 0  # received messages that came too late, or twice
    resent: int = 0
    unsent: int = 0  # messages that the transport refused
    exit_code: int = 0
    error: str = ""
    departed: bool = False  # the error is only that a neighbour left first
    learned_with: tuple[str, ...] = ()  # the other peers whose rows are in the model
    without: tuple[str, ...] = ()  # those whose rows are not
    unwritten: str = ""  # a sentence for the files that could not be written at the end
    budget: dict[str, float] | None = None  # of private sums: what is spent
    selection: Selection | None = None  # the penalty that the peers have chosen
    scores: Summary | None = None  # of the test rows of all peers, or of its own
    model: list[float] | None = None
    kept: list[list[float]] | None = None  # the newest models, for gossip learning
    certificate: Certificate | None = None
    attempts: int = 0  # certificates taken
    repairs: int = 0  # averages of models that differed in their last digits
    exchanges: int = 0  # in which they were taken
    summary: Summary | None = None  # that of a peer started by hand, without files that could not be written
    schema: Any = None
    scale: Any = None


def gossip(session: Session | None) -> GossipPeer | None:
    """The engine of gossip learning; None for other methods."""
    return session.engine if session and isinstance(session.engine, GossipPeer) else None


def reported(
    exchange: Exchange,
    session: Session | None,
    failure: Mapping[str, Any],
    heritage: Message | None = None,
) -> Report:
    """The report of a peer; `failure` has the fields of its error, if there is one; for `heritage` see `parts`."""
    peer = gossip(session)
    traffic: dict[str, Any] = {
        "messages_sent": exchange.outbox.messages + (peer.messages_sent if peer else 0),
        "bytes_sent": exchange.outbox.bytes + (peer.bytes_sent if peer else 0),
        "refused": exchange.refused,
        "refusals": exchange.refusals,
        "late": exchange.inbox.late,
        "resent": exchange.outbox.resent,
        "unsent": exchange.outbox.unsent,
    }
    if session is None:
        return Report(**traffic, **failure)
    outcome, prepared = session.outcome, session.prepared
    learned_with, without = parts(exchange, session, heritage)
    stopped = "interrupted" if failure else outcome.stopped
    return Report(
        rounds=outcome.rounds, stopped=stopped, why=outcome.why, followed=outcome.followed, algorithm=prepared.kind,
        step=session.facts.step,
        seconds=outcome.seconds or outcome.elapsed, cpu=session.cpu,
        model=session.models[0].tolist(), kept=None if session.kept is None else session.kept[0].tolist(),
        schema=prepared.schema, scale=prepared.scales[0], learned_with=learned_with, without=without, scores=session.scores,
        selection=prepared.facts.selection, budget=session.budget,
        certificate=outcome.certificate, attempts=outcome.attempts, repairs=session.repairs,
        exchanges=session.certifier.exchanges if session.certifier else 0, **traffic, **failure,
    )  # fmt: skip


def parts(
    exchange: Exchange, session: Session, heritage: Message | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The other peers whose rows are in the model of this one, and the peers whose rows are not.

    The first are those that a path of edges leads to whose ends have not given each other up. If the model is a neighbour's, as
    its last words say (`heritage`), paths begin there, and this peer's own rows may not be in it either.
    """
    me, near = exchange.names[exchange.me], learners(exchange, session, heritage)
    every = session.present.names
    return tuple(n for n in every if n in near and n != me), tuple(n for n in every if n not in near)


def learners(exchange: Exchange, session: Session, heritage: Message | None = None) -> nx.Graph:
    """The peers whose rows are in the model of this one, see `parts`, and the edges whose ends have not given each other up."""
    names, learner, rumours = exchange.names, exchange.names[exchange.me], exchange.rumours
    if heritage is not None:
        learner, rumours = names[heritage.header.sender], heritage.header.rumours
    return together(exchange, session.present.graph, rumours, learner)


def collect(
    study: Study,
    reports: Mapping[int, Report],
    tables: Mapping[int, Table],
    status: dict[str, str],
    startup: float,
) -> Learned | None:
    """The joint result of live peers; None if no peer learned."""
    present = {me: report for me, report in sorted(reports.items()) if report.model is not None}
    if not present:
        return None
    every = list(present.values())
    kept = [report.kept for report in every]
    scales = [report.scale for report in every]
    rows = [encode(tables[me], every[0].schema) for me in present]
    train, test = (
        [scale.apply(pair[part]) if scale else pair[part] for scale, pair in zip(scales, rows, strict=True)]
        for part in (0, 1)
    )
    ends = {report.stopped for report in every}
    stopped = next(
        (s for s in ("diverged", "interrupted", "dropped", "no optimum", "rounds", "seconds") if s in ends),
        "ended" if ends == {"ended"} else "tolerance",
    )
    models = [Sources(study.names[me], one.learned_with, one.without) for me, one in present.items()]
    return Learned(
        engine="peers",
        algorithm=every[0].algorithm,
        names=[study.names[me] for me in present],
        models=torch.tensor([report.model for report in every], dtype=study.dtype),
        schema=every[0].schema,
        scales=scales,
        step=every[0].step,
        rounds=min(report.rounds for report in every),
        stopped=stopped,
        why=_why(report for report in every if report.stopped == stopped),
        messages_sent=sum(report.messages_sent for report in every),
        bytes_sent=sum(report.bytes_sent for report in every),
        startup=startup,
        seconds=max(report.seconds for report in every),
        cpu=sum(report.cpu for report in every),
        status=status,
        train=train,
        test=test,
        kept=torch.tensor(kept, dtype=study.dtype) if all(kept) else None,
        sides=[] if stopped == "interrupted" else sides(models, study.names),  # then peers leave one by one
        selection=every[0].selection,
        budget=max(
            (report.budget for report in every if report.budget), key=lambda b: b["spent"], default=None
        ),
        scores=_widest([report.scores for report in every]),
        certificate=_certificate(report.certificate for report in every),
        attempts=max(report.attempts for report in every),
        repairs=max(report.repairs for report in every),
        exchanges=max(report.exchanges for report in every),
    )


def _widest(scores: Sequence[Summary | None]) -> Summary | None:
    """The scores of the most peers; None if each of several peers has its own."""
    found = max((one for one in scores if one), key=lambda one: len(one["peers"]), default=None)
    return None if found and len(found["peers"]) < min(2, len(scores)) else found


def _certificate(found: Iterable[Certificate | None]) -> Certificate | None:
    """The one with the largest distance, with the largest spread; a peer may have none because it missed a sum."""
    taken = [one for one in found if one is not None]
    worst = max(taken, key=lambda one: -1.0 if one.distance is None else one.distance, default=None)
    spreads = [one.spread for one in taken if one.spread is not None]
    return worst and worst._replace(spread=max(spreads, default=None))


def _why(reports: Iterable[Report]) -> str:
    """The first reason; one of a peer that ended by itself comes before others."""
    reasons = sorted(
        (report.followed, number, report.why) for number, report in enumerate(reports) if report.why
    )
    return reasons[0][2] if reasons else ""
