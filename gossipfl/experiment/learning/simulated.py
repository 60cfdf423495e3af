"""Engines for all peers in this process, with the faults that the experiment asks for; must not know live peers."""

from collections.abc import Callable

from gossipfl.algorithms import METHODS, Algorithm
from gossipfl.engine import Engine, Run
from gossipfl.errors import BadExperiment, Incompatible
from gossipfl.experiment.learning.compose import Parts
from gossipfl.experiment.study.gossip import network
from gossipfl.experiment.study.method import Composition, heals
from gossipfl.experiment.study.study import Study
from gossipfl.gossip import Cycles, Gossip, GossipLearning, Shards
from gossipfl.mixing import Mixing
from gossipfl.simulator import SimulatedFallback, Simulator
from gossipfl.topology import Fault, Topology, afflicted

STRANGE = {"delay", "duplicate", "reset"}  # faults that need real connections


class Simulated:
    """How engines of all peers are made (`Engines`). Things go wrong once the peers have agreed.

    Raises:
        BadExperiment: the simulator does not know a fault.
    """

    exchanges = 0  # of the agreement: nobody who comes late counts them here

    def __init__(self, study: Study) -> None:
        plan, method = study.faults, study.method
        if plan.events and method is not None and not method.rounds:
            raise BadExperiment(
                "gossip learning has faults of its own in simulated time: leave out [[faults]], and set gossip.online, "
                "gossip.delay or topology.loss"
            )
        if plan.events and plan.unit == "seconds":
            raise BadExperiment("the simulator knows no seconds: give each fault a round in place of at")
        if strange := sorted({due.do for due in plan.events} & STRANGE):
            those = "that fault" if len(strange) == 1 else "those faults"
            raise BadExperiment(
                f"the simulator knows no {' and no '.join(strange)}: leave {those} out (-s 'faults=[]'), or use gossipfl run"
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

    def learning(self, parts: Parts) -> tuple[Engine, Callable[[], Parts]]:
        """The main method; where things go wrong that it does not tolerate, with its fallback.

        Raises:
            Incompatible: it would end at another model, and there is no fallback.
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

    def gossiping(self, learning: GossipLearning, shards: Shards) -> Engine:
        e = self._study.experiment
        return Cycles(Gossip(learning, shards, network(e), self._study.links, e.seed))

    def present(self, run: Run) -> list[int]:
        """The peers that are there at the end of a run."""
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
            study.horizon,
            study.changing or bool(self._faults),
        )


def _why(parts: Parts) -> str:
    """Why there is no fallback, and what to use instead."""
    kind, model = parts.main.kind, parts.study.experiment.model.kind
    if METHODS[kind].averages and not parts.prepared.facts.fallback_step:
        return (
            "Newton's averaging is exact among all peers only, and exact diffusion, which takes over from it with faults, "
            f'knows no step for the model {model}: set algorithm.kind = "exact-diffusion" and algorithm.step'
        )
    return (
        f'algorithm "{kind}" does not end at the optimum of the data that is there after a fault, and exact diffusion, '
        "which takes over from such methods, needs links that lead both ways in each round, and weigh the same: use "
        'another topology or, where links lead one way, algorithm "push-pull"'
    )
