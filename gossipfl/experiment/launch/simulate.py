"""An experiment in the simulator; must not know live peers."""

import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec
import torch

from gossipfl.config.file import Experiment
from gossipfl.experiment.evaluation.finish import conclude, finish
from gossipfl.experiment.launch.simulated_faults import AWAY, Afflicting
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.study.gossip import simulated
from gossipfl.experiment.study.method import study
from gossipfl.runs import folder as files
from gossipfl.runs.attempt import Attempts
from gossipfl.runs.events import Event, Finished, Progress, Started, Struck, Warned
from gossipfl.runs.learned import Learned


def simulate(experiment: Experiment, out: Path | None = None) -> Iterator[Event]:
    """Carry out an experiment with all peers in this process: Started, then Progress, Struck and Warned, then Finished.

    Args:
        experiment: what to do.
        out: the run folder; runs/<time>_<name> unless given.

    Raises:
        GossipError: the experiment, its data or the folder are not as they should be.
    """
    began = time.monotonic()
    # At any size threads that wait for each other took two to three times as long.
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    made = study(experiment)
    engines = Afflicting(made)
    rows = tables(made)
    folder = files.create(experiment, made.graph, out, made.names)
    yield Started(folder, len(made.names), experiment.stop.rounds)
    session = Session(made, rows, range(len(made.names)), engines, simulated(made), experiment.model.device)
    engines.harden(session)
    startup = time.monotonic() - began
    said: deque[str] = deque()
    attempt = Attempts(said.append)
    for progress in session:
        try:
            told: list[Struck | Progress] = [*engines.befallen(progress), progress]
            for event in told:
                line = msgspec.json.encode(event._asdict()) + b"\n"
                attempt("metrics.jsonl", files.append, folder / "metrics.jsonl", line)
                while said:
                    yield Warned("", said.popleft())
                yield event
        except KeyboardInterrupt:  # it struck whoever shows the progress, and was thrown in here
            session.interrupt()
            break
    outcome, prepared = session.outcome, session.prepared
    here = engines.present(outcome.run)
    names = [made.names[me] for me in here]
    status = dict.fromkeys(made.names, AWAY) | dict.fromkeys(names, outcome.stopped)
    learned = Learned(
        "simulator", prepared.kind, names, session.models[here], prepared.schema, [prepared.scales[me] for me in here],
        prepared.step, outcome.rounds, outcome.stopped, outcome.why, session.messages_sent, session.bytes_sent, startup,
        outcome.seconds, session.cpu, status, session.kept,
    )  # fmt: skip
    summary = finish(made, [rows[me] for me in here], learned, folder) | engines.counts
    yield Finished(folder, conclude(summary, folder))
