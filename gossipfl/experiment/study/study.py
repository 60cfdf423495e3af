"""A study: an experiment and its graph, as objects; must not know engines or data.

Every peer computes the same study, before it reads data or receives a message.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import networkx as nx

from gossipfl.algorithms import METHODS, Method
from gossipfl.config.experiment import Experiment
from gossipfl.experiment.study.decay import Scheduled, factor
from gossipfl.experiment.study.shared import digest, shared
from gossipfl.faults import Plan, plan
from gossipfl.mixing import Average
from gossipfl.models import LOSSES, Problem
from gossipfl.models.losses import Loss
from gossipfl.runs.facts import Selection
from gossipfl.secrecy.promise import Promise
from gossipfl.tensors import torch
from gossipfl.topology import (
    WEIGHTS,
    Averaging,
    Links,
    Topology,
    Tree,
    averaging,
    diameter,
    dropping,
    horizon,
    lossy,
    pace,
    period,
    schedule,
    static,
    tree,
)  # fmt: skip


@dataclass(frozen=True)
class Study:
    """One experiment over one graph."""

    experiment: Experiment
    graph: nx.Graph
    # The peers of the file's topology, which split the rows; "pooled" has another graph, of one peer.
    holders: list[str]
    divided: bool = False  # whether this peer's rows are its part of a source that `holders` divide
    selection: Selection | None = None  # the penalty that the peers have chosen, if they are to choose one

    def __getstate__(self) -> dict[str, Any]:
        """The state for a peer's process, with the cached numbers, so that they are computed only once."""
        state = (
            "experiment",
            "graph",
            "holders",
            "divided",
            "diameter",
            "horizon",
            "averaging",
            "tree",
            "cycle",
            "fingerprint",
            "wiring",
        )
        return {name: getattr(self, name) for name in state}

    @cached_property
    def names(self) -> list[str]:
        """The peers' names; peer number i is the i-th."""
        return list(self.graph)

    @property
    def method(self) -> Method | None:
        """The table row of the experiment's algorithm; None for "auto"."""
        return METHODS.get(self.experiment.algorithm.kind)

    @property
    def target(self) -> str:
        """The name of the column to predict."""
        return self.experiment.data.target or "target"

    @property
    def rule(self) -> str:
        """The name of the rule for the weights of the edges."""
        weights = self.experiment.topology.weights
        if weights != "auto" or not self.graph.is_directed():
            return weights if weights != "auto" else "metropolis"
        return "pull" if self.method and isinstance(self.method.aggregator, Average) else "push"

    @cached_property
    def links(self) -> Links:
        """All edges with their mixing weights; for a changing topology, the union of all rounds."""
        return WEIGHTS[self.rule](self.graph)

    @cached_property
    def topology(self) -> Topology:
        """The links of each exchange, with `drop` and `loss`."""
        settings, seed = self.experiment.topology, self.experiment.seed
        whole = (
            schedule(self.graph, self.rule, seed) if "schedule" in self.graph.graph else static(self.links)
        )
        return lossy(dropping(whole, settings.drop, seed), settings.loss, seed)

    @property
    def failing(self) -> bool:
        """Whether links or messages of a round may be lost; False for gossip learning, which has no rounds."""
        settings = self.experiment.topology
        return (self.method is None or self.method.rounds) and bool(settings.drop or settings.loss)

    @property
    def changing(self) -> bool:
        """Whether the links differ between rounds."""
        return self.failing or "schedule" in self.graph.graph

    @cached_property
    def diameter(self) -> int:
        """The exchanges along all edges after which information has reached every peer."""
        return diameter(self.graph)

    @cached_property
    def horizon(self) -> int:
        """The exchanges of learning after which information has reached every peer."""
        return horizon(self.topology, len(self.names)) if self.changing else self.diameter

    @cached_property
    def averaging(self) -> Averaging:
        return averaging(self.graph)

    @cached_property
    def tree(self) -> Tree:
        """The tree along which sums are taken."""
        return tree(self.graph)

    def sums(self, kind: str) -> bool:
        """Whether a kind of algorithm takes sums along the tree."""
        method, how = METHODS[kind], self.experiment.algorithm.averaging
        tree = how == "tree" or self.secure or (how == "auto" and (self.shorter or self.tree_only))
        return method.sums or (method.averages and tree)

    def certifies(self, kind: str) -> bool:
        """Whether the peers tell the distance of their model to the optimum."""
        method = METHODS[kind]
        return method.rounds and (method.talks or len(self.names) == 1) and not self.uncertified

    @property
    def uncertified(self) -> str:
        """Why no method tells the distance of its model to the optimum; "" if one may."""
        e = self.experiment
        if e.model.kind == "svm":
            return "the hinge has kinks, so that gradients do not tell the distance"
        if e.model.kind == "module":
            return "no convex objective is known of a module"
        if self.private:
            return "noise is in all sums"
        return "" if e.stop.certificate else "stop.certificate = false"

    def exact(self, kind: str) -> bool:
        """Whether a kind of algorithm ends at the optimum of all data; with mini-batches it ends near it."""
        return METHODS[kind].exact and self.experiment.algorithm.batch == "full"

    @cached_property
    def shorter(self) -> bool:
        """Whether a sum along the tree takes no more exchanges than an exact average: it sends half the bytes."""
        return self._sends_sums and not self.graph.is_directed() and self.tree.exchanges <= self.cycle

    @property
    def tree_only(self) -> bool:
        """Whether Newton's method needs sums along the tree, as exact averages do not do."""
        e = self.experiment
        special = self.l1 or e.model.kind == "huber" or e.data.standardise == "none" or e.data.sparse
        return self._sends_sums and bool(special or self.graph.is_directed())

    @property
    def _sends_sums(self) -> bool:
        return not self.changing and self.experiment.channel.compress == "none"

    def exchanges(self, kind: str) -> int:
        """The exchanges of a sum or an exact average, for a kind of algorithm that needs one; 0 if there is none."""
        if not self.sums(kind):
            return self.cycle
        return 0 if self.changing else max(1, self.tree.exchanges)

    @cached_property
    def cycle(self) -> int:
        """The number of exchanges of learning after which a mean is exact, from any round on; 0 if it never is exact."""
        if self.graph.is_directed() or self.failing:
            return 0
        if not self.changing:
            return max(1, len(self.averaging.nodes))
        again, exact = period(self.topology), pace(self.topology, len(self.names)).exact
        return again if again and exact and exact <= again else 0

    @property
    def secure(self) -> bool:
        """Whether nobody learns more than the totals of sums."""
        return self.experiment.privacy.sums in ("secure", "private") and not (
            self.method and self.method.gathers
        )

    @property
    def private(self) -> bool:
        """Whether noise hides each row in the totals."""
        return self.experiment.privacy.sums == "private"

    @cached_property
    def promise(self) -> Promise:
        """What a private study promises."""
        privacy, peers = self.experiment.privacy, len(self.names)
        colluders = -(-peers // 2) if privacy.colluders is None else privacy.colluders
        standardises = self.experiment.data.standardise == "gossip"
        return Promise(privacy.epsilon or 0.0, privacy.delta, privacy.clip, peers, colluders, standardises)

    @cached_property
    def faults(self) -> Plan:
        """The plan of the experiment's faults."""
        return plan(self.experiment.faults, self.graph, self.experiment.seed)

    @cached_property
    def loss(self) -> Loss:
        """The loss of a linear model."""
        model = self.experiment.model
        return LOSSES[model.kind](delta=model.delta) if model.kind == "huber" else LOSSES[model.kind]()

    @property
    def dtype(self) -> "torch.dtype":
        return torch.float64 if self.experiment.model.dtype == "float64" else torch.float32

    @cached_property
    def fingerprint(self) -> bytes:
        """8 bytes that are equal for two peers of the same study. They do not depend on the data's place, nor on the graph.

        If the rows are parts of one source, they depend on who divides it: else two peers could hold the same rows.
        """
        parts = self.holders if self.divided else None
        return digest([shared(self.experiment), parts] if parts else shared(self.experiment))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All that must be equal at all peers, by the words of the experiment file; the last two are about the topology."""
        words: dict[str, Any] = {}
        for section, keys in shared(self.experiment).items():
            words |= (
                {f"{section}.{key}": value for key, value in keys.items()}
                if isinstance(keys, dict)
                else {section: keys}
            )
        words["who divides data.source"] = self.holders if self.divided else None
        words["the topology's names, links and weights"] = self.wiring.hex()
        return words

    @cached_property
    def wiring(self) -> bytes:
        """8 bytes that are equal for two peers with the same topology: names, links and weights."""
        settings = self.experiment.topology
        edges = [t.tolist() for t in self.links[:3]]
        return digest([self.names, edges, self.graph.graph.get("schedule"), settings.drop, settings.loss])

    @property
    def l1(self) -> float:
        """The l1 penalty; 1 stands for one that the peers have not chosen yet."""
        return self._penalty("l1")

    @property
    def l2(self) -> float:
        """The l2 penalty; 1 stands for one that the peers have not chosen yet."""
        return self._penalty("l2")

    def _penalty(self, key: str) -> float:
        value: float | str = getattr(self.experiment.model, key)
        if not isinstance(value, str):
            return value
        return self.selection.chosen if self.selection else 1.0

    def chosen(self, selection: Selection | None) -> "Study":
        """The same study with the penalty that the peers have chosen."""
        return self if selection == self.selection else replace(self, selection=selection)

    def unrecorded(self) -> AbstractContextManager[None]:
        """Learn without the records of autograd, which only torch modules need: a round takes a tenth less time."""
        return torch.inference_mode(self.experiment.model.kind != "module")

    def scheduled(self, problem: Problem) -> Problem:
        """The problem with `decay`: its gradients shrink, which is the same as a shrinking step."""
        decay = self.experiment.algorithm.decay
        return Scheduled(problem, factor(decay)) if decay else problem
