"""Why an algorithm cannot be used in an experiment, each with the way out; must not know engines or rows."""

from gossipfl.algorithms import ALGORITHMS
from gossipfl.config.gossip import GOSSIP
from gossipfl.experiment.study.study import Study
from gossipfl.mixing import Average
from gossipfl.models import Linear, Problem

LARGE = 2000  # parameters up to which Newton's method is allowed
BOUNDED = ("svm", "logistic", "huber")  # losses whose slopes are: Pegasos takes long steps at first


def against(study: Study, kind: str, problem: Problem | None) -> str | None:
    """What speaks against that kind of algorithm; None where nothing does."""
    why = against_newton(study, problem) if kind == "newton" else None
    why = against_opapc(study) if kind == "opapc" else why
    why = against_gossip(study, problem) if kind == GOSSIP else why
    why = against_precondition(study) if why is None and study.experiment.algorithm.precondition else why
    return why or (against_exchanges(study, kind) if study.experiment.algorithm.exchanges > 1 else None)


def against_newton(study: Study, problem: Problem | None) -> str | None:
    e = study.experiment
    why = _first({
        "takes full gradients: leave out algorithm.batch, algorithm.local_steps and algorithm.decay": e.algorithm.batch
        != "full"
        or e.algorithm.local_steps > 1
        or e.algorithm.decay is not None,
        "has no momentum: leave out algorithm.momentum": bool(e.algorithm.momentum),
        "averages exactly: leave out algorithm.gamma": e.algorithm.gamma is not None,
        "takes whole steps: leave out algorithm.step": e.algorithm.step != "auto",
        'has no proximal step: set model.l1 = 0, or algorithm.kind = "exact-diffusion"': bool(e.model.l1),
        f'needs a second derivative, which the model {e.model.kind} lacks somewhere: '
        'set algorithm.kind = "auto"': e.model.kind in ("svm", "huber", "module"),
        'needs exact averages: use undirected links that do not fail, or set algorithm.kind = "auto"': study.graph.is_directed()
        or study.failing
        or not study.cycle,
        "sends no compressed Hessians: leave out channel.compress": e.channel.compress != "none",
        "needs no preconditioner: leave out algorithm.precondition": bool(e.algorithm.precondition),
    })  # fmt: skip
    if why or problem is None:
        return why
    if not (isinstance(problem, Linear) and problem.dense):
        return 'would send a Hessian of sparse features: set algorithm.kind = "exact-diffusion"'
    if e.stop.rounds < study.cycle:
        return f"takes {study.cycle} exchanges for a step: set stop.rounds to more than that"
    d = problem.width
    if d > LARGE:
        return (
            f"would send {d * (d + 1) // 2:,} numbers in each message, as there are {d:,} parameters: above {LARGE:,} "
            'set algorithm.kind = "exact-diffusion" or "gradient-tracking"'
        )
    return None


def against_precondition(study: Study) -> str | None:
    """A preconditioner flattens the curvature that a linear model's loss has at 0."""
    e = study.experiment
    why = _first({
        'has no proximal step in other coordinates: set model.l1 = 0': bool(e.model.l1),
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
        'exchanges after each gradient: leave out algorithm.local_steps, or set algorithm.kind = "exact-diffusion"':
        e.algorithm.local_steps > 1,
        'needs to know the spectrum of W: use undirected links that are the same each round, or set algorithm.kind = '
        '"push-diging" or "gradient-tracking"': study.graph.is_directed() or study.changing,
    })  # fmt: skip


def against_gossip(study: Study, problem: Problem | None) -> str | None:
    """Models of linear losses wander one by one, without rounds, averages or an end that peers could agree on."""
    e = study.experiment
    told, model = e.algorithm, e.model
    why = _first({
        "needs somebody to speak to: use a topology of two peers or more": len(study.names) < 2,
        'learns models of one output: set model.kind = "svm" or "logistic"': model.kind in ("softmax", "module"),
        "has no proximal step: set model.l1 = 0": bool(model.l1),
        "always has an intercept: leave out model.intercept": not model.intercept,
        'learns on the CPU: set model.device = "cpu"': model.device != "cpu",
        'takes the steps 1/(l2 t) where algorithm.step is "auto": set model.l2 above 0, say 1e-4, or give algorithm.step a '
        "number": told.step == "auto" and not model.l2,
        f"takes steps 1/(l2 t) that the unbounded slope of the model {model.kind} does not bear: give algorithm.step a "
        "number": told.step == "auto" and model.kind not in BOUNDED,
        "learns from one row at a time: leave out algorithm.batch (algorithm.local_steps is how many, one after the "
        "other)": told.batch != "full",
        'has steps that shrink by themselves where algorithm.step is "auto": leave out algorithm.decay': told.decay
        is not None,
        "has no momentum: leave out algorithm.momentum": bool(told.momentum),
        "merges as gossip.mean says: leave out algorithm.gamma": told.gamma is not None,
        "has no rounds to exchange in: leave out algorithm.exchanges": told.exchanges > 1,
        "knows no algorithm.mu: leave it out": told.mu is not None,
        "needs no preconditioner: leave out algorithm.precondition": bool(told.precondition),
        "sends whole models: leave out channel.compress": e.channel.compress != "none",
        "has no end that peers agree on: set stop.tolerance = 0, and stop.rounds to how many cycles it may take": bool(
            e.stop.tolerance
        ),
        "has no rounds in which a link could fail: use topology.loss, and leave out topology.drop": bool(e.topology.drop),
        "weighs no links, which only say who may speak to whom: leave out topology.weights": e.topology.weights != "auto",
        "has no rounds in which links could change: use a topology that stays as it is": "schedule"
        in study.graph.graph,
    })  # fmt: skip
    if why is None and isinstance(problem, Linear) and not problem.dense:
        return 'learns from dense features: set algorithm.kind = "exact-diffusion" for sparse ones'
    return why


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
