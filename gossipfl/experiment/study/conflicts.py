"""The settings of an experiment that do not fit each other, whatever the data; must not know engines or rows."""

from gossipfl.config.gossip import GossipSettings
from gossipfl.errors import BadExperiment, Incompatible
from gossipfl.experiment.study.study import Study
from gossipfl.tensors import torch


def check(study: Study) -> None:
    """Check that the settings fit each other, before anything runs. Raises Incompatible or BadExperiment."""
    e, method = study.experiment, study.method
    kind, model, silent = e.algorithm.kind, e.model, method is not None and not method.talks
    if e.faults and silent:
        raise Incompatible(f'algorithm "{kind}" has no neighbours that could fail: leave out [[faults]]')
    _ = study.faults  # raises for an impossible plan
    if model.device == "cuda" and not torch.cuda.is_available():
        raise BadExperiment(
            'model.device = "cuda", but torch finds no CUDA device on this machine: set model.device = "cpu"'
        )
    if e.reference and model.kind in ("svm", "module"):
        raise Incompatible(
            f'reference = true computes the pooled optimum, which is not available for model.kind = "{model.kind}": '
            "set reference = false" + (', or model.kind = "squared-svm"' if model.kind == "svm" else "")
        )
    if e.topology.loss and silent:
        raise Incompatible(f'algorithm "{kind}" sends nothing that could be lost: set topology.loss = 0')
    if e.gossip != GossipSettings() and method is None:
        raise Incompatible(
            f'[gossip] is not used by algorithm.kind = "{kind}": set algorithm.kind = "gossip-learning", or leave out '
            "[gossip]"
        )
    if silent and len(study.names) > 1 and e.stop.tolerance:
        raise Incompatible(
            f'the peers of algorithm "{kind}" never communicate and cannot agree to stop: set stop.tolerance = 0'
        )
    _weights(study)
    if study.l1 and e.algorithm.decay:
        raise Incompatible(
            "model.l1 needs a constant step, as its proximal step has no decay: leave out model.l1 or algorithm.decay"
        )
    if model.personal and model.kind in ("svm", "module"):
        raise Incompatible(
            f'model.personal = true needs derivatives, and model.kind = "{model.kind}" has none: set another kind, for '
            'example "squared-svm" or "logistic"'
        )
    if model.kind == "module":
        if e.algorithm.step == "auto":
            raise Incompatible(
                'algorithm.step = "auto" needs a smoothness constant, and a module has none: set a number, for example '
                "algorithm.step = 0.01"
            )
        if study.l1:
            raise Incompatible(
                "model.l1 is for linear models: set model.l1 = 0, or put the penalty into the module's loss"
            )
    elif (
        e.algorithm.step == "auto"
        and (method is None or method.step == "smoothness")
        and not (method is None and model.kind == "poisson")
        and study.loss.curvature == float("inf")
    ):
        raise Incompatible(
            f'algorithm.step = "auto" is 1/L, and the {model.kind} loss has no L (its gradient is not Lipschitz): '
            "set a number, for example algorithm.step = 0.01"
            + (', or set model.kind = "squared-svm"' if model.kind == "svm" else "")
        )


def _weights(study: Study) -> None:
    """Refuse weights and offsets that have no meaning. Raises Incompatible."""
    e, model = study.experiment, study.experiment.model
    asked = {
        "data.row_weights": e.data.row_weights,
        "data.offset": e.data.offset,
        "model.class_weight": model.class_weight,
    }
    given = [name for name, value in asked.items() if value is not None]
    if given and (model.kind == "module" or (study.method and not study.method.rounds)):
        what = 'model.kind = "module"' if model.kind == "module" else f'algorithm "{e.algorithm.kind}"'
        raise Incompatible(
            f"{what} does not use {' and '.join(given)}: leave {'them' if len(given) > 1 else 'it'} out"
        )
    if model.class_weight is not None and study.loss.task not in ("binary", "multiclass"):
        raise Incompatible(
            f'model.class_weight is for classes, and the target of model.kind = "{model.kind}" is a number: leave it out'
        )
    if e.data.offset and study.loss.task == "multiclass":
        raise Incompatible(
            'data.offset added to the margins of all classes changes nothing: leave it out, or set model.kind = "logistic"'
        )
