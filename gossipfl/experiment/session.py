"""One learning session of the peers held here, from raw tables to models; must not know which engine it uses."""

import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gossipfl.data import Table
from gossipfl.engine import Engine
from gossipfl.experiment.agree import Agreement, MakeEngine
from gossipfl.experiment.facts import Facts
from gossipfl.experiment.learn import Outcome, Pace, Progress, interval, learn
from gossipfl.experiment.method import method
from gossipfl.experiment.prepare import prepare
from gossipfl.experiment.study import Study
from gossipfl.models import Preconditioned


class Session:
    """Agreement, preparation and learning with one kind of engine. Iterating it learns, a line of metrics at a time.

    Args:
        study: what to learn.
        tables: the rows of the peers held here.
        rows: their numbers.
        make: the engine.
        device: where to compute.
        known: what was agreed already, as a peer that comes late or again knows it.
    """

    def __init__(
        self,
        study: Study,
        tables: Sequence[Table],
        rows: Sequence[int],
        make: MakeEngine,
        device: str = "cpu",
        known: Facts | None = None,
    ) -> None:
        self.study = study
        self.agreement = Agreement(study.graph, study.diameter, study.averaging, make)
        numbers = torch.tensor(rows, dtype=torch.int64)
        self.prepared = prepare(study, tables, numbers, self.agreement, device, known)
        problem = self.prepared.problem
        self.method = method(study, self.prepared.kind, problem, self.prepared.step)
        self.engine: Engine = make(
            self.method.algorithm, study.scheduled(problem), self.method.topology, self.method.mixing,
            study.horizon, study.changing,
        )  # fmt: skip
        self.outcome = Outcome(self.engine.init(self.prepared.start))
        self.cpu = 0.0

    def __iter__(self) -> Iterator[Progress]:
        e = self.study.experiment
        steps = 1 if e.algorithm.kind in ("local", "pooled") else e.algorithm.local_steps
        every = interval(e.stop, e.peers.report)
        began = time.process_time()
        self.outcome.began = time.monotonic()
        pace = Pace(steps, self.method.cycle, self.study.diameter, every)
        for progress in learn(self.engine, self.prepared.problem, self.outcome, e.stop, pace):
            self.cpu = time.process_time() - began
            yield progress
        self.cpu = time.process_time() - began

    def resume(self, x: Tensor, round: int, seconds: float) -> None:
        """Go on from x (n, d), after so many rounds and seconds."""
        run = self.engine.init(x.to(self.prepared.start))
        steps = self.study.experiment.algorithm.local_steps
        self.outcome = Outcome(run._replace(round=round), round // steps, before=seconds)

    def interrupt(self) -> None:
        """Learning ends here, before its time."""
        outcome = self.outcome
        outcome.stopped, outcome.why = "interrupted", f"interrupted in round {outcome.rounds + 1}"
        outcome.seconds = outcome.elapsed

    @property
    def models(self) -> Tensor:
        """The parameters of the peers held here, (n, d)."""
        x: Tensor = self.outcome.run.state.x
        problem = self.prepared.problem
        return (problem.by(x) if isinstance(problem, Preconditioned) else x).cpu()

    @property
    def messages_sent(self) -> int:
        return self.agreement.messages_sent + self.engine.messages_sent

    @property
    def bytes_sent(self) -> int:
        return self.agreement.bytes_sent + self.engine.bytes_sent
