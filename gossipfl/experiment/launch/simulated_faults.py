"""The experiment's faults in the simulator; must not know live peers."""

from collections.abc import Iterator

from gossipfl.algorithms import Algorithm
from gossipfl.config.gossip import GOSSIP
from gossipfl.engine import Run
from gossipfl.errors import BadExperiment, Incompatible
from gossipfl.experiment.learning.beside import beside, turns
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.study.method import bears, exact, heals
from gossipfl.experiment.study.study import Study
from gossipfl.faults.director import Director, told
from gossipfl.mixing import Mixing
from gossipfl.models import Problem
from gossipfl.runs.events import Progress, Struck
from gossipfl.runs.learned import Summary
from gossipfl.simulator import SimulatedFallback, Simulator
from gossipfl.topology import Fault, Topology, afflicted

AWAY = "away at the end, as the faults say"


class Afflicting:
    """Makes simulators (a `MakeEngine`) in which, when peers have agreed, goes wrong what the experiment asks for.

    Raises:
        BadExperiment: a fault is none that the simulator knows.
    """

    def __init__(self, made: Study) -> None:
        plan, self._seed, self._peers = made.faults, made.experiment.seed, len(made.names)
        if plan.events and made.experiment.algorithm.kind == GOSSIP:
            raise BadExperiment(
                "in simulated time gossip learning has its own: leave out the faults, and set gossip.online, gossip.delay or "
                "topology.loss"
            )
        if plan.events and plan.unit == "seconds":
            raise BadExperiment("the simulator knows no seconds: give the faults a round in place of at")
        if strange := sorted({due.do for due in plan.events} & {"delay", "duplicate", "reset"}):
            those = "that fault" if len(strange) == 1 else "those faults"
            raise BadExperiment(
                f"the simulator knows no {' and no '.join(strange)}: leave {those} out (-s 'faults=[]'), or use gossipfl run"
            )
        steps = made.experiment.algorithm.local_steps
        self._faults = [
            Fault(int(due.when) * steps, due.do, due.peers, due.amount, due.fresh)  # type: ignore[arg-type]
            for due in plan.events
        ]
        self._edges, self._names = made.links, made.names
        self._struck: Topology | None = None
        self._director = Director(plan)

    def __call__(
        self,
        algorithm: Algorithm,
        problem: Problem | None,
        topology: Topology,
        mixing: Mixing,
        diameter: int,
        changing: bool,
    ) -> Simulator:
        if problem is None or not self._faults:
            return Simulator(algorithm, problem, topology, mixing, diameter, changing)
        self._struck = afflicted(topology, self._peers, self._faults, self._seed, self._edges)
        return Simulator(algorithm, problem, self._struck, mixing, diameter, True)

    def harden(self, session: Session) -> None:
        """Let another method take over while something is wrong, where the session's own would end at another model.

        Raises:
            Incompatible: there is none.
        """
        study, own = session.study, session.method
        if not self._faults or own is None or not exact(own) or bears(study, own) or heals(own):
            return
        other = beside(study, session.prepared)
        if other is None:
            raise Incompatible(f"{self._why(session)}, or leave out the faults")
        assert isinstance(session.engine, Simulator)
        robust = self(
            other.algorithm, session.prepared.problem, other.topology, other.mixing, study.horizon, True
        )
        session.engine = SimulatedFallback(session.engine, robust, turns(study, own))

    def _why(self, session: Session) -> str:
        assert session.method is not None
        kind, model = session.method.kind, session.study.experiment.model.kind
        if kind == "newton" and not session.prepared.facts.fallback:
            return (
                "Newton's averaging is exact among all peers only, and exact diffusion, which takes over from it with faults, "
                f'knows no step for the model {model}: set algorithm.kind = "exact-diffusion" and algorithm.step'
            )
        return (
            f'algorithm "{kind}" does not end at the optimum of the data that is there after a fault, and exact diffusion, '
            "which takes over from such methods, needs links that lead both ways in each round, and weigh the same: use "
            'another topology or, where links lead one way, algorithm "push-pull"'
        )

    def befallen(self, progress: Progress) -> Iterator[Struck]:
        """What has gone wrong, or ended to, before that round and was not told yet."""
        for due in self._director.due(progress.seconds, progress.round - 1):
            names = tuple(self._names[peer] for peer in due.peers)
            words = told(due, self._names)
            yield Struck(words, progress.seconds, due.do, due.begins, names, int(due.when))

    @property
    def counts(self) -> Summary:
        """What the summary says of the faults, where there are any."""
        planned, missed = len(self._faults), self._director.coming
        return {"faults": {"carried_out": planned - missed, "too_late": missed}} if planned else {}

    def present(self, run: Run) -> list[int]:
        """The peers that are there at the end."""
        here = self._struck(max(0, run.round - 1)).present if self._struck else None
        return [me for me in range(self._peers) if here is None or here[me]]
