"""Engines for all peers in this process, with the faults of the experiment; must not know live peers."""

from collections.abc import Callable

import networkx as nx

from gossipfl.algorithms import METHODS, Algorithm
from gossipfl.engine import Engine, Run
from gossipfl.errors import BadExperiment, Incompatible
from gossipfl.experiment.learning.agree import LONGEST, Agreement
from gossipfl.experiment.learning.compose import Parts, hops
from gossipfl.experiment.study.gossip import network
from gossipfl.experiment.study.method import Composition, heals
from gossipfl.experiment.study.study import Study
from gossipfl.gossip import Cycles, Gossip, GossipLearning, Shards
from gossipfl.mixing import Mixing
from gossipfl.secrecy.promise import Spending
from gossipfl.simulator import SimulatedFallback, Simulator
from gossipfl.topology import Fault, Topology, afflicted, subgraph

LIVE_ONLY = {"delay", "duplicate", "reset"}  # faults that need real connections


class Simulated:
    """Makes the engines of all peers (`Engines`). Faults begin after the peers have agreed.

    Raises:
        BadExperiment: the experiment has a fault that cannot be simulated.
    """

    epoch = 0
    widest = LONGEST
    exchanges = 0  # of the agreement; only newcomers need the number, and the simulator has none

    def __init__(self, study: Study) -> None:
        plan, method = study.faults, study.method
        if plan.events and method is not None and not method.rounds:
            raise BadExperiment(
                "the simulator has no [[faults]] for gossip learning: leave out [[faults]], and set gossip.online, "
                "gossip.delay or topology.loss"
            )
        if plan.events and plan.unit == "seconds":
            raise BadExperiment(
                "the simulator has no seconds: set round = NUMBER in place of at in each [[faults]] table"
            )
        if live_only := sorted({due.do for due in plan.events} & LIVE_ONLY):
            raise BadExperiment(
                f"the simulator cannot simulate {' or '.join(live_only)} faults: remove them (-s 'faults=[]' removes all), or "
                "use gossipfl run"
            )
        steps = study.experiment.algorithm.local_steps
        self._study = study
        self._faults = [
            Fault(int(due.when) * steps, due.do, due.peers, due.amount, due.fresh)  # type: ignore[arg-type]
            for due in plan.events
        ]
        self._topology: Topology | None = None  # with the faults

    def agreeing(self, algorithm: Algorithm, topology: Topology, mixing: Mixing) -> Simulator:
        return Simulator(algorithm, None, topology, mixing)

    def masks(self, agreement: Agreement) -> None:
        """None: the simulator holds all rows, and adds up the same integers without masks."""

    def spending(self) -> Spending:
        """Of one simulation: the simulator holds all rows."""
        return Spending(self._study.promise)

    def learning(self, parts: Parts) -> tuple[Engine, Callable[[], Parts]]:
        """The main method; with its fallback, if there are faults that it does not tolerate.

        Raises:
            Incompatible: the method would end at a wrong model, and there is no fallback.
        """
        main = self._simulator(parts, parts.main)
        if not self._faults or parts.tolerant or heals(parts.main):
            return main, lambda: parts
        if parts.fallback:
            robust = self._simulator(parts, parts.fallback)
            return SimulatedFallback(main, robust, parts.turn), lambda: parts
        if METHODS[parts.main.kind].exact:
            raise Incompatible(f"{_why(parts)}, or leave out the faults")
        return main, lambda: parts

    def aside(self, algorithm: Algorithm, topology: Topology, mixing: Mixing) -> Simulator:
        return Simulator(algorithm, None, topology, mixing)

    def resume(self) -> None:
        return

    def companies(self, study: Study, run: Run) -> list[nx.Graph]:
        here, links = self.present(run), self._topology(max(0, run.round - 1)) if self._topology else None
        if links is None or links.sides is None:
            return [
                study.graph
                if len(here) == len(study.names)
                else subgraph(study.graph, [study.names[me] for me in here])
            ]
        sides: dict[int, list[str]] = {}
        for me in here:
            sides.setdefault(int(links.sides[me]), []).append(study.names[me])
        return [subgraph(study.graph, names) for names in sides.values()]

    def gossiping(self, learning: GossipLearning, shards: Shards) -> Engine:
        e = self._study.experiment
        return Cycles(Gossip(learning, shards, network(e), self._study.links, e.seed))

    def present(self, run: Run) -> list[int]:
        """The numbers of the peers that are present at the end of a run."""
        here = self._topology(max(0, run.round - 1)).present if self._topology else None
        return [me for me in range(len(self._study.names)) if here is None or here[me]]

    def _simulator(self, parts: Parts, composition: Composition) -> Simulator:
        study, topology = self._study, composition.topology
        if self._faults:
            topology = afflicted(topology, len(study.names), self._faults, study.experiment.seed, study.links)
            self._topology = self._topology or topology
        return Simulator(
            composition.algorithm,
            parts.problem,
            topology,
            composition.mixing,
            hops(study, composition),
            study.changing or bool(self._faults),
        )


def _why(parts: Parts) -> str:
    """Why there is no fallback, and what to set instead."""
    kind, model = parts.main.kind, parts.study.experiment.model.kind
    if METHODS[kind].averages and not parts.prepared.facts.fallback_step:
        return (
            "Newton's method does not tolerate faults, and exact diffusion, which replaces it after a fault, has no automatic "
            f'step for model.kind = "{model}": set algorithm.kind = "exact-diffusion" and algorithm.step'
        )
    return (
        f'algorithm "{kind}" does not end at the optimum of the remaining data after a fault, and exact diffusion, which '
        "replaces such methods, needs links in both directions with equal weights in each round: use another "
        'topology.graph or, on directed links, algorithm.kind = "push-pull"'
    )
