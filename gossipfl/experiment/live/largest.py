"""How large a message of a study may be; must not know sockets.

A peer needs the number when it begins to listen, before it knows the levels and classes of others: there is room for many.
"""

from gossipfl.algorithms import METHODS, private
from gossipfl.data import Table, classes, levels
from gossipfl.errors import BadData
from gossipfl.experiment.learning.schema import is_classification
from gossipfl.experiment.learning.select import LARGE
from gossipfl.experiment.study.method import SMALL
from gossipfl.experiment.study.problem import load_module
from gossipfl.experiment.study.refusals import LARGE as HESSIAN
from gossipfl.experiment.study.study import Study
from gossipfl.models.scoring import BINS

ROOM, EACH = 2**20, 2**16  # bytes for tables of agreement, and for each peer's words in them
MORE = 4  # times as many levels and classes as this peer has itself
OUTPUTS = 32  # of a softmax model, at least: a peer may have rows of one class only


def largest(study: Study, table: Table) -> int:
    """Bytes of the largest message that a peer with these rows accepts.

    Messages are tables of words, a model with what a method sends beside it, second derivatives, a state transfer, or counts
    of test rows.
    """
    e, peers = study.experiment, len(study.names)
    words = _words(study, table)
    outputs = max(OUTPUTS, MORE * len(words)) if study.experiment.model.kind == "softmax" else 1
    width = _width(study, len(table.columns) + MORE * len(words), outputs)
    auto = study.private and e.algorithm.kind == "auto"
    method = METHODS.get(private(e.model.kind) if auto else e.algorithm.kind)
    certified = min(width, SMALL) if e.stop.certificate else 0
    square = (
        min(width, SMALL if method is None else HESSIAN) if method is None or method.averages else certified
    )
    tables = ROOM + peers * (EACH + MORE * sum(len(word.encode()) + 16 for word in (*words, *table.columns)))
    learning = 16 * (square**2 + width * (4 + e.algorithm.precondition))
    folds = 8 * LARGE if e.model.selects else 0
    # Secure sums have five words for one number, and twice as many while peers agree.
    exact = 5 if study.secure else 1
    return tables + learning + exact * (folds + 16 * (BINS * outputs + peers + 2 * width))


def _words(study: Study, table: Table) -> list[str]:
    """The levels and classes of these rows; none where they cannot be told: then the peer cannot agree either."""
    try:
        known = [
            c + level
            for c, found in levels(table, study.experiment.data.categorical).items()
            for level in found
        ]
        return known + list(classes(table)) if is_classification(study) else known
    except BadData:
        return []


def _width(study: Study, features: int, outputs: int) -> int:
    """At most so many parameters."""
    model = study.experiment.model
    if model.kind == "module":
        module, _ = load_module(str(model.module), study.experiment.seed)
        return sum(part.numel() for part in module.parameters())
    return (features + 1) * outputs
