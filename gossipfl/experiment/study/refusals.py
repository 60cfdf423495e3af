"""Why a kind of algorithm does not fit an experiment, each reason with the way out; must not know engines or rows."""

from gossipfl.algorithms import METHODS, Method
from gossipfl.config.algorithm import KEYS
from gossipfl.experiment.study.study import Study
from gossipfl.models import Linear, Problem

LARGE = 2000  # parameters up to which Hessians may be sent
BOUNDED = ("svm", "logistic", "huber")  # losses with bounded slopes: Pegasos takes long steps at first


def refusal(study: Study, kind: str, problem: Problem | None) -> str | None:
    """The first reason against that kind of algorithm; None where it fits. Without a problem, as far as is known."""
    method = METHODS[kind]
    reasons = [_keys(study, kind), _names(study, method)]
    if method.averages:
        reasons += [_averages(study), _hessians(study, problem)]
    if method.mu or method.spectrum:
        reasons.append(_accelerated(study))
    if not method.rounds:
        reasons.append(_gossip(study, problem))
    if study.experiment.algorithm.precondition:
        reasons.append(_precondition(study))
    if study.experiment.algorithm.exchanges > 1:
        reasons.append(_exchanges(study))
    return next((reason for reason in reasons if reason), None)


def _keys(study: Study, kind: str) -> str | None:
    """Keys that are given and mean nothing for this kind: "auto" does not choose it then."""
    keys = ", ".join(f"algorithm.{key}" for key in sorted(study.experiment.algorithm.given - {*KEYS[kind]}))
    return f"has no {keys}: leave it out, or set algorithm.kind to another one" if keys else None


def _names(study: Study, method: Method) -> str | None:
    """What has a name of its own is called by that name: over compressed messages, and with an l1 penalty."""
    e = study.experiment
    compressed = e.channel.compress != "none" and e.channel.feedback
    return _first({
        f'is called "{method.with_feedback}" over compressed messages with error feedback: set algorithm.kind = '
        f'"{method.with_feedback}", or channel.compress = "none"': bool(method.with_feedback) and compressed,
        'sends compressed messages with error feedback: set channel.compress, for example channel.compress = "top-k", and '
        "leave channel.feedback = true": method.feedback and not compressed,
        f'has no proximal step: set model.l1 = 0, or algorithm.kind = "{method.with_penalty}"': bool(e.model.l1)
        and not method.penalty,
    })  # fmt: skip


def _averages(study: Study) -> str | None:
    """A method that takes a step from exact averages."""
    e = study.experiment
    return _first({
        f'needs a second derivative, which the model {e.model.kind} lacks somewhere: '
        'set algorithm.kind = "auto"': e.model.kind in ("svm", "huber", "module"),
        'needs exact averages: use undirected links that do not fail, or set algorithm.kind = "auto"': study.graph.is_directed()
        or study.failing
        or not study.cycle,
        'sends no compressed Hessians: set channel.compress = "none"': e.channel.compress != "none",
    })  # fmt: skip


def _hessians(study: Study, problem: Problem | None) -> str | None:
    """A method that sends Hessians."""
    if problem is None:
        return None
    if not (isinstance(problem, Linear) and problem.dense):
        return 'would send a Hessian of sparse features: set algorithm.kind = "exact-diffusion"'
    if study.experiment.stop.rounds < study.cycle:
        return f"takes {study.cycle} exchanges for a step: set stop.rounds to more than that"
    d = problem.width
    return (
        f"would send {d * (d + 1) // 2:,} numbers in each message, as there are {d:,} parameters: above {LARGE:,} "
        'set algorithm.kind = "exact-diffusion" or "gradient-tracking"'
        if d > LARGE
        else None
    )


def _precondition(study: Study) -> str | None:
    """A preconditioner flattens the curvature that a linear model's loss has at 0."""
    e = study.experiment
    why = _first({
        'has no proximal step in other coordinates: set model.l1 = 0': bool(e.model.l1),
        f"finds no bounded curvature in the model {e.model.kind}": e.model.kind in ("svm", "poisson", "module"),
    })  # fmt: skip
    return why and f"{why}, or leave out algorithm.precondition"


def _accelerated(study: Study) -> str | None:
    e = study.experiment
    return _first({
        "needs to know how curved the objective is: set model.l2 or algorithm.mu above 0": not (
            e.algorithm.mu or e.model.l2
        ),
        'needs to know the spectrum of W: use undirected links that are the same each round, or set algorithm.kind = '
        '"push-diging" or "gradient-tracking"': study.graph.is_directed() or study.changing,
    })  # fmt: skip


def _gossip(study: Study, problem: Problem | None) -> str | None:
    """Models of linear losses walk one by one, without rounds, averages or an end that peers could agree on."""
    e = study.experiment
    told, model = e.algorithm, e.model
    why = _first({
        "needs somebody to speak to: use a topology of two peers or more": len(study.names) < 2,
        'learns models of one output: set model.kind = "svm" or "logistic"': model.kind in ("softmax", "module"),
        "always has an intercept: leave out model.intercept": not model.intercept,
        'learns on the CPU: set model.device = "cpu"': model.device != "cpu",
        'takes the steps 1/(l2 t) where algorithm.step is "auto": set model.l2 above 0, say 1e-4, or give algorithm.step a '
        "number": told.step == "auto" and not model.l2,
        f"takes steps 1/(l2 t) that the unbounded slope of the model {model.kind} does not bear: give algorithm.step a "
        "number": told.step == "auto" and model.kind not in BOUNDED,
        'sends whole models: set channel.compress = "none"': e.channel.compress != "none",
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


def _exchanges(study: Study) -> str | None:
    """Several exchanges in each round are Chebyshev's, made for one W that is known."""
    why = _first({
        "needs links that are the same in both directions": study.graph.is_directed(),
        "needs links that are the same each round, and do not fail": study.changing,
        "sends compressed numbers, whose errors they would blow up": study.experiment.channel.compress != "none",
    })  # fmt: skip
    return why and f"{why}: set algorithm.exchanges = 1"


def _first(reasons: dict[str, bool]) -> str | None:
    return next((reason for reason, holds in reasons.items() if holds), None)
