"""A live peer's engine that nothing stops: neighbours fall silent, links change, newcomers need shorter steps.

It must not know files, nor how peers came to agree.
"""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import networkx as nx
from torch import Tensor

from gossipfl.engine import Engine, Run
from gossipfl.errors import BadExperiment
from gossipfl.experiment.learning.compose import Parts, compose
from gossipfl.experiment.study.method import Composition
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
    """A method as an engine that follows what becomes of the network (an `Engine`).

    Where links change, or a step has to be shorter, it is composed anew: it goes on at the same x and round, in new sessions
    with all neighbours, so that nothing is left of what was remembered of them.

    Args:
        parts: what it is composed of at first; `parts` is what it is composed of by now.
        exchange, transport: over which it talks.
        changed: asked before each round whether there are other links.
    """

    def __init__(
        self,
        parts: Parts,
        exchange: Exchange,
        transport: ZeroMQ,
        changed: Callable[[], Change | None],
    ) -> None:
        self.parts, self.inner = parts, tolerating(parts, exchange)
        self._exchange, self._transport, self._changed = exchange, transport, changed

    @property
    def messages_sent(self) -> int:
        return self._exchange.messages_sent

    @property
    def bytes_sent(self) -> int:
        return self._exchange.bytes_sent

    def init(self, x: Tensor) -> Run:
        return self.inner.init(x)

    def step(self, run: Run) -> Run:
        asked = self._exchange.neighbours.step
        if asked and asked < self._facts.working_step:
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

    @property
    def _facts(self) -> Facts:
        return self.parts.prepared.facts

    def _shorten(self, run: Run, step: float) -> Run:
        """A newcomer needs a shorter step: with a longer one at any peer the model is not that of all data."""
        log.info("the step is %g from here on: a newcomer's rows need it", step)
        return self._again(run, self.parts.study, self._facts.shortened(step))

    def _rewire(self, run: Run, change: Change) -> Run:
        """Go on along other links."""
        before, after = set(self.parts.study.names), set(change.made.names)
        parts = ("gained", after - before), ("lost", before - after), ("moved", change.moved)
        told = [f"{what} {', '.join(sorted(names))}" for what, names in parts if names]
        log.info("the topology file is read again: %s", ", ".join(told) or "the same peers, linked otherwise")
        run = self._again(run, change.made, self._facts)
        self._transport.connect({ident(name): endpoint for name, endpoint in change.endpoints.items()})
        return run

    def _again(self, run: Run, study: Study, facts: Facts) -> Run:
        exchange = self._exchange
        me = study.names.index(exchange.names[exchange.me])
        self.parts = compose(study, dataclasses.replace(self.parts.prepared, facts=facts))
        exchange.rewire(called(study), openings(study, me, facts.working_step))
        self.inner = tolerating(self.parts, exchange)
        return self.inner.init(run.state.x)._replace(round=run.round)


def tolerating(parts: Parts, exchange: Exchange) -> Engine:
    """An engine that goes on without neighbours that do not answer: by itself, or with a fallback."""
    absent, agreed = parts.study.experiment.stop.absent, not parts.study.changing
    main = lock_step(parts, parts.main, exchange)
    if parts.tolerant:
        main.tolerate(absent, agreed=agreed)
        return main
    assert parts.fallback is not None, "a changed study is refused where no method tolerates it"
    robust = lock_step(parts, parts.fallback, exchange)
    return PeerFallback(main, robust, parts.turn, absent, agreed=agreed)


def lock_step(parts: Parts, composition: Composition, exchange: Exchange) -> Peer:
    """An engine that waits for everybody, and counts its rounds from where learning began."""
    return Peer(
        exchange,
        composition.algorithm,
        parts.problem,
        composition.topology,
        composition.mixing,
        parts.study.horizon,
        parts.study.changing,
        origin=parts.prepared.facts.origin,
    )


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
