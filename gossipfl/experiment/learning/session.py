"""One learning session of the peers in this process, from raw tables to models; must not know which engine it uses."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import networkx as nx
import torch
from msgspec import structs
from torch import Tensor

from gossipfl.algorithms import METHODS, Algorithm, Summed, Summing
from gossipfl.config.experiment import StopSettings
from gossipfl.data import Table
from gossipfl.engine import Engine
from gossipfl.errors import NetworkError
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.learning.certify import Aside, Certifier
from gossipfl.experiment.learning.compose import Parts, compose
from gossipfl.experiment.learning.learn import Outcome, Rhythm, learn
from gossipfl.experiment.learning.prepare import prepare
from gossipfl.experiment.learning.scores import MOST, Contributors, Tests, own, scored
from gossipfl.experiment.study.gossip import learning, shards
from gossipfl.experiment.study.method import asked
from gossipfl.experiment.study.study import Study
from gossipfl.gossip import GossipLearning, Shards
from gossipfl.gossip.world import World
from gossipfl.mixing import Mixing
from gossipfl.models import Module, Preconditioned
from gossipfl.models.losses import Squared
from gossipfl.runs.events import Progress
from gossipfl.runs.facts import Checkpoint, Facts
from gossipfl.runs.learned import Learned, Summary
from gossipfl.secrecy.exact import ExactSums
from gossipfl.secrecy.fixed import Hiding
from gossipfl.secrecy.promise import Noise, Spending
from gossipfl.topology import Topology, among

# The ends of learning to which all peers come together.
SCORED = "rounds", "seconds", "tolerance", "no optimum"
log = logging.getLogger(__name__)


class Engines(Aside, Protocol):
    """Makes engines: for all peers in one process, or for one live peer."""

    @property
    def exchanges(self) -> int:
        """The number of exchanges so far."""

    @property
    def widest(self) -> int:
        """Bytes that a message may have while all agree."""

    @property
    def epoch(self) -> int:
        """How often all have agreed again, because a peer began again."""

    def agreeing(self, algorithm: Algorithm, topology: Topology, mixing: Mixing) -> Engine:
        """An engine for agreement, without a problem."""

    def masks(self, agreement: Agreement) -> Hiding | None:
        """The masks of secure sums, from keys that all peers agree on; None where no peer could look."""

    def spending(self) -> Spending:
        """What is spent of the budget of private sums."""

    def learning(self, parts: Parts) -> tuple[Engine, Callable[[], Parts]]:
        """The engine that learns, and a function for its present parts: a live peer follows changes of the network."""

    def gossiping(self, learning: GossipLearning, shards: Shards) -> Engine:
        """The engine of gossip learning, which has no rounds."""


class Session:
    """Agreement, preparation and learning with one kind of engine. Iteration learns, and yields lines of metrics.

    Args:
        study: what to learn.
        tables: the rows of the peers in this process.
        rows: the numbers of these peers.
        engines: makes the engines.
        device: of the problems.
        point: for a single peer, its own checkpoint or that of a neighbour: continue from it, with its facts.
        since: for a single peer, its session before all had to agree again.
    """

    def __init__(
        self,
        study: Study,
        tables: Sequence[Table],
        rows: Sequence[int],
        engines: Engines,
        device: str = "cpu",
        point: Checkpoint | None = None,
        since: "Session | None" = None,
    ) -> None:
        self.study = study
        self.agreement = Agreement(study.graph, study.diameter, study.tree, engines.agreeing, engines.widest)
        if study.secure:
            self.agreement.exact = ExactSums(len(study.names), engines.masks(self.agreement))
        if study.private:
            self.agreement.noise = Noise(self._budgeted(engines.spending(), len(rows)))
        numbers, known = torch.tensor(rows, dtype=torch.int64), point.facts if point else None
        self.prepared = prepare(
            study, tables, numbers, self.agreement, device, known, lambda: engines.exchanges
        )
        self.study = study = study.chosen(self.prepared.facts.selection)
        if engines.epoch and study.secure:
            self._again(since, engines)
        self.engine: Engine
        self._parts: Callable[[], Parts] | None = None
        self.certifier: Certifier | None = None
        if METHODS[self.prepared.kind].rounds:
            self.engine, self._parts = engines.learning(compose(study, self.prepared))
            if study.certifies(self.prepared.kind):
                self.certifier = Certifier(engines, self._parts, rows)
        else:
            self.engine = engines.gossiping(learning(study), shards(self.prepared.train, study.dtype))
        self.outcome = self._begun(point)
        self.cpu = 0.0
        self.scores: Summary | None = None  # set by `evaluate`
        self._rows, self._engines = rows, engines

    def _budgeted(self, own: Spending, rows: int) -> Spending:
        """This peer's budget, beside that of the one that has spent most: it may have died after it paid, before it sent."""
        most = self.agreement.maximum(torch.full((rows, 1), own.spent, dtype=torch.float64))
        own.ahead = float(most[0]) - own.spent
        return own

    def _begun(self, point: Checkpoint | None) -> Outcome:
        """The outcome before the first round of this process.

        Raises:
            NetworkError: the model of `point` has another number of parameters.
        """
        if point is None:
            start, opening = self.prepared.start, self.prepared.opening
            run = self.engine.init(start)
            if opening is not None and self._parts:
                algorithm = self._parts().main.algorithm
                assert isinstance(algorithm, Summed)
                run = run._replace(state=algorithm.opened(start, opening))
            return Outcome(run)
        run = self.engine.init(self.prepared.continued(point.x))
        if isinstance(run.state, World):
            run.state.ages.fill(point.age)
        return Outcome(run._replace(round=point.round), point.round // self._steps, before=point.seconds)

    def _again(self, since: "Session | None", engines: Engines) -> None:
        """All agree again, since a peer is back or gone, and what was told counts.

        They go on at the model of those that had one, if it has the same features: a level may have gone with a peer.
        """
        last, schema = since.outcome.run.state if since else None, self.prepared.schema
        before = float(last.released[0]) if isinstance(last, Summing) else 0.0
        known = since.prepared.schema if since else schema
        alike = (known.features, known.classes) == (schema.features, schema.classes)
        state = last if alike and isinstance(last, Summing) else None
        told = float(self.agreement.maximum(torch.tensor([[before]], dtype=torch.float64))[0])
        start = self.agreement.latest(state, self.prepared.start.shape[1])
        self.prepared = replace(
            self.prepared,
            start=start.to(self.prepared.start),
            allowance=self.prepared.allowance - told,
            facts=structs.replace(self.prepared.facts, origin=engines.exchanges),
        )

    def __iter__(self) -> Iterator[Progress]:
        e = self.study.experiment
        began = time.process_time()
        self.outcome.began = time.monotonic()
        rhythm = Rhythm(self._steps, self._cycle, self.study.diameter, e.peers.report, not self.study.private)
        learning = learn(self.engine, self.prepared.problem, self.outcome, self.stop, rhythm, self.certifier)
        for progress in learning:
            self.cpu = self._spent(began)
            yield progress
        self.cpu = self._spent(began)

    def _spent(self, began: float) -> float:
        """CPU seconds of the rounds since `began`: certificates are no rounds."""
        return time.process_time() - began - (self.certifier.cpu if self.certifier else 0.0)

    @property
    def stop(self) -> StopSettings:
        """When learning ends: private sums are so many, and no more."""
        stop, study = self.study.experiment.stop, self.study
        if not study.private:
            return stop
        rounds = asked(study, self.prepared.problem.width)[1].sums * study.exchanges(self.prepared.kind)
        return stop.model_copy(update={"rounds": rounds})

    @property
    def budget(self) -> dict[str, float] | None:
        """What is spent of a private study's budget."""
        return self.agreement.noise.spending.record() if self.agreement.noise else None

    @property
    def _steps(self) -> int:
        """The number of rounds for each exchange."""
        return self.study.experiment.algorithm.local_steps if self._parts else 1

    def _cycle(self) -> int:
        """The present number of exchanges of one step; 0 if the first steps are long, as those of Pegasos."""
        if self._parts:
            return self._parts().main.cycle
        return 0 if self.study.experiment.algorithm.step == "auto" else 1

    @property
    def present(self) -> Study:
        """The study over the present topology."""
        return self._parts().study if self._parts else self.study

    @property
    def facts(self) -> Facts:
        """The present facts."""
        return self._parts().prepared.facts if self._parts else self.prepared.facts

    @property
    def point(self) -> Checkpoint:
        """The checkpoint of the single peer in this process."""
        outcome, state = self.outcome, self.outcome.run.state
        age = int(state.ages[0]) if isinstance(state, World) else 0
        return Checkpoint(state.x.detach().cpu(), outcome.run.round, outcome.elapsed, self.facts, age)

    def interrupt(self) -> None:
        """End learning early."""
        outcome = self.outcome
        outcome.stopped, outcome.why = "interrupted", f"interrupted in round {outcome.rounds + 1}"
        outcome.seconds = outcome.elapsed

    @property
    def models(self) -> Tensor:
        """The parameters of the peers in this process, (n, d)."""
        x = self.outcome.run.state.x
        problem = self.prepared.problem
        return (problem.by(x) if isinstance(problem, Preconditioned) else x).cpu()

    @property
    def kept(self) -> Tensor | None:
        """The newest models of each peer, (n, cache, d), for gossip learning; else None."""
        state = self.outcome.run.state
        return state.models if isinstance(state, World) else None

    def evaluate(self, here: Sequence[int] | None = None, near: nx.Graph | None = None) -> None:
        """Score the model on the test rows of all peers (`scores`). If that cannot be, a single peer scores it on its own.

        Args:
            here: the peers in this process that are present; None: all.
            near: the graph of the peers that learned to the end, with the edges along which they still speak; None: all.
        """
        study, stopped = self.present, self.outcome.stopped
        if study.private or not study.experiment.data.test or stopped == "diverged":
            return
        if self.agreement.exact:
            self.agreement.exact.conclude()
            if near is not None:  # a sum without some peers would give theirs away
                return
        inner = self.prepared.problem
        problem = inner.problem if isinstance(inner, Preconditioned) else inner
        loss = Squared() if isinstance(problem, Module) else study.loss
        unit = 2.0 ** math.frexp(self.facts.moments.spread)[1]
        tests = Tests(problem, loss, self.models, self.prepared.test, unit)
        agreement, method, numbers = self.agreement, METHODS[self.prepared.kind], self._rows
        if near is not None or study is not self.study:
            numbers = [study.names.index(self.study.names[row]) for row in self._rows]
            along = study.tree if near is None else among(study.graph, near)
            agreement = Agreement(study.graph, study.diameter, along, self._engines.agreeing)
        try:
            feasible = len(self._rows) == 1 or tests.numbers * study.tree.exchanges * len(self._rows) <= MOST
            if method.rounds and method.talks and stopped in SCORED and feasible:
                sums = Contributors(agreement, numbers, numbers if here is None else here)
                alike = isinstance(self.outcome.run.state, Summing)
                fewest = study.experiment.privacy.min_peers if self.agreement.exact else 0
                self.scores = scored(tests, sums, study.names, alike, fewest)
                return
        except (NetworkError, KeyboardInterrupt) as why:
            log.warning("the test rows of all peers were not summed: %s", why)
        if len(self._rows) == 1:
            self.scores = own(tests, self.study.names[self._rows[0]], len(study.names))

    @property
    def repairs(self) -> int:
        """How often the models of peers differed in their last digits, and were averaged."""
        state = self.outcome.run.state
        return int(state.repairs.max()) if isinstance(state, Summing) else 0

    @property
    def messages_sent(self) -> int:
        aside = self.certifier.messages_sent if self.certifier else 0
        return self.agreement.messages_sent + self.engine.messages_sent + aside

    @property
    def bytes_sent(self) -> int:
        aside = self.certifier.bytes_sent if self.certifier else 0
        return self.agreement.bytes_sent + self.engine.bytes_sent + aside

    def learned(self, here: Sequence[int], startup: float, absent: str = "") -> Learned:
        """The result for all peers of a study.

        Args:
            here: the numbers of the peers that are present at the end; only their models count.
            startup: seconds before learning began.
            absent: the status of the other peers.
        """
        outcome, prepared, names = self.outcome, self.prepared, self.study.names
        present = [names[me] for me in here]
        return Learned(
            engine="simulator",
            algorithm=prepared.kind,
            names=present,
            models=self.models[list(here)],
            schema=prepared.schema,
            scales=[prepared.scales[me] for me in here],
            step=prepared.step,
            rounds=outcome.rounds,
            stopped=outcome.stopped,
            why=outcome.why,
            messages_sent=self.messages_sent,
            bytes_sent=self.bytes_sent,
            startup=startup,
            seconds=outcome.seconds,
            cpu=self.cpu,
            status=dict.fromkeys(names, absent) | dict.fromkeys(present, outcome.stopped),
            train=[prepared.train[me] for me in here],
            test=[prepared.test[me] for me in here],
            kept=self.kept,
            scores=self.scores,
            selection=prepared.facts.selection,
            budget=self.budget,
            certificate=outcome.certificate,
            attempts=outcome.attempts,
            repairs=self.repairs,
            exchanges=self.certifier.exchanges if self.certifier else 0,
        )
