"""The certificate of the peers' mean model, by sums between two rounds of learning; must not know which engine takes them."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import networkx as nx
import torch
from torch import Tensor

from gossipfl.algorithms import Algorithm, Summed, Summing, Sums, leaves, rebuilt
from gossipfl.algorithms.sums import Bound, Probe, probe
from gossipfl.algorithms.sums.certificate import CONTRACTION, Evidence, Verdict, at_rounding, predicted
from gossipfl.engine import Engine, Run, relative_distance
from gossipfl.experiment.learning.compose import Parts
from gossipfl.experiment.study.method import sums
from gossipfl.experiment.study.study import Study
from gossipfl.mixing import Mixing, Sum
from gossipfl.models import Linear, Preconditioned
from gossipfl.runs.learned import Certificate
from gossipfl.topology import Topology, among, cycle, tree

MANY = 2000  # peers in one process above which the rows of all are summed at once
ENDLESS = {
    Verdict.SEPARATED: "there is no finite optimum: the model separates the classes, and there is no penalty. Set model.l2 "
    "above 0",
    Verdict.ONE_SIDED: "there is no finite optimum: all training rows have one class, or all counts are 0, and the intercept, "
    "which has no penalty, grows without limit",
    Verdict.RECEDING: "there is no finite optimum, or none within reach of double precision: a level or a combination of "
    "features has rows of one class only. Set model.l2 above 0",
}  # why there is no optimum
VOID = "not all peers took part in its sums"
UNSOUND = "the objective is not smooth enough there, or has a flat direction"
SECRET = "secure sums are spent on learning alone"
WIDE = (
    "the model has too many parameters for it: it would need model.l2 above 0 and model.l1 = 0 or, with "
    'algorithm.kind = "lbfgs", a model.l1 that leaves at most 1,000 coefficients'
)


class Aside(Protocol):
    """What takes sums between two rounds of learning."""

    def aside(self, algorithm: Algorithm, topology: Topology, mixing: Mixing) -> Engine:
        """An engine without a problem, whose exchanges come between those of learning."""

    def resume(self) -> None:
        """The exchanges of the last such engine are over."""

    def companies(self, study: Study, run: Run) -> list[nx.Graph]:
        """The peers that are there after a run, and their links: a graph for each part that others have lost for good."""


class Certifier:
    """Takes certificates. All peers call it after the same exchange.

    Args:
        engines: takes the sums.
        parts: the present parts of the session.
        mine: the numbers of the peers in this process.
    """

    def __init__(self, engines: Aside, parts: Callable[[], Parts], mine: Sequence[int]) -> None:
        self._engines, self._parts, self._mine = engines, parts, list(mine)
        self._made: tuple[Parts, Sums] | None = None
        self.exchanges = self.messages_sent = self.bytes_sent = 0
        self.cpu = 0.0  # seconds

    @property
    def decides(self) -> bool:
        """Whether learning goes on until the certificate meets the tolerance, too."""
        parts = self._parts()
        return parts.study.exact(parts.main.kind)

    def __call__(self, run: Run, thorough: bool = False) -> Certificate:
        """The certificate of the mean of the models after a run.

        `thorough`: find the distance even if it is far, and what Newton's method would take from there.
        """
        if (known := told(run)) is not None:
            return known
        if self._parts().study.secure:
            return Certificate(why=SECRET)
        parts, x = self._parts(), run.state.x
        problem, study = parts.prepared.problem, parts.study
        if isinstance(problem, Preconditioned):
            x, problem = problem.by(x), problem.problem
        assert isinstance(problem, Linear), "a module has no certificate"
        made = self._sums(parts, problem)
        method = probe(made.objective, made.loss, made.tolerance, thorough)
        if method is None:
            return Certificate(why=WIDE)
        graphs, began = self._engines.companies(study, run), time.process_time()
        found = _worst([self._of(graph, study, made, method, problem, x) for graph in graphs])
        self.cpu += time.process_time() - began
        return found

    def _of(
        self,
        graph: nx.Graph,
        study: Study,
        made: Sums,
        method: Probe | Bound,
        problem: Linear,
        x: Tensor,
    ) -> Certificate:
        """The certificate of the models x of these peers."""
        if not (nx.is_strongly_connected(graph) if graph.is_directed() else nx.is_connected(graph)):
            return Certificate(why=VOID)
        here, links = [study.names.index(name) for name in graph], tree(graph).rounds()
        made, along = made._replace(peers=len(here), exchanges=max(1, len(links))), cycle(links)
        if len(self._mine) > MANY:
            made = made._replace(rows=[problem.of_all(here, float(made.shift[-1]))], peers=1, exchanges=1)
            x, along = x[here].mean(0, keepdim=True), cycle(())
        elif len(self._mine) > 1:
            made, x = made._replace(rows=[made.rows[me] for me in here]), x[here]
        elif graph is not study.graph:
            along = cycle(among(study.graph, graph).rounds())
        state, mean = self._taken(made.of(method), x, along)
        if state is None:
            return Certificate(why=VOID)
        spread = None if len(self._mine) > MANY else float(relative_distance(x, mean).max())
        found = _certificate(state.evidence)._replace(spread=spread)
        known = isinstance(method, Probe) and method.thorough and found.distance is not None
        return found._replace(newton=int(state.sums) * len(links) if known else 0)

    def _sums(self, parts: Parts, problem: Linear) -> Sums:
        """What the sums are made of, kept as long as the parts stay the same."""
        if self._made is None or self._made[0] is not parts:
            many = len(self._mine) > MANY
            made = sums(parts.study, problem, parts.prepared.facts.moments, 1, rows=not many)
            self._made = parts, made
        return self._made[1]

    def _taken(self, summed: Summed, x: Tensor, topology: Topology) -> tuple[Any, Tensor]:
        """The state of the method after its last sum, of one row, and the mean of the models (1, d).

        The state is None if not all peers contributed to a sum.
        """
        engine = self._engines.aside(summed, topology, Mixing(Sum()))
        run = engine.init(x)
        first: Any = run.state
        # The mean of the models first.
        run, mean = run._replace(state=first._replace(apart=torch.ones_like(first.apart))), None
        while True:
            for _ in range(summed.exchanges):
                run = engine.step(run)
            state: Any = run.state
            mean = state.x[:1] if mean is None else mean
            if state.voids[0] or (state.inner.finished[0] and not state.apart[0]):
                break
        self._engines.resume()
        self.exchanges += run.round
        self.messages_sent += engine.messages_sent
        self.bytes_sent += engine.bytes_sent
        if state.voids[0]:
            return None, mean
        return rebuilt({name: tensor[0] for name, tensor in leaves(state.inner).items()}, state.inner), mean


def told(run: Run) -> Certificate | None:
    """What a method that takes sums knows itself; None where it knows neither a distance nor that there is no optimum."""
    if not isinstance(run.state, Summing):
        return None
    evidence = run.state.evidence
    if not (evidence.verdict or math.isfinite(predicted(evidence))):
        return None
    return _certificate(evidence)._replace(spread=None if run.state.apart.any() else 0.0)


def _worst(found: Sequence[Certificate]) -> Certificate:
    """The certificate that promises least."""
    return max(found, key=lambda one: math.inf if one.distance is None else one.distance)


def _certificate(evidence: Evidence) -> Certificate:
    if evidence.verdict:
        return Certificate(why=ENDLESS[Verdict(int(evidence.verdict))], endless=True)
    length = predicted(evidence)
    if not math.isfinite(length):
        return Certificate(why=UNSOUND)
    return Certificate(
        length, rounding=at_rounding(evidence), contracted=bool(evidence.contraction <= CONTRACTION)
    )
