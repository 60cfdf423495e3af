"""The experiment's faults in the simulator; must not know live peers."""

from gossipfl.algorithms import Algorithm
from gossipfl.engine import Run
from gossipfl.errors import BadExperiment, Incompatible
from gossipfl.experiment.beside import beside
from gossipfl.experiment.gossip_settings import GOSSIP
from gossipfl.experiment.session import Session
from gossipfl.experiment.study import Study
from gossipfl.mixing import Mixing
from gossipfl.models import Problem
from gossipfl.simulator import Fallback, Simulator
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
            raise BadExperiment(
                f"the simulator knows no {' and no '.join(strange)}: leave it to gossipfl run, or out"
            )
        steps = made.experiment.algorithm.local_steps
        self._faults = [
            Fault(int(due.when) * steps, due.do, due.peers, due.amount, due.fresh)  # type: ignore[arg-type]
            for due in plan.events
        ]
        self._edges = made.links
        self._struck: Topology | None = None

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
        """Let another method take over while something is wrong, where the session's is Newton's.

        Raises:
            Incompatible: there is none.
        """
        fast = session.engine
        if not self._faults or session.method is None or session.method.kind != "newton":
            return
        other = beside(session.study, session.prepared)
        if other is None:
            model = session.study.experiment.model.kind
            raise Incompatible(
                "Newton's averaging is exact among all peers only, and exact diffusion, which takes over from it with faults, "
                + (
                    "needs links that lead both ways in each round: use another topology"
                    if session.prepared.facts.fallback
                    else f'knows no step for the model {model}: set algorithm.kind = "exact-diffusion" and algorithm.step'
                )
                + ", or leave out the faults"
            )
        assert isinstance(fast, Simulator)
        hardy = self(
            other.algorithm,
            session.prepared.problem,
            other.topology,
            other.mixing,
            session.study.horizon,
            True,
        )
        session.engine = Fallback(fast, hardy, session.method.cycle)

    def present(self, run: Run) -> list[int]:
        """The peers that are there at the end."""
        here = self._struck(max(0, run.round - 1)).present if self._struck else None
        return [me for me in range(self._peers) if here is None or here[me]]
