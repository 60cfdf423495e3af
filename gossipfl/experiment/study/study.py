"""An experiment's settings made into objects: the one room where strings become classes; must not know engines or data.

A study is what every peer knows before it has seen a row or heard a word, and it is the same at every peer.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx
import torch

from gossipfl.algorithms import METHODS, Method
from gossipfl.config.experiment import Experiment
from gossipfl.config.gossip import GossipSettings
from gossipfl.errors import BadExperiment, Incompatible
from gossipfl.experiment.study.decay import Scheduled, factor
from gossipfl.experiment.study.identity import digest, shared
from gossipfl.faults import Plan, plan
from gossipfl.mixing import Average
from gossipfl.models import LOSSES, Problem
from gossipfl.models.losses import Loss
from gossipfl.topology import (
    WEIGHTS,
    Averaging,
    Links,
    Topology,
    averaging,
    diameter,
    dropping,
    horizon,
    lossy,
    pace,
    period,
    schedule,
    static,
)  # fmt: skip


@dataclass(frozen=True)
class Study:
    """One experiment over one graph, put together and checked."""

    experiment: Experiment
    graph: nx.Graph
    holders: list[str]  # who holds the rows: the peers, except that "pooled" learns in one place

    def __getstate__(self) -> dict[str, Any]:
        """What a peer's process is handed: also the numbers that are the same for all, so that they are computed once."""
        handed = (
            "experiment",
            "graph",
            "holders",
            "diameter",
            "horizon",
            "averaging",
            "cycle",
            "fingerprint",
            "wiring",
        )
        return {name: getattr(self, name) for name in handed}

    @cached_property
    def names(self) -> list[str]:
        """The peers' names; peer number i is the i-th."""
        return list(self.graph)

    @property
    def method(self) -> Method | None:
        """What is known of the algorithm that the experiment names; None for "auto"."""
        return METHODS.get(self.experiment.algorithm.kind)

    @property
    def rule(self) -> str:
        """The rule that gives each edge its weight."""
        told = self.experiment.topology.weights
        if told != "auto" or not self.graph.is_directed():
            return told if told != "auto" else "metropolis"
        return "pull" if self.method and isinstance(self.method.aggregator, Average) else "push"

    @cached_property
    def links(self) -> Links:
        """All edges with their mixing weights; of a changing topology, whoever may ever talk to whom."""
        return WEIGHTS[self.rule](self.graph)

    @cached_property
    def topology(self) -> Topology:
        """The links of each exchange, with what is to go wrong."""
        told, seed = self.experiment.topology, self.experiment.seed
        whole = (
            schedule(self.graph, self.rule, seed) if "schedule" in self.graph.graph else static(self.links)
        )
        return lossy(dropping(whole, told.drop, seed), told.loss, seed)

    @property
    def failing(self) -> bool:
        """Whether links or messages are to be lost, in a round; gossip has no rounds."""
        told = self.experiment.topology
        return (self.method is None or self.method.rounds) and bool(told.drop or told.loss)

    @property
    def changing(self) -> bool:
        """Whether the links are not the same each round."""
        return self.failing or "schedule" in self.graph.graph

    @cached_property
    def diameter(self) -> int:
        """Exchanges along all edges in which a word reaches everybody, while peers agree."""
        return diameter(self.graph)

    @cached_property
    def horizon(self) -> int:
        """Exchanges of learning in which a word reaches everybody."""
        return horizon(self.topology, len(self.names)) if self.changing else self.diameter

    @cached_property
    def averaging(self) -> Averaging:
        return averaging(self.graph)

    @cached_property
    def cycle(self) -> int:
        """Exchanges of learning after which a mean is exact, again and again; 0 where it never is."""
        if self.graph.is_directed() or self.failing:
            return 0
        if not self.changing:
            return max(1, len(self.averaging.nodes))
        again, exact = period(self.topology), pace(self.topology, len(self.names)).exact
        return again if again and exact and exact <= again else 0

    @cached_property
    def faults(self) -> Plan:
        """What is to go wrong, and when."""
        return plan(self.experiment.faults, self.graph, self.experiment.seed)

    @cached_property
    def loss(self) -> Loss:
        """The loss of a linear model."""
        model = self.experiment.model
        return LOSSES[model.kind](delta=model.delta) if model.kind == "huber" else LOSSES[model.kind]()

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64 if self.experiment.model.dtype == "float64" else torch.float32

    @cached_property
    def fingerprint(self) -> bytes:
        """8 bytes that are equal where two peers mean the same study: not where the data lie, nor who takes part."""
        return digest(shared(self.experiment))

    @cached_property
    def wiring(self) -> bytes:
        """8 bytes that are equal where two peers have the same topology: who takes part, and along which links."""
        told = self.experiment.topology
        edges = [t.tolist() for t in self.links[:3]]
        return digest([self.names, edges, self.graph.graph.get("schedule"), told.drop, told.loss])

    def scheduled(self, problem: Problem) -> Problem:
        """The problem whose gradients shrink as `decay` says: the same as a shrinking step."""
        decay = self.experiment.algorithm.decay
        return Scheduled(problem, factor(decay)) if decay else problem

    def check(self) -> None:
        """Refuse what does not fit together, before anything runs. Raises Incompatible or BadExperiment."""
        e, method = self.experiment, self.method
        kind, model, silent = e.algorithm.kind, e.model, method is not None and not method.talks
        if e.faults and silent:
            raise Incompatible(f'algorithm "{kind}" has no neighbours that could fail: leave out [[faults]]')
        _ = self.faults  # a plan that cannot be is refused while it is made
        if model.device == "cuda" and not torch.cuda.is_available():
            raise BadExperiment('model.device = "cuda", but torch sees no CUDA device here: use "cpu"')
        if e.reference and model.kind in ("svm", "module"):
            raise Incompatible(
                f'reference = true finds the pooled optimum, which is not available for model.kind = "{model.kind}": '
                "set reference = false" + (', or model.kind = "squared-svm"' if model.kind == "svm" else "")
            )
        if e.topology.loss and silent:
            raise Incompatible(f'algorithm "{kind}" sends nothing that could be lost: set topology.loss = 0')
        if e.gossip != GossipSettings() and method is None:
            raise Incompatible(
                f'[gossip] has no meaning for algorithm.kind = "{kind}": set algorithm.kind = "gossip-learning", or leave '
                "[gossip] out"
            )
        if silent and len(self.names) > 1 and e.stop.tolerance:
            raise Incompatible(
                f'algorithm "{kind}" never talks, so that its peers cannot agree to stop: set stop.tolerance = 0'
            )
        if model.l1 and e.algorithm.decay:
            raise Incompatible(
                "model.l1 needs a constant step: its proximal map knows nothing of decay. Leave out model.l1 or algorithm.decay"
            )
        if model.kind == "module":
            if e.algorithm.step == "auto":
                raise Incompatible(
                    'algorithm.step = "auto" needs a smoothness constant, and a module has none: give a number, for example '
                    "algorithm.step = 0.01"
                )
            if model.l1:
                raise Incompatible(
                    "model.l1 is for linear models: leave it out, or put the penalty into the module's loss"
                )
        elif (
            e.algorithm.step == "auto"
            and (method is None or method.step == "smoothness")
            and not (method is None and model.kind == "poisson")
            and self.loss.curvature == float("inf")
        ):
            raise Incompatible(
                f'algorithm.step = "auto" is 1/L, and the {model.kind} loss has no L (its gradient is not Lipschitz): '
                "give a number, for example algorithm.step = 0.01"
                + (', or set model.kind = "squared-svm"' if model.kind == "svm" else "")
            )
