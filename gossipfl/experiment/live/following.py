"""A live peer's engine that nothing stops: neighbours fall silent, links change, newcomers want shorter steps.

It must not know files, nor how peers came to agree.
"""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import networkx as nx
from msgspec.structs import replace
from torch import Tensor

from gossipfl.engine import Engine, Run
from gossipfl.errors import BadExperiment
from gossipfl.experiment.learning.beside import beside, turns
from gossipfl.experiment.learning.prepare import Prepared
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.study.method import Composition, bears, method
from gossipfl.experiment.study.study import Study
from gossipfl.peer import Exchange, Peer, ZeroMQ
from gossipfl.peer.fallback import PeerFallback
from gossipfl.peer.wire import Opening, ident
from gossipfl.runs.facts import Facts

log = logging.getLogger(__name__)


class Change(NamedTuple):
    """The study over other links, where this peer's neighbours listen, by name, and which of them have moved."""

    made: Study
    endpoints: dict[str, str]
    moved: Sequence[str] = ()


class Following:
    """The session's method as an engine that follows what becomes of the network (an `Engine`).

    Where links change, or a step has to be shorter, the engine within is made anew: it goes on at the same x and round, in new
    sessions with all neighbours, so that nothing is left of what was remembered of them.

    Args:
        session: what learns; its study, facts and cycle are kept true.
        inner: its engine at first.
        exchange, transport: over which it talks.
        changed: asked before each round whether there are other links.
    """

    def __init__(
        self,
        session: Session,
        inner: Engine,
        exchange: Exchange,
        transport: ZeroMQ,
        changed: Callable[[], Change | None],
    ) -> None:
        self.inner = inner
        self._session, self._exchange, self._transport, self._changed = session, exchange, transport, changed

    @property
    def messages_sent(self) -> int:
        return self._exchange.messages_sent

    @property
    def bytes_sent(self) -> int:
        return self._exchange.bytes_sent

    def init(self, x: Tensor) -> Run:
        return self.inner.init(x)

    def step(self, run: Run) -> Run:
        asked = self._exchange.around.step
        if asked and asked < working_step(self._session.prepared.facts):
            run = self._shorten(run, asked)
        if change := self._changed():
            run = self._rewire(run, change)
        return self.inner.step(run)

    def rounds(self, run: Run) -> Iterator[Run]:
        while True:
            run = self.step(run)
            yield run

    def disagreement(self, run: Run) -> Tensor:
        return self.inner.disagreement(run)

    def settled(self, converged: Tensor, over: bool = False) -> bool:
        return self.inner.settled(converged, over)

    def _shorten(self, run: Run, step: float) -> Run:
        """A newcomer bears no longer step: nobody may take one, or the model is not that of all data."""
        prepared = self._session.prepared
        log.info("the step is %g from here on, as somebody's rows ask for it", step)
        facts = shortened(prepared.facts, step)
        self._session.prepared = dataclasses.replace(prepared, facts=facts)
        return self._again(run)

    def _rewire(self, run: Run, change: Change) -> Run:
        """Along other links."""
        session = self._session
        before, after = set(session.study.names), set(change.made.names)
        parts = ("gained", after - before), ("lost", before - after), ("moved", change.moved)
        told = [f"{what} {', '.join(sorted(names))}" for what, names in parts if names]
        log.info("the topology file is read again: %s", ", ".join(told) or "the same peers, linked otherwise")
        session.study = change.made
        run = self._again(run)
        self._transport.connect({ident(name): endpoint for name, endpoint in change.endpoints.items()})
        return run

    def _again(self, run: Run) -> Run:
        session, exchange = self._session, self._exchange
        made, name = session.study, exchange.names[exchange.me]
        step = working_step(session.prepared.facts)
        exchange.rewire(called(made), openings(made, made.names.index(name), step))
        sturdy = made_sturdy(made, session.prepared, exchange)
        assert sturdy is not None, "a changed study is refused where its method does not bear it"
        self.inner, session.cycle = sturdy
        return self.inner.init(run.state.x)._replace(round=run.round)


def made_sturdy(made: Study, prepared: Prepared, exchange: Exchange) -> tuple[Engine, int] | None:
    """An engine that goes on without neighbours that do not answer, and its exchanges a step; None where no method can."""
    facts, absent, now = prepared.facts, made.experiment.stop.absent, exchange.tick
    parts = method(made, prepared.kind, prepared.problem, facts.step)
    other = beside(made, prepared)
    exchange.tick = facts.origin  # from where engines count rounds
    try:
        if bears(made, parts):
            peer = _peer(made, prepared, exchange, parts)
            peer.tolerate(absent, agreed=not made.changing)
            return peer, parts.cycle
        if other is None:
            return None
        robust = _peer(made, prepared, exchange, other)
        fast = _peer(made, prepared, exchange, parts)
        return PeerFallback(fast, robust, turns(made, parts), absent, agreed=not made.changing), parts.cycle
    finally:
        exchange.tick = now


def _peer(made: Study, prepared: Prepared, exchange: Exchange, parts: Composition) -> Peer:
    problem = made.scheduled(prepared.problem)
    return Peer(exchange, parts.algorithm, problem, parts.topology, parts.mixing, made.horizon, made.changing)


def working_step(facts: Facts) -> float:
    """The learning rate that smoothness bounds: Newton's own does not count."""
    return facts.fallback or facts.step


def shortened(facts: Facts, step: float) -> Facts:
    """The facts with a shorter learning rate."""
    return replace(facts, fallback=step) if facts.fallback else replace(facts, step=step)


def called(made: Study) -> dict[int, str]:
    """All peers' names, by what they are called in messages. Raises BadExperiment where two are called the same."""
    names: dict[int, str] = {}
    for name in made.names:
        if (other := names.setdefault(ident(name), name)) != name:
            raise BadExperiment(
                f"the peers {other} and {name} cannot be told apart in messages: give one of them another name"
            )
    return names


def openings(made: Study, me: int, step: float = 0.0) -> dict[int, Opening]:
    """What peer number `me` brings into the sessions with its neighbours.

    `step` is the learning rate, if it is not the one that was agreed at first.
    """
    links, near = made.links, nx.all_neighbors(made.graph, made.names[me])
    mine = links.receivers == me
    weights = dict(zip(links.senders[mine].tolist(), links.weights[mine].tolist(), strict=True))
    numbers = sorted({made.names.index(other) for other in near})
    return {ident(made.names[one]): Opening(weights.get(one, 0.0), made.wiring, step) for one in numbers}
