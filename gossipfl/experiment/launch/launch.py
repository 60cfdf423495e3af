"""All peers of an experiment on this machine, one process each; must not take part in the learning.

The launcher splits the data, starts the processes, collects their reports, and evaluates the result.
"""

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec
import networkx as nx

from gossipfl import disk
from gossipfl.config.file import Experiment, load
from gossipfl.data import Table
from gossipfl.errors import BadExperiment
from gossipfl.experiment.evaluation.finish import conclude, finish, preface
from gossipfl.experiment.launch.crew import Crew
from gossipfl.experiment.launch.processes import Processes, forkserver
from gossipfl.experiment.learning.tables import Given, notes, tables
from gossipfl.experiment.live.reports import collect
from gossipfl.experiment.study.gossip import unreal
from gossipfl.experiment.study.make import study
from gossipfl.experiment.study.own import told
from gossipfl.experiment.study.study import Study
from gossipfl.faults.network import FaultyNetwork
from gossipfl.runs import folder as files
from gossipfl.runs.attempt import Attempts
from gossipfl.runs.checkpoint import NEW
from gossipfl.runs.events import Event, Finished, Started, Warned
from gossipfl.runs.learned import Summary
from gossipfl.runs.lock import holders
from gossipfl.runs.summary import read_summary


def resume(folder: Path) -> Iterator[Event]:
    """Continue an interrupted run in its folder, from the checkpoints of its peers, without its faults; else as `run`.

    Raises:
        BadExperiment: the folder has no run, a complete or a damaged one, or no checkpoint of any peer; or its
            peers still live.
    """
    experiment = load(folder / "config.toml").model_copy(update={"faults": ()})
    ended = read_summary(folder).get("stopped", "")
    if ended not in ("", "interrupted"):
        raise BadExperiment(
            f"the run in {folder} is complete ({ended}): start a new one, gossipfl run {folder}/config.toml"
        )
    files.check_format(folder)
    if alive := holders(folder):
        raise BadExperiment(
            f"{len(alive)} peers of the run in {folder} still learn ({', '.join(list(alive)[:8])}): wait until they end, or "
            f"end them first: kill {' '.join(alive.values())}"
        )
    if not any((folder / "peers").glob(f"*/{NEW}")):
        raise BadExperiment(
            f"no peer in {folder} has a checkpoint to continue from: start a new run, gossipfl run {folder}/config.toml. Peers "
            "write a checkpoint every peers.checkpoint seconds, if their method can continue without a neighbour"
        )
    return run(experiment, folder, again=True)


def run(
    experiment: Experiment, out: Path | None = None, again: bool = False, given: Given | None = None
) -> Iterator[Event]:
    """Run an experiment with live peers on this machine: Started, then Progress, Struck, Warned, then Comparing, Finished.

    Args:
        experiment: what to run.
        out: the run folder; the default is runs/<time>_<name>.
        again: the folder exists, and the peers continue from their checkpoints.
        given: the study and the rows, for a caller that has them in memory.

    Raises:
        GossipError: the experiment, its data or the folder are not valid, or a peer failed; then the models and the summary of
            the peers that learned are written before.
    """
    began = time.monotonic()
    unreal(experiment)
    forkserver()  # it imports modules while the data are read
    made = given.study if given else study(experiment)
    rows = given.rows if given else tables(made)
    folder = out if out and again else files.create(experiment, made.graph, out, made.names)
    yield Started(folder, len(made.names), experiment.stop.rounds, experiment.stop.seconds)
    for note in [*told(made.experiment), *notes(rows, made.names)]:
        yield Warned("", note)
    warnings: deque[str] = deque()
    attempt = Attempts(warnings.append)
    crew = local(made, rows, folder, again)
    try:
        for event in crew.follow():
            try:
                line = msgspec.json.encode(event._asdict()) + b"\n"
                attempt("metrics.jsonl", disk.append, folder / "metrics.jsonl", line)
                while warnings:
                    yield Warned("", warnings.popleft())
                yield event
            except KeyboardInterrupt:  # it interrupted the consumer, which threw it in here
                crew.interrupt()
    finally:
        crew.close()
    failure = crew.failure()
    status = {made.names[me]: crew.status[me] for me in sorted(crew.status)}
    if learned := collect(made, crew.reports, dict(enumerate(rows)), status, crew.learning_since - began):
        present = [rows[made.names.index(name)] for name in learned.names]
        yield from preface(made)
        summary = finish(made, present, learned, folder) | _faults(made, crew)
        if failure:
            summary["error"] = str(failure)
        summary = conclude(summary, folder)
        if not failure:
            yield Finished(folder, summary)
    if failure:
        raise failure
    if not learned:
        raise KeyboardInterrupt


def local(study: Study, rows: list[Table], folder: Path, rejoin: bool = False) -> Crew:
    """All peers of the study, as processes on this machine, with a proxy between them if faults need one."""
    numbers = {name: me for me, name in enumerate(study.names)}
    placement = Processes(study, rows, folder)
    context = placement.context if study.faults.proxied else None
    between = FaultyNetwork(nx.relabel_nodes(study.graph, numbers), context, study.experiment.seed)
    return Crew(study, placement, between, rejoin)


def _faults(study: Study, crew: Crew) -> Summary:
    """The entries of the summary for faults, deaths, and words that peers did not believe, if there were any."""
    entries: Summary = {}
    if study.faults.events:
        entries["faults"] = {"carried_out": crew.faults, "too_late": crew.missed}
    if crew.lost:
        entries |= {"lost": [study.names[me] for me in crew.lost], "agreed": False}
    if refusals := {study.names[me]: one.refusals for me, one in crew.reports.items() if one.refusals}:
        entries["refusals"] = refusals
    return entries
