"""The loop that learns: metrics, stopping and progress; must not know which engine it drives.

Use is a for loop over `engine.rounds(run)`; everything else is its body.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from torch import Tensor

from gossipfl.engine import Engine, Run, relative_distance
from gossipfl.errors import Departed
from gossipfl.experiment.settings import Stop
from gossipfl.models import Problem

Stopped = Literal["rounds", "tolerance", "diverged", "interrupted"]


class Progress(NamedTuple):
    """One line of metrics, of the peers held here."""

    round: int
    loss: float  # mean of the peers' own objectives at their own models
    disagreement: float  # largest relative distance between neighbours, in what they last sent
    seconds: float  # since learning began


@dataclass
class Outcome:
    """How far learning came; filled in while it runs, so that an interruption loses nothing."""

    run: Run
    rounds: int = 0
    stopped: Stopped = "rounds"
    why: str = ""
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0


def learn(
    engine: Engine, problem: Problem, outcome: Outcome, stop: Stop, local_steps: int, every: int
) -> Iterator[Progress]:
    """Drive `engine` from `outcome.run` until `stop` says so, yielding a line of metrics each `every` exchanges.

    The first and the last exchange are always measured. Divergence (a model that is not finite, or whose loss, when it is
    measured, has grown a thousandfold) and a neighbour's goodbye end it as a value in `outcome.stopped`; so does
    KeyboardInterrupt, wherever it strikes.
    """
    before = outcome.run
    ceiling = 1000.0 * (problem.loss(before.state.x) + 1.0)
    measured = False
    try:
        for run in engine.rounds(outcome.run):
            x = run.state.x
            if not math.isfinite(x.sum()):
                outcome.stopped, outcome.why = (
                    "diverged",
                    f"the model is not finite in round {outcome.rounds + 1}",
                )
                break
            if run.round % local_steps:
                continue
            outcome.run, outcome.rounds = run, outcome.rounds + 1
            if (
                stop.tolerance
            ):  # not in the first round: gradient tracking knows nothing yet, and does not move
                calm = _calm(engine, before, run, stop.tolerance) & (outcome.rounds > 1)
                if engine.settled(calm):
                    outcome.stopped = "tolerance"
                    break
                before = run
            measured = outcome.rounds == 1 or outcome.rounds % every == 0
            if measured:
                yield measure(engine, problem, outcome)
                if bool((problem.loss(x) > ceiling).any()):
                    outcome.stopped, outcome.why = (
                        "diverged",
                        f"the loss is a thousandfold in round {outcome.rounds}",
                    )
                    break
            if outcome.rounds == stop.rounds:
                break
    except Departed as departed:
        if departed.reason not in ("diverged", "interrupted"):
            raise
        outcome.stopped, outcome.why = departed.reason, str(departed)  # type: ignore[assignment]
    except KeyboardInterrupt:
        outcome.stopped, outcome.why = "interrupted", f"interrupted in round {outcome.rounds + 1}"
    outcome.seconds = time.monotonic() - outcome.began
    if outcome.rounds and not measured:
        yield measure(engine, problem, outcome)


def _calm(engine: Engine, before: Run, after: Run, tolerance: float) -> Tensor:
    """Which of the peers here moved, and differ from their neighbours, by less than the tolerance, (n,)."""
    calm = relative_distance(after.state.x, before.state.x) < tolerance
    if after.replicas is not None and bool(calm.all()):
        calm = calm & (engine.disagreement(after) < tolerance)
    return calm


def measure(engine: Engine, problem: Problem, outcome: Outcome) -> Progress:
    """The metrics of the last round."""
    loss = float(problem.loss(outcome.run.state.x).mean())
    apart = 0.0 if outcome.run.replicas is None else float(engine.disagreement(outcome.run).max())
    return Progress(outcome.rounds, loss, apart, time.monotonic() - outcome.began)


def interval(stop: Stop, report: int | None) -> int:
    """Exchanges between two lines of metrics."""
    return report or max(1, stop.rounds // 200)
