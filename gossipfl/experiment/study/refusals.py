"""The reasons why a kind of algorithm does not fit an experiment, and what to set instead; must not know engines or rows."""

import math

from gossipfl.algorithms import METHODS, Method, private
from gossipfl.config.algorithm import keys as used_by
from gossipfl.experiment.study.study import Study
from gossipfl.models import Linear, Problem

LARGE = 2000  # parameters up to which Hessians may be sent
PIECES = ("squared-svm", "huber")  # losses with a discontinuous second derivative
BOUNDED = ("svm", "logistic", "huber")  # losses with a bounded slope: the first steps of Pegasos are long


def refusal(study: Study, kind: str, problem: Problem | None) -> str | None:
    """The first reason against a kind of algorithm; None if it fits. Without a problem, some reasons are not checked."""
    method, model = METHODS[kind], study.experiment.model.kind
    reasons = [_keys(study, kind), _names(study, kind, method)]
    if study.secure and method.talks and not method.averages:
        reasons.append(
            'shows single models to neighbours, and with privacy.sums = "secure" they see totals alone: set algorithm.kind = '
            '"newton" or "lbfgs", or privacy.sums = "plain"'
        )
    if study.private and not method.private:
        reasons.append(f'is not private: set algorithm.kind = "{private(model)}", or privacy.sums = "secure"')
    if method.private and not study.private:
        reasons.append(
            'is for noised sums: set privacy.sums = "private" and privacy.epsilon, or another algorithm.kind'
        )
    if method.models and model not in method.models:
        reasons.append(
            f'is for model.kind = {" or ".join(method.models)}: set another model.kind, or algorithm.kind = "auto"'
        )
    if method.private:
        reasons.append(_noised(study, kind, method))
    if method.averages:
        reasons += [_averages(study, kind), _hessians(study, kind, problem)]
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
    """Keys that this kind does not use; "auto" then chooses another kind."""
    keys = ", ".join(
        f"algorithm.{key}" for key in sorted(study.experiment.algorithm.given - {*used_by(kind)})
    )
    return f"does not use {keys}: leave it out, or set another algorithm.kind" if keys else None


def _noised(study: Study, kind: str, method: Method) -> str | None:
    """Reasons against a method whose sums have noise."""
    assert method.private
    sums, each = method.private(1, 1, 1.0).sums, study.exchanges(kind)
    standardised, regression = study.promise.standardises, study.loss.task == "regression"
    return _first({
        'needs rows and target in units of their deviations: set data.standardise = "gossip", and data.bounds': (
            method.deviations and not standardised
        ),
        f"needs privacy.epsilon = {method.epsilon:g} or more, since its noise is large: set algorithm.kind = "
        f'"{private(study.experiment.model.kind)}"': study.promise.epsilon < method.epsilon,
        f"takes {sums} sums of {each} exchanges: set stop.rounds to {sums * each} or more": study.experiment.stop.rounds
        < sums * each,
        f"needs data.bounds of the target, {study.target!r}, to find its mean and deviation": (
            regression and standardised and study.target not in study.experiment.data.bounds
        ),
    })  # fmt: skip


def _names(study: Study, kind: str, method: Method) -> str | None:
    """Methods that have another name over compressed messages, or with an l1 penalty."""
    e = study.experiment
    compressed = e.channel.compress != "none" and e.channel.feedback
    way = f'algorithm.kind = "{method.with_penalty}"'
    if method.averages and not study.changing:
        way = 'algorithm.averaging = "tree"'
    return _first({
        f'is called "{method.with_feedback}" over compressed messages with error feedback: set algorithm.kind = '
        f'"{method.with_feedback}", or channel.compress = "none"': bool(method.with_feedback) and compressed,
        'sends compressed messages with error feedback: set channel.compress, for example channel.compress = "top-k", and '
        "leave channel.feedback = true": method.feedback and not compressed,
        f"has no proximal step: set model.l1 = 0, or {way}": bool(study.l1)
        and not (method.penalty or study.sums(kind)),
    })  # fmt: skip


def _averages(study: Study, kind: str) -> str | None:
    """Reasons against a method that needs exact averages or sums."""
    e = study.experiment
    if study.sums(kind):
        return _first({
            f'needs derivatives, and model.kind = "{e.model.kind}" has none: set algorithm.kind = "auto"': e.model.kind
            in ("svm", "module"),
            'needs links that do not change or fail, for sums along a tree: set algorithm.kind = "auto"': study.changing,
            'sends sums, which cannot be compressed: set channel.compress = "none"': e.channel.compress != "none",
        })  # fmt: skip
    return _first({
        f'needs a second derivative everywhere, and model.kind = "{e.model.kind}" has none: '
        'set algorithm.kind = "auto"': e.model.kind in ("svm", "huber", "module"),
        'needs exact averages: use undirected links that do not fail, or set algorithm.kind = "auto"': study.graph.is_directed()
        or study.failing
        or not study.cycle,
        'cannot send compressed Hessians: set channel.compress = "none"': e.channel.compress != "none",
    })  # fmt: skip


def _hessians(study: Study, kind: str, problem: Problem | None) -> str | None:
    """Reasons against a method that sends Hessians."""
    if problem is None:
        return None
    if study.experiment.stop.rounds < (cycle := study.exchanges(kind)):
        return f"needs {cycle} exchanges for a step: set stop.rounds to {cycle} or more"
    if not METHODS[kind].curvature:
        return None
    if not (isinstance(problem, Linear) and (problem.dense or study.sums(kind))):
        return 'would send a Hessian of sparse features: set algorithm.averaging = "tree"'
    d = problem.width
    return (
        f"would send {d * (d + 1) // 2:,} numbers in each message, for {d:,} parameters; the limit is {LARGE:,} parameters: "
        'set algorithm.kind = "exact-diffusion" or "gradient-tracking"'
        if d > LARGE
        else None
    )


def _precondition(study: Study) -> str | None:
    """Reasons against a preconditioner, which needs the curvature of a linear model's loss at 0."""
    e = study.experiment
    why = _first({
        'has no proximal step in other coordinates: set model.l1 = 0': bool(study.l1),
        f'needs a bounded curvature, and model.kind = "{e.model.kind}" has none: set another model.kind': e.model.kind
        in ("svm", "poisson", "module"),
    })  # fmt: skip
    return why and f"{why}, or leave out algorithm.precondition"


def _accelerated(study: Study) -> str | None:
    """Reasons against a method with acceleration."""
    e = study.experiment
    return _first({
        "needs a lower bound of the objective's curvature: set model.l2 or algorithm.mu above 0": not (
            e.algorithm.mu or study.l2
        ),
        'needs the spectrum of W: use undirected links that are the same in each round, or set algorithm.kind = '
        '"push-diging" or "gradient-tracking"': study.graph.is_directed() or study.changing,
    })  # fmt: skip


def _gossip(study: Study, problem: Problem | None) -> str | None:
    """Reasons against gossip learning: single models of one output travel, without rounds and averages."""
    e = study.experiment
    settings, model = e.algorithm, e.model
    why = _first({
        "needs at least two peers: use a larger topology.graph": len(study.names) < 2,
        'learns models of one output: set model.kind = "svm" or "logistic"': model.kind in ("softmax", "module"),
        "always has an intercept: leave out model.intercept": not model.intercept,
        'learns on the CPU: set model.device = "cpu"': model.device != "cpu",
        'has the step 1/(l2 t) if algorithm.step is "auto": set model.l2 above 0, for example 1e-4, or set algorithm.step to '
        "a number": settings.step == "auto" and not study.l2,
        f'has the step 1/(l2 t), which is too long for the unbounded slope of model.kind = "{model.kind}": set algorithm.step '
        "to a number": settings.step == "auto" and model.kind not in BOUNDED,
        'sends whole models: set channel.compress = "none"': e.channel.compress != "none",
        "cannot stop at a tolerance: set stop.tolerance = 0, and stop.rounds to the number of cycles": bool(
            e.stop.tolerance
        ),
        "has no rounds in which a link could fail: use topology.loss, and leave out topology.drop": bool(e.topology.drop),
        "uses no weights of links: leave out topology.weights": e.topology.weights != "auto",
        "has no rounds in which links could change: use a topology that does not change": "schedule"
        in study.graph.graph,
    })  # fmt: skip
    if why is None and isinstance(problem, Linear) and not problem.dense:
        return 'needs dense features, and these are sparse: set algorithm.kind = "exact-diffusion"'
    return why


def _exchanges(study: Study) -> str | None:
    """Reasons against several exchanges in a round: Chebyshev acceleration needs a fixed, symmetric W."""
    why = _first({
        "needs undirected links for several exchanges in a round": study.graph.is_directed(),
        "needs links that are the same in each round, and do not fail, for several exchanges in a round": study.changing,
        "sends compressed numbers, and several exchanges in a round would amplify their errors": (
            study.experiment.channel.compress != "none"
        ),
    })  # fmt: skip
    return why and f"{why}: set algorithm.exchanges = 1"


def unfit_for_secrecy(study: Study) -> str | None:
    """The first reason against the [privacy] of an experiment, as a sentence; None if there is none."""
    e, peers = study.experiment, len(study.names)
    if study.private and (why := _unfit_for_noise(study)):
        return why
    if not study.secure:
        return None
    return _first({
        f'privacy.on_leave = "pods" needs two pods of {e.privacy.pod} peers, and there are {peers}: set on_leave = "wait"': (
            e.privacy.on_leave == "pods" and peers < 2 * e.privacy.pod
        ),
        f"secure sums need {e.privacy.min_peers} peers, and there are {peers}: what two peers add up, each of them knows of "
        'the other. Use a larger topology, or write privacy.sums = "plain"': peers < e.privacy.min_peers,
        "secure sums need the same peers on the same links in every round: use a topology that does not change, without drop "
        "and loss": study.changing,
        f'model.kind = "{e.model.kind}" has a discontinuous second derivative: if one row crosses the discontinuity between '
        'two sums, their difference is that row. Set another model.kind, for example "logistic" or "linear", or privacy.sums = '
        '"private" or "plain"': e.model.kind in PIECES and not study.private,
        "stop.seconds ends one peer in the middle of a sum, which then tells nothing: set stop.rounds and stop.tolerance": bool(
            e.stop.seconds
        ),
        f'data.missing = "{e.data.missing}" shows values of single rows, and with privacy.sums = "secure" nobody sees those: '
        'set data.missing = "mean", "drop" or "refuse"': e.data.missing in ("median", "mode"),
    })  # fmt: skip


def _unfit_for_noise(study: Study) -> str | None:
    """The first reason against differential privacy."""
    e, peers = study.experiment, len(study.names)
    labelled = study.experiment.model.kind != "module" and study.loss.task in ("binary", "multiclass")
    undeclared = [*({*e.data.categorical} - {*e.data.levels})]
    return _first({
        'privacy.sums = "private" needs privacy.epsilon, for example privacy.epsilon = 1.0': e.privacy.epsilon is None,
        f"privacy.colluders = {e.privacy.colluders} leaves nobody of {peers} peers whose noise hides a row: set it lower": (
            e.privacy.colluders is not None and e.privacy.colluders >= peers
        ),
        f'private sums are not for model.kind = "{e.model.kind}": what rows of it add up to has no bound': (
            not private(e.model.kind)
        ),
        "private sums tell no distance to an optimum, and the rounds are fixed beforehand: leave out stop.tolerance": bool(
            e.stop.tolerance
        ),
        "reference = true looks at all rows without noise: leave it out with private sums": e.reference,
        "private sums have no proximal step: set model.l1 = 0": bool(e.model.l1),
        "cross-validation would cost privacy for each penalty: give model.l2 a number with private sums": bool(e.model.selects),
        "each peer's own means and deviations would tell of rows without noise: declare data.bounds, "
        '{ age = [0, 120] }, or set data.standardise = "none"': (
            e.data.standardise == "local" or (e.data.standardise == "gossip" and not e.data.bounds)
        ),
        "data.bounds has a range whose ends are no finite numbers in order": any(
            not -math.inf < low < high < math.inf for low, high in e.data.bounds.values()
        ),
        f'data.missing = "{e.data.missing}" looks at rows without noise: private sums need data.missing = "refuse" or "drop"': (
            e.data.missing not in ("refuse", "drop")
        ),
        "private sums need data.classes, all classes of the target: else peers would show which their rows have": (
            labelled and e.data.classes is None
        ),
        f"private sums need data.levels of {', '.join(undeclared)}: else peers would show theirs": bool(undeclared),
        "private sums count each row once: leave out data.row_weights and model.class_weight": (
            e.data.row_weights is not None or e.model.class_weight is not None
        ),
        f'privacy.on_leave = "{e.privacy.on_leave}" would pay anew for each cohort: set "wait" with private sums': (
            e.privacy.on_leave != "wait"
        ),
        "private sums need all peers, and each repetition costs: leave out [[faults]]": bool(e.faults),
    })  # fmt: skip


def unfit_for_selection(study: Study) -> str | None:
    """The first reason against the choice of a penalty by cross-validation; None if there is none, or no such choice."""
    model = study.experiment.model
    if (key := model.selects) is None:
        return None
    closed = model.kind == "linear" and key == "l2" and not model.l1
    asked = f'model.{key} = "{getattr(model, key)}"'
    return _first({
        f'{asked} needs derivatives, and model.kind = "{model.kind}" has none: give model.{key} a number': model.kind
        in ("svm", "module"),
        f'{asked} needs many sums, which together tell too much of the rows: with privacy.sums = "secure" only l2 of '
        f'model.kind = "linear" can be chosen, without l1. Give model.{key} a number': study.secure and not closed,
    })  # fmt: skip


def _first(reasons: dict[str, bool]) -> str | None:
    return next((reason for reason, holds in reasons.items() if holds), None)
