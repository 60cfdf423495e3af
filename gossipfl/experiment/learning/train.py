"""Learning in this process, with all peers as rows of one tensor; reads and writes no file, and prints nothing."""

import time
from collections.abc import Generator, Sequence

from gossipfl.data import Table
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.learning.simulated import Simulated
from gossipfl.experiment.study.study import Study
from gossipfl.runs.events import Progress, Warned
from gossipfl.runs.learned import Learned

AWAY = "absent at the end, because of the faults"


def train(study: Study, tables: Sequence[Table]) -> Learned:
    """The models that the peers of a study learn from their tables, and figures of the learning.

    Args:
        study: what to learn, see `study.make.study`.
        tables: the raw rows of each peer, with test rows marked, in the order of `study.names`.

    Raises:
        GossipError: the tables or the study are not valid.
    """
    learning = training(study, tables, Simulated(study))
    while True:
        try:
            next(learning)
        except StopIteration as end:
            learned: Learned = end.value
            return learned


def training(
    study: Study, tables: Sequence[Table], engines: Simulated, began: float | None = None
) -> Generator[Progress | Warned, None, Learned]:
    """As `train`, but yields a warning and lines of metrics. KeyboardInterrupt ends learning early, at any point.

    `began` is the start of the start-up (time.monotonic); the default is now.
    """
    began = time.monotonic() if began is None else began
    session = Session(study, tables, range(len(study.names)), engines, study.experiment.model.device)
    startup = time.monotonic() - began
    if session.prepared.warning:
        yield Warned("", session.prepared.warning)
    for progress in session:
        try:
            yield progress
        except KeyboardInterrupt:  # it interrupted the consumer, which threw it in here
            session.interrupt()
            break
    here = engines.present(session.outcome.run)
    session.evaluate(here)
    return session.learned(here, startup, AWAY)
