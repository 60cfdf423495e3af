"""Why an algorithm cannot be used in an experiment, each with the way out; must not know engines or rows."""

from gossipfl.algorithms import ALGORITHMS
from gossipfl.experiment.study import Study
from gossipfl.mixing import Average
from gossipfl.models import Linear, Problem

LARGE = 2000  # parameters up to which Newton's method is allowed


def against(study: Study, kind: str, problem: Problem | None) -> str | None:
    """What speaks against that kind of algorithm; None where nothing does."""
    why = against_newton(study, problem) if kind == "newton" else None
    why = against_opapc(study) if kind == "opapc" else why
    why = against_precondition(study) if why is None and study.experiment.algorithm.precondition else why
    return why or (against_exchanges(study, kind) if study.experiment.algorithm.exchanges > 1 else None)


def against_newton(study: Study, problem: Problem | None) -> str | None:
    e = study.experiment
    why = _first({
        "takes full gradients: leave out batch, local_steps and decay": e.algorithm.batch != "full"
        or e.algorithm.local_steps > 1
        or e.algorithm.decay is not None,
        "has no momentum: leave it out": bool(e.algorithm.momentum),
        "averages exactly: leave out algorithm.gamma": e.algorithm.gamma is not None,
        "takes whole steps: leave out algorithm.step": e.algorithm.step != "auto",
        'has no proximal step: set l1 = 0, or use algorithm "exact-diffusion"': bool(e.model.l1),
        f"needs a second derivative, which the model {e.model.kind} lacks somewhere: use another algorithm": e.model.kind
        in ("svm", "huber", "module"),
        "needs exact averages: use undirected links that do not fail": study.graph.is_directed()
        or study.failing
        or not study.cycle,
        "sends no compressed Hessians: leave out channel.compress": e.channel.compress != "none",
        "needs no preconditioner: leave out algorithm.precondition": bool(e.algorithm.precondition),
    })  # fmt: skip
    if why or problem is None:
        return why
    if not (isinstance(problem, Linear) and problem.dense):
        return 'would send a Hessian of sparse features: use algorithm "exact-diffusion"'
    if e.stop.rounds < study.cycle:
        return f"takes {study.cycle} exchanges for a step: set stop.rounds to more than that"
    d = problem.width
    if d > LARGE:
        return (
            f"would send {d * (d + 1) // 2:,} numbers in each message, as there are {d:,} parameters: above {LARGE:,} "
            'use algorithm "exact-diffusion" or "gradient-tracking"'
        )
    return None


def against_precondition(study: Study) -> str | None:
    """A preconditioner flattens the curvature that a linear model's loss has at 0."""
    e = study.experiment
    why = _first({
        'has no proximal step in other coordinates: set l1 = 0': bool(e.model.l1),
        f"finds no bounded curvature in the model {e.model.kind}": e.model.kind in ("svm", "poisson", "module"),
    })  # fmt: skip
    return why and f"{why}, or leave out algorithm.precondition"


def against_opapc(study: Study) -> str | None:
    e = study.experiment
    return _first({
        "needs to know how curved the objective is: set model.l2 or algorithm.mu above 0": not (
            e.algorithm.mu or e.model.l2
        ),
        "brings its own momentum: leave out algorithm.momentum": bool(e.algorithm.momentum),
        'exchanges after each gradient: leave out local_steps, or use algorithm "exact-diffusion"': e.algorithm.local_steps
        > 1,
        'needs to know the spectrum of W: use undirected links that are the same each round, or algorithm "push-diging" or '
        '"gradient-tracking"': study.graph.is_directed() or study.changing,
    })  # fmt: skip


def against_exchanges(study: Study, kind: str) -> str | None:
    """Several exchanges in each round are Chebyshev's, made for one W that is known."""
    why = _first({
        "sends nothing": kind not in ALGORITHMS,
        "averages exactly by itself": kind == "newton",
        "needs links that are the same in both directions": study.graph.is_directed(),
        "needs links that are the same each round, and do not fail": study.changing,
        "sends compressed numbers, whose errors they would blow up": study.experiment.channel.compress != "none",
    })  # fmt: skip
    if why is None and not isinstance(ALGORITHMS[kind].aggregator, Average):
        why = "makes no plain averages"
    return why and f"{why}: set algorithm.exchanges = 1"


def _first(reasons: dict[str, bool]) -> str | None:
    return next((reason for reason, holds in reasons.items() if holds), None)
