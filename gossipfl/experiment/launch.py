"""All peers of an experiment on this machine, a process each; must not take part in the learning.

The launcher splits the data, starts the processes, collects what they report, and judges the result.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gossipfl.experiment import folder as files
from gossipfl.experiment.config import Experiment
from gossipfl.experiment.crew import Crew, forkserver
from gossipfl.experiment.events import Event, Finished, Started
from gossipfl.experiment.finish import Summary, finish
from gossipfl.experiment.gossip import unreal
from gossipfl.experiment.method import study
from gossipfl.experiment.process import collect
from gossipfl.experiment.study import Study
from gossipfl.experiment.tables import tables


def run(experiment: Experiment, out: Path | None = None) -> Iterator[Event]:
    """Carry out an experiment with real peers on this machine: Started, then Progress, Struck and Warned, then Finished.

    Args:
        experiment: what to do.
        out: the run folder; runs/<time>_<name> unless given.

    Raises:
        GossipError: the experiment, its data or the folder are not as they should be, or a peer could not go on; models
            and summary of those that learned are written before.
    """
    began = time.monotonic()
    unreal(experiment)
    forkserver()  # it imports while the data are read
    made = study(experiment)
    rows = tables(made)
    folder = files.create(experiment, made.graph, out)
    yield Started(folder, len(made.names), experiment.stop.rounds, experiment.stop.seconds)
    crew = Crew(made, rows, folder)
    try:
        with (folder / "metrics.jsonl").open("wb", buffering=0) as metrics:
            for event in crew.follow():
                try:
                    metrics.write(msgspec.json.encode(event._asdict()) + b"\n")
                    yield event
                except KeyboardInterrupt:  # it struck whoever shows the progress, and was thrown in here
                    crew.interrupt()
    finally:
        crew.close()
    failure = crew.failure()
    status = {made.names[me]: crew.status[me] for me in sorted(crew.status)}
    if learned := collect(made, crew.reports, status, crew.learning_since - began):
        present = [rows[made.names.index(name)] for name in learned.names]
        summary = finish(made, present, learned, folder) | _befell(made, crew)
        if failure:
            summary["error"] = str(failure)
        files.write_json(folder / "summary.json", summary)
        if not failure:
            yield Finished(folder, summary)
    if failure:
        raise failure
    if not learned:
        raise KeyboardInterrupt


def _befell(made: Study, crew: Crew) -> Summary:
    """What the summary says of faults and deaths, where there were any."""
    said: Summary = {}
    if made.faults.events:
        said["faults"] = {"carried_out": crew.faults, "too_late": crew.missed}
    if crew.lost:
        said["lost"] = [made.names[me] for me in crew.lost]
    return said
