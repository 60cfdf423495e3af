"""Running an experiment in the simulator, with its run folder and events; must not know live peers."""

import os
import time
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path

import msgspec
import torch

from gossipfl import disk
from gossipfl.config.experiment import Experiment
from gossipfl.experiment.evaluation.finish import conclude, finish, preface
from gossipfl.experiment.learning.simulated import Simulated
from gossipfl.experiment.learning.tables import Given, notes, tables
from gossipfl.experiment.learning.train import training
from gossipfl.experiment.study.make import study
from gossipfl.experiment.study.own import told as own_code
from gossipfl.experiment.study.study import Study
from gossipfl.faults import Plan
from gossipfl.faults.director import Director, told
from gossipfl.runs import folder as files
from gossipfl.runs.attempt import Attempts
from gossipfl.runs.events import Event, Finished, Progress, Started, Struck, Warned
from gossipfl.runs.learned import Learned, Summary


def simulate(experiment: Experiment, out: Path | None = None, given: Given | None = None) -> Iterator[Event]:
    """Run an experiment with all peers in this process: Started, then Progress, Struck, Warned, then Comparing, Finished.

    Args:
        experiment: what to run.
        out: the run folder; the default is runs/<time>_<name>.
        given: the study and the rows, for a caller that has them in memory.

    Raises:
        GossipError: the experiment, its data or the folder are not valid.
    """
    began = time.monotonic()
    # At any size, several threads took two to three times as long, because they wait for each other.
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    made = given.study if given else study(experiment)
    engines, director = Simulated(made), Director(made.faults)
    rows = given.rows if given else tables(made)
    folder = files.create(experiment, made.graph, out, made.names)
    yield Started(folder, len(made.names), experiment.stop.rounds)
    for note in [*own_code(made.experiment), *notes(rows, made.names)]:
        yield Warned("", note)
    learned = yield from _recorded(training(made, rows, engines, began), made, director, folder)
    present = [rows[made.names.index(name)] for name in learned.names]
    yield from preface(made)
    summary = finish(made, present, learned, folder) | _faults(made.faults, director)
    yield Finished(folder, conclude(summary, folder))


def _recorded(
    learning: Generator[Progress | Warned, None, Learned], study: Study, director: Director, folder: Path
) -> Generator[Event, None, Learned]:
    """Yield the lines of metrics, each after the faults before it, and write them to metrics.jsonl."""
    warnings: deque[str] = deque()
    attempt = Attempts(warnings.append)
    interrupted = False
    while True:
        try:
            progress = learning.throw(KeyboardInterrupt()) if interrupted else next(learning)
        except StopIteration as end:
            learned: Learned = end.value
            return learned
        if isinstance(progress, Warned):
            yield progress
            continue
        try:
            for event in [*_struck(director, study, progress), progress]:
                line = msgspec.json.encode(event._asdict()) + b"\n"
                attempt("metrics.jsonl", disk.append, folder / "metrics.jsonl", line)
                while warnings:
                    yield Warned("", warnings.popleft())
                yield event
        except KeyboardInterrupt:  # it interrupted the consumer, which threw it in here
            interrupted = True


def _struck(director: Director, study: Study, progress: Progress) -> Iterator[Struck | Progress]:
    """The faults that began or ended before this round, and after the last reported one."""
    for due in director.due(progress.seconds, progress.round - 1):
        names = tuple(study.names[peer] for peer in due.peers)
        yield Struck(told(due, study.names), progress.seconds, due.do, due.begins, names, int(due.when))


def _faults(plan: Plan, director: Director) -> Summary:
    """The entries of the summary for faults, if there are any."""
    planned, missed = len(plan.events), director.coming
    return {"faults": {"carried_out": planned - missed, "too_late": missed}} if planned else {}
