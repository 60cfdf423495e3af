"""One learning session of the peers held here, from raw tables to models; must not know which engine it uses."""

import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gossipfl.config.gossip import GOSSIP
from gossipfl.data import Table
from gossipfl.engine import Engine
from gossipfl.experiment.learning.agree import Agreement, MakeEngine
from gossipfl.experiment.learning.learn import Outcome, Rhythm, interval, learn
from gossipfl.experiment.learning.prepare import prepare
from gossipfl.experiment.study.gossip import MakeGossip, learning, shards
from gossipfl.experiment.study.method import Composition, method
from gossipfl.experiment.study.study import Study
from gossipfl.gossip.world import World
from gossipfl.models import Preconditioned
from gossipfl.runs.events import Progress
from gossipfl.runs.facts import Checkpoint, Facts


class Session:
    """Agreement, preparation and learning with one kind of engine. Iterating it learns, a line of metrics at a time.

    Args:
        study: what to learn.
        tables: the rows of the peers held here.
        rows: their numbers.
        make: the engine.
        gossip: the engine of gossip learning, which has no rounds.
        device: where to compute.
        known: what was agreed already, as a peer that comes late or again knows it.
    """

    def __init__(
        self,
        study: Study,
        tables: Sequence[Table],
        rows: Sequence[int],
        make: MakeEngine,
        gossip: MakeGossip,
        device: str = "cpu",
        known: Facts | None = None,
    ) -> None:
        self.study = study
        self.agreement = Agreement(study.graph, study.diameter, study.averaging, make)
        numbers = torch.tensor(rows, dtype=torch.int64)
        self.prepared = prepare(study, tables, numbers, self.agreement, device, known)
        self.engine: Engine
        self.method: Composition | None = None
        if self.prepared.kind == GOSSIP:
            self.engine = gossip(learning(study), shards(self.prepared.train, study.dtype))
            self.cycle = 0 if study.experiment.algorithm.step == "auto" else 1
        else:
            self._agreeing(make)
        self.outcome = Outcome(self.engine.init(self.prepared.start))
        self.cpu = 0.0

    def _agreeing(self, make: MakeEngine) -> None:
        """The engine of a method whose peers go on in rounds."""
        study, problem = self.study, self.prepared.problem
        self.method = parts = method(study, self.prepared.kind, problem, self.prepared.step)
        self.cycle = parts.cycle
        self.engine = make(
            parts.algorithm, study.scheduled(problem), parts.topology, parts.mixing, study.horizon, study.changing
        )  # fmt: skip

    def __iter__(self) -> Iterator[Progress]:
        e = self.study.experiment
        every = interval(e.stop, e.peers.report)
        began = time.process_time()
        self.outcome.began = time.monotonic()
        pace = Rhythm(self._steps, lambda: self.cycle, self.study.diameter, every)
        for progress in learn(self.engine, self.prepared.problem, self.outcome, e.stop, pace):
            self.cpu = time.process_time() - began
            yield progress
        self.cpu = time.process_time() - began

    @property
    def _steps(self) -> int:
        """Rounds for an exchange."""
        told = self.study.experiment.algorithm
        return 1 if told.kind in ("local", "pooled", GOSSIP) else told.local_steps

    def resume(self, point: Checkpoint) -> None:
        """Go on from there."""
        run = self.engine.init(point.x.to(self.prepared.start))
        if isinstance(run.state, World):
            run.state.ages.fill_(point.age)
        self.outcome = Outcome(
            run._replace(round=point.round), point.round // self._steps, before=point.seconds
        )

    @property
    def point(self) -> Checkpoint:
        """Where the one peer held here is."""
        outcome, state = self.outcome, self.outcome.run.state
        age = int(state.ages) if isinstance(state, World) else 0
        return Checkpoint(
            state.x.detach().cpu(), outcome.run.round, outcome.elapsed, self.prepared.facts, age
        )

    def interrupt(self) -> None:
        """Learning ends here, before its time."""
        outcome = self.outcome
        outcome.stopped, outcome.why = "interrupted", f"interrupted in round {outcome.rounds + 1}"
        outcome.seconds = outcome.elapsed

    @property
    def models(self) -> Tensor:
        """The parameters of the peers held here, (n, d)."""
        x = self.outcome.run.state.x
        problem = self.prepared.problem
        return (problem.by(x) if isinstance(problem, Preconditioned) else x).cpu()

    @property
    def kept(self) -> Tensor | None:
        """The newest models of each gossiping peer, (n, cache, d); None where nobody gossips."""
        state = self.outcome.run.state
        return state.models if isinstance(state, World) else None

    @property
    def messages_sent(self) -> int:
        return self.agreement.messages_sent + self.engine.messages_sent

    @property
    def bytes_sent(self) -> int:
        return self.agreement.bytes_sent + self.engine.bytes_sent
