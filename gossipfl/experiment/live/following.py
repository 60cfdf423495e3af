"""A live peer's engine that adapts to silent neighbours, changed links and newcomers that need a shorter step.

It must not know files, nor how the peers agreed.
"""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import networkx as nx
from torch import Tensor

from gossipfl.algorithms.sums.summed import Summed
from gossipfl.engine import Engine, Run
from gossipfl.errors import BadExperiment
from gossipfl.experiment.learning.compose import Parts, compose, hops
from gossipfl.experiment.study.method import Composition
from gossipfl.experiment.study.study import Study
from gossipfl.peer import Exchange, Peer, ZeroMQ
from gossipfl.peer.fallback import PeerFallback
from gossipfl.peer.rumours import Rumours
from gossipfl.peer.wire import Opening, ident
from gossipfl.runs.facts import Facts
from gossipfl.topology import subgraph

log = logging.getLogger(__name__)


class Change(NamedTuple):
    """A study with changed links or keys, the endpoints of this peer's neighbours by name, and the neighbours that have moved.

    `keys` are the neighbours' public keys; `rewired` is False if nothing else has changed.
    """

    study: Study
    endpoints: dict[str, str]
    moved: Sequence[str] = ()
    keys: Mapping[int, Sequence[bytes]] | None = None
    rewired: bool = True

    def connect(self, transport: ZeroMQ) -> None:
        """Connect to these endpoints, with these keys."""
        places = {ident(name): endpoint for name, endpoint in self.endpoints.items()}
        transport.connect(places, keys=self.keys)


class Following:
    """An `Engine` that follows changes of the network.

    When links change, or the step must be shorter, it is composed again. It continues with the same x and round, in new
    sessions with all neighbours, and forgets everything that it remembered of them.

    Args:
        parts: the first composition; the attribute `parts` is the present one.
        exchange, transport: its communication.
        changed: called before each round; returns changed links, or None.
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
        return self._exchange.outbox.messages

    @property
    def bytes_sent(self) -> int:
        return self._exchange.outbox.bytes

    def init(self, x: Tensor) -> Run:
        return self.inner.init(x)

    def step(self, run: Run) -> Run:
        asked = self._exchange.neighbours.step
        if asked and asked < self._facts.working_step:
            run = self._shorten(run, asked)
        if change := self._changed():
            if change.rewired:
                run = self._rewire(run, change)
            change.connect(self._transport)
        return self.inner.step(run)

    def rounds(self, run: Run) -> Iterator[Run]:
        while True:
            run = self.step(run)
            yield run

    def disagreement(self, run: Run) -> Tensor:
        return self.inner.disagreement(run)

    @property
    def over(self) -> bool:
        return self.inner.over

    def unsettle(self) -> bool:
        return self.inner.unsettle()

    def settled(self, converged: Tensor, over: bool = False) -> bool:
        return self.inner.settled(converged, over)

    @property
    def _facts(self) -> Facts:
        return self.parts.prepared.facts

    def _shorten(self, run: Run, step: float) -> Run:
        """Shorten the step, because a newcomer needs it; all peers must use the same step to reach the optimum of all data."""
        log.info("the step is now %g: %s asks for it", step, self._exchange.neighbours.asker)
        return self._again(run, self.parts.study, self._facts.shortened(step))

    def _rewire(self, run: Run, change: Change) -> Run:
        """Continue on changed links."""
        before, after = set(self.parts.study.names), set(change.study.names)
        parts = ("gained", after - before), ("lost", before - after), ("moved", change.moved)
        news = [f"{what} {', '.join(sorted(names))}" for what, names in parts if names]
        log.info("the topology file has changed: %s", ", ".join(news) or "the same peers, other links")
        return self._again(run, change.study, self._facts)

    def _again(self, run: Run, study: Study, facts: Facts) -> Run:
        exchange = self._exchange
        me = study.names.index(exchange.names[exchange.me])
        self.parts = compose(study, dataclasses.replace(self.parts.prepared, facts=facts))
        exchange.rewire(called(study), openings(study, me, facts.working_step))
        self.inner = tolerating(self.parts, exchange)
        return self.inner.init(run.state.x)._replace(round=run.round)


def tolerating(parts: Parts, exchange: Exchange) -> Engine:
    """An engine that continues without neighbours that do not answer, by itself or with a fallback."""
    absent, agreed = parts.study.experiment.stop.absent, not parts.study.changing
    main = lock_step(parts, parts.main, exchange)
    if parts.tolerant:
        main.tolerate(absent, agreed=agreed)
        return main
    assert parts.fallback is not None, "Reread refuses a topology that no method tolerates"
    robust = lock_step(parts, parts.fallback, exchange)
    return PeerFallback(main, robust, parts.turn, absent, agreed=agreed)


def lock_step(parts: Parts, composition: Composition, exchange: Exchange) -> Peer:
    """An engine that waits for all neighbours; its rounds count from the origin of learning."""
    sums = composition.algorithm if isinstance(composition.algorithm, Summed) else None
    return Peer(
        exchange,
        composition.algorithm,
        parts.problem,
        composition.topology,
        composition.mixing,
        # Word that comes too late for one sum goes up and down the tree with the next one.
        2 * sums.exchanges if sums else hops(parts.study, composition),
        parts.study.changing,
        origin=parts.prepared.facts.origin,
        learns=True,
        alike=sums is not None,
    )


def together(exchange: Exchange, graph: nx.Graph, rumours: Rumours, learner: str) -> nx.Graph:
    """The peers that a path of edges leads to from `learner` whose ends have not given each other up, and these edges."""
    names, whole = exchange.names, graph.to_undirected()
    whole.remove_edges_from((names.get(a), names.get(b)) for a, b in rumours.cut)
    return subgraph(whole, nx.node_connected_component(whole, learner))


def called(study: Study) -> dict[int, str]:
    """All peers' names, by their number in messages. Raises BadExperiment if two names have the same number."""
    names: dict[int, str] = {}
    for name in study.names:
        if (other := names.setdefault(ident(name), name)) != name:
            raise BadExperiment(
                f"the peers {other} and {name} have the same number in messages: give one of them another name"
            )
    return names


def openings(study: Study, me: int, step: float = 0.0) -> dict[int, Opening]:
    """The openings of peer number `me` for the sessions with its neighbours.

    `step` is the learning rate if it differs from the agreed one, else 0.
    """
    links, near = study.links, nx.all_neighbors(study.graph, study.names[me])
    mine = links.receivers == me
    weights = dict(zip(links.senders[mine].tolist(), links.weights[mine].tolist(), strict=True))
    numbers = sorted({study.names.index(other) for other in near})
    return {ident(study.names[one]): Opening(weights.get(one, 0.0), study.wiring, step) for one in numbers}
