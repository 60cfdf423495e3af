"""All peers of an experiment on this machine, a process each; must not take part in the learning.

The launcher splits the data, starts the processes, collects what they report, and judges the result.
"""

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec
import networkx as nx

from gossipfl.config.file import Experiment, load
from gossipfl.data import Table
from gossipfl.errors import BadExperiment
from gossipfl.experiment.evaluation.finish import conclude, finish
from gossipfl.experiment.launch.crew import Crew
from gossipfl.experiment.launch.processes import Processes, forkserver
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.live.reports import collect
from gossipfl.experiment.study.gossip import unreal
from gossipfl.experiment.study.method import study
from gossipfl.experiment.study.study import Study
from gossipfl.faults.network import FaultyNetwork
from gossipfl.runs import folder as files
from gossipfl.runs.attempt import Attempts
from gossipfl.runs.checkpoint import NEW
from gossipfl.runs.events import Event, Finished, Started, Warned
from gossipfl.runs.learned import Summary
from gossipfl.runs.summary import read_summary


def resume(folder: Path) -> Iterator[Event]:
    """Go on with an interrupted run in its folder, from its peers' checkpoints, as `run` does; without its faults.

    Raises:
        BadExperiment: there is no run in the folder, none to go on with, a damaged one, or no checkpoint of any peer.
    """
    experiment = load(folder / "config.toml").model_copy(update={"faults": ()})
    ended = read_summary(folder).get("stopped", "")
    if ended not in ("", "interrupted"):
        raise BadExperiment(
            f"the run in {folder} has learned to its end ({ended}): start it anew, gossipfl run {folder}/config.toml"
        )
    files.check_format(folder)
    if not any((folder / "peers").glob(f"*/{NEW}")):
        raise BadExperiment(
            f"no peer in {folder} has a checkpoint to go on from: start anew, gossipfl run {folder}/config.toml. They are "
            "written each peers.checkpoint seconds, by methods that go on without a neighbour"
        )
    return run(experiment, folder, again=True)


def run(experiment: Experiment, out: Path | None = None, again: bool = False) -> Iterator[Event]:
    """Carry out an experiment with real peers on this machine: Started, then Progress, Struck and Warned, then Finished.

    Args:
        experiment: what to do.
        out: the run folder; runs/<time>_<name> unless given.
        again: it is there already, and the peers go on from their checkpoints.

    Raises:
        GossipError: the experiment, its data or the folder are not as they should be, or a peer could not go on; models
            and summary of those that learned are written before.
    """
    began = time.monotonic()
    unreal(experiment)
    forkserver()  # it imports while the data are read
    made = study(experiment)
    rows = tables(made)
    folder = out if out and again else files.create(experiment, made.graph, out, made.names)
    yield Started(folder, len(made.names), experiment.stop.rounds, experiment.stop.seconds)
    said: deque[str] = deque()
    attempt = Attempts(said.append)
    crew = local(made, rows, folder, again)
    try:
        for event in crew.follow():
            try:
                line = msgspec.json.encode(event._asdict()) + b"\n"
                attempt("metrics.jsonl", files.append, folder / "metrics.jsonl", line)
                while said:
                    yield Warned("", said.popleft())
                yield event
            except KeyboardInterrupt:  # it struck whoever shows the progress, and was thrown in here
                crew.interrupt()
    finally:
        crew.close()
    failure = crew.failure()
    status = {made.names[me]: crew.status[me] for me in sorted(crew.status)}
    if learned := collect(made, crew.reports, dict(enumerate(rows)), status, crew.learning_since - began):
        present = [rows[made.names.index(name)] for name in learned.names]
        summary = finish(made, present, learned, folder) | _befell(made, crew)
        if failure:
            summary["error"] = str(failure)
        summary = conclude(summary, folder)
        if not failure:
            yield Finished(folder, summary)
    if failure:
        raise failure
    if not learned:
        raise KeyboardInterrupt


def local(made: Study, rows: list[Table], folder: Path, rejoin: bool = False) -> Crew:
    """All peers of the study, started as processes of this machine, with a proxy between them where faults need one."""
    numbers = {name: me for me, name in enumerate(made.names)}
    placement = Processes(made, rows, folder)
    context = placement.context if made.faults.proxied else None
    between = FaultyNetwork(nx.relabel_nodes(made.graph, numbers), context, made.experiment.seed)
    return Crew(made, placement, between, rejoin)


def _befell(made: Study, crew: Crew) -> Summary:
    """What the summary says of faults and deaths, where there were any."""
    said: Summary = {}
    if made.faults.events:
        said["faults"] = {"carried_out": crew.faults, "too_late": crew.missed}
    if crew.lost:
        said["lost"] = [made.names[me] for me in crew.lost]
    return said
