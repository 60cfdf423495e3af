"""The learning loop: metrics, stopping and progress; must not know which engine it drives.

It is a for loop over `engine.rounds(run)`.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gossipfl.algorithms import Summing
from gossipfl.algorithms.sums.certificate import Verdict, reached
from gossipfl.config.experiment import StopSettings
from gossipfl.engine import Engine, Run, within
from gossipfl.errors import Departed, Dropped, Spent
from gossipfl.experiment.learning.certify import ENDLESS, Certifier, told
from gossipfl.models import Problem
from gossipfl.runs.events import Progress
from gossipfl.runs.learned import Certificate

Array = npt.NDArray[Any]
Stopped = Literal[
    "rounds", "seconds", "tolerance", "diverged", "interrupted", "dropped", "ended", "no optimum"
]
OFTEN = 0.1  # minimum seconds between two lines of metrics, if the number of rounds is not known in advance
PAUSE = 16  # exchanges after the first certificate that did not meet the tolerance
SELDOM = 1.0  # maximum seconds between two lines of metrics then, if rounds are not longer
LATE = 5.0  # seconds after which the next round has a line of metrics, unless their number is asked for
FEW = 10  # lines of metrics that a study has at least, if it does all its rounds, and has so many


@dataclass
class Outcome:
    """The progress of learning. It is updated while learning runs, so that an interruption loses nothing."""

    run: Run
    rounds: int = 0
    stopped: Stopped = "rounds"
    why: str = ""
    followed: bool = False  # this peer ended because a neighbour did
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    before: float = 0.0  # seconds of learning before this process
    certificate: Certificate | None = None  # of the last model
    attempts: int = 0  # certificates taken

    @property
    def elapsed(self) -> float:
        """Seconds of learning so far."""
        return self.before + time.monotonic() - self.began

    def diverged(self, why: str, when: str) -> bool:
        """Learning ends by divergence if `why` is not empty; whether it does."""
        if why:
            self.stopped, self.why = "diverged", f"{why} {when}"
        return bool(why)


class Rhythm(NamedTuple):
    """The intervals of the learning loop.

    local_steps: rounds for each exchange.
    cycle: exchanges of one step, a function because it changes with the links; 0 if the first steps are long, as with Pegasos.
    hops: the largest distance between two peers.
    every: exchanges between two lines of metrics, if it is asked for (`Lines`).
    telling: whether the losses of a peer's own rows can end learning. With private sums that would tell of them: the models,
        from totals with noise, end it alone.
    """

    local_steps: int
    cycle: Callable[[], int]
    hops: int
    every: int | None
    telling: bool = True

    def unbounded(self, loss: Array, ceiling: Array | None = None) -> str:
        """Why losses (n,) show divergence; "" if they do not, or must not."""
        return unbounded(loss, ceiling) if self.telling else ""


def learn(
    engine: Engine,
    problem: Problem,
    outcome: Outcome,
    stop: StopSettings,
    pace: Rhythm,
    certifier: Certifier | None = None,
) -> Iterator[Progress]:
    """Drive `engine` from `outcome.run` until `stop` holds, and yield lines of metrics (`Lines`).

    With a `certifier` the last model gets a certificate. Exact methods go on until it meets the tolerance.
    The first and the last exchange always have a line. Other ends are a value in `outcome.stopped`: divergence (a model or a
    measured loss that is not finite, or a loss that has grown a thousandfold), a neighbour that ends, removal from the
    topology, and KeyboardInterrupt at any point.
    """
    lines = Lines(pace.every, stop.rounds, stop.seconds is not None)
    try:
        yield from _rounds(engine, problem, outcome, stop, pace, lines, certifier)
        if not (outcome.why or outcome.certificate or outcome.followed):
            _conclude(outcome, certifier, stop)
    except Departed as departed:
        if departed.reason not in ("diverged", "interrupted"):
            raise
        outcome.stopped, outcome.why = departed.reason, str(departed)  # type: ignore[assignment]
        outcome.followed = True
    except Dropped as dropped:
        outcome.stopped, outcome.why = "dropped", str(dropped)
    except Spent as spent:
        outcome.stopped, outcome.why = "rounds", str(spent)
        outcome.certificate = told(outcome.run)
    except KeyboardInterrupt:
        outcome.stopped, outcome.why = "interrupted", f"interrupted in round {outcome.rounds + 1}"
    outcome.seconds = outcome.elapsed
    if outcome.rounds and lines.last != outcome.rounds:
        yield measure(engine, _numbers(problem.loss(outcome.run.state.x)), outcome)


def _rounds(
    engine: Engine,
    problem: Problem,
    outcome: Outcome,
    stop: StopSettings,
    pace: Rhythm,
    lines: "Lines",
    certifier: Certifier | None,
) -> Iterator[Progress]:
    ceiling = _numbers(1000.0 * (problem.loss(outcome.run.state.x) + 1.0))
    if outcome.diverged(
        pace.unbounded(ceiling), "before the first round: values in the data may be too large"
    ):
        return
    rest = Rest(engine, outcome.run, stop.tolerance, pace)
    for run in engine.rounds(outcome.run):
        x, known = run.state.x, run.state.evidence if isinstance(run.state, Summing) else None
        if not (run.finite or finite(x)):
            outcome.diverged("the model is not finite", f"in round {outcome.rounds + 1}")
            return
        if run.round % pace.local_steps:
            continue
        outcome.run, outcome.rounds = run, run.round // pace.local_steps
        if known and known.verdict:
            outcome.stopped, outcome.why = "no optimum", ENDLESS[Verdict(int(known.verdict))]
            outcome.certificate = told(run)
            break
        over = stop.seconds is not None and (engine.over or outcome.elapsed >= stop.seconds)
        if (stop.tolerance or stop.seconds) and rest.reached(run, outcome.rounds, over):
            outcome.stopped = "tolerance" if stop.seconds is None or (rest.lately and not over) else "seconds"
            if not (certifier and _goes_on(engine, outcome, stop, certifier)):
                break
            rest.postpone(outcome.rounds)
        if lines.due(outcome):
            losses = _numbers(problem.loss(x))
            yield measure(engine, losses, outcome)
            # Methods with several exchanges in a step recover from a step that is too long; so does Pegasos.
            if pace.cycle() == 1 and outcome.diverged(
                pace.unbounded(losses, ceiling), f"in round {outcome.rounds}"
            ):
                return
        if outcome.rounds >= stop.rounds:
            break
    outcome.diverged(
        pace.unbounded(_numbers(problem.loss(outcome.run.state.x))), f"in round {outcome.rounds}"
    )


def _goes_on(engine: Engine, outcome: Outcome, stop: StopSettings, certifier: Certifier) -> bool:
    """Whether all peers agree, but their model is not yet near enough to the optimum; takes a certificate to find out."""
    if outcome.stopped != "tolerance" or not certifier.decides:
        return False
    if not engine.unsettle():
        outcome.followed = True
        return False
    found = certifier(outcome.run)
    outcome.attempts += 1
    near = found.distance is not None and found.distance <= stop.tolerance
    if near or found.endless:
        outcome.certificate = found
    if found.endless:
        outcome.stopped, outcome.why = "no optimum", found.why
    elif not near:
        outcome.stopped = "rounds"
    return not (near or found.endless)


def _conclude(outcome: Outcome, certifier: Certifier | None, stop: StopSettings) -> None:
    """The certificate at the end."""
    if certifier is None:
        outcome.certificate = told(outcome.run)
        return
    found = outcome.certificate = certifier(outcome.run, thorough=True)
    outcome.attempts += 1
    if found.endless and stop.tolerance and certifier.decides:
        outcome.stopped, outcome.why = "no optimum", found.why


def finite(x: Tensor) -> bool:
    """Whether all numbers of the models (n, d) are finite, and their sum for several."""
    return math.isfinite(x.sum()) or (len(x) == 1 and bool(x.isfinite().all()))


def _numbers(of_peers: Tensor) -> Array:
    """A number of each peer (n,) in numpy: for so few a call to torch takes longer."""
    numbers: Array = of_peers.detach().cpu().numpy()
    return numbers


def unbounded(loss: Array, ceiling: Array | None = None) -> str:
    """Why losses (n,) show divergence; "" if they do not."""
    if not np.isfinite(loss).all():
        return "the loss is not finite"
    return "the loss has grown a thousandfold" if ceiling is not None and bool((loss > ceiling).any()) else ""


class Lines:
    """The rounds that have a line of metrics: the first, and each multiple of `every` (or the next one, if rounds are skipped).

    If nobody asks for a number, lines become rarer: two while the number of the round doubles, but no rarer than one in a
    tenth of all rounds. So each run of an experiment has lines of the same rounds. Only after `LATE` seconds without a line
    the next round has one, too.

    Args:
        every: rounds between two lines; None: nobody asks for a number.
        rounds: of the whole study.
        timed: their number is not known in advance: lines are 0.1 to 1 s apart. The rounds between two of them, at first
            `every` or 1, change by powers of two, so that peers have lines of the same rounds.
    """

    def __init__(self, every: int | None, rounds: int, timed: bool = False) -> None:
        self.last, self._next, self._since, self._timed = -1, 0, -math.inf, timed
        self._seldom = 0 if every or timed else max(1, rounds // FEW)
        self._every = self._least = every or 1

    def due(self, outcome: Outcome) -> bool:
        rounds, early = outcome.rounds, outcome.rounds < self._next
        if early and not self._seldom:
            return False
        pause = outcome.elapsed - self._since
        if early and pause < LATE:
            return False
        if self._seldom:
            self._every = 1 << (min(rounds // 2, self._seldom) or 1).bit_length() - 1
        elif self._timed and pause < OFTEN:
            self._every *= 2
        elif self._timed and pause > SELDOM and self._every > self._least:
            self._every //= 2
        self.last, self._since = rounds, outcome.elapsed
        self._next = (rounds // self._every + 1) * self._every
        return True


class Rest:
    """Whether the peers in this process have converged.

    A peer is near if its last step is below the tolerance, and its distance to each neighbour below tolerance / (2 hops).
    It has converged if it was near in 2 hops + 1 exchanges in a row. All peers know that after `hops` more. A distance that
    changes evenly has then at most doubled, so that the distance between any two peers is below the tolerance. Without this,
    peers would stop where an oscillation passes through zero. Methods that take one step in a whole cycle of exchanges take the
    same step at all peers: for them, being near once is enough.
    """

    def __init__(self, engine: Engine, run: Run, tolerance: float, pace: Rhythm) -> None:
        self._engine, self._before, self._tolerance, self._cycle = engine, run, tolerance, pace.cycle
        self._hops, self._near = pace.hops, 0  # how often in a row all were near
        self._seen = 0  # exchanges since this process began to learn
        self._converged, peers = False, len(run.state.x)
        self._answer = torch.zeros(peers, dtype=torch.bool), torch.ones(peers, dtype=torch.bool)
        self._were: deque[bool] = deque(maxlen=2 * pace.hops + 2)
        self._pause = self._next = 0  # exchanges without a certificate that did not meet the tolerance

    @property
    def lately(self) -> bool:
        """Whether the peers in this process had converged at some recent exchange that all peers know of by now."""
        return any(self._were)

    def reached(self, run: Run, exchanges: int, over: bool = False) -> bool:
        """Whether all peers of the network have converged after so many exchanges, or know that the time is up.

        No peer has converged in the first step of its process: gradient tracking does not move in it.
        """
        cycle, self._seen = self._cycle(), self._seen + 1
        if self._tolerance and exchanges % cycle:  # a fallback moves within a cycle, too
            self._converged = self._converged and (isinstance(run.state, Summing) or self._still(run))
        elif self._tolerance:
            if isinstance(run.state, Summing):
                self._converged = run.state.finished and reached(run.state.evidence, self._tolerance)
            else:
                near = self._seen > cycle and self._still(run) and self._close(run)
                self._near = self._near + 1 if near else 0
                calm = self._near > (0 if cycle > 1 else 2 * self._hops)
                self._converged, self._before = calm and exchanges >= self._next, run
        self._were.append(self._converged)
        return self._engine.settled(self._answer[self._converged], over)

    def postpone(self, exchanges: int) -> None:
        """The certificate after so many exchanges did not meet the tolerance, or a peer was missing in its sums.

        The next one waits, each time twice as long, so that there are few. Peers that read a sum differently wait alike.
        """
        self._pause = max(2 * self._pause, PAUSE)
        self._next = exchanges + self._pause
        self._converged = False
        self._were.clear()

    def _still(self, run: Run) -> bool:
        """Whether the last step of each peer in this process was below the tolerance."""
        return within(run.state.x, self._before.state.x, self._tolerance)

    def _close(self, run: Run) -> bool:
        """Whether the peers in this process are close enough to their neighbours."""
        limit = self._tolerance / max(1, 2 * self._hops)
        return run.replicas is None or bool((self._engine.disagreement(run) < limit).all())


def measure(engine: Engine, losses: Array, outcome: Outcome) -> Progress:
    """The metrics of the last round, from the losses (n,) of its models."""
    apart = 0.0 if outcome.run.replicas is None else float(_numbers(engine.disagreement(outcome.run)).max())
    with np.errstate(all="ignore"):
        loss = float(losses.mean())
    return Progress(outcome.rounds, loss, apart, outcome.elapsed, engine.messages_sent)
