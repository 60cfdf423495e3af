"""One peer, started by hand or by an init system, whose others run elsewhere; must not read anybody else's data."""

import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import networkx as nx
import torch

from gossipfl import topology
from gossipfl.config.experiment import Experiment
from gossipfl.config.file import load
from gossipfl.data import Table
from gossipfl.errors import BadExperiment
from gossipfl.experiment.evaluation.finish import conclude, finish
from gossipfl.experiment.live.journal import Tell, log_to
from gossipfl.experiment.live.news import news
from gossipfl.experiment.live.process import LARGEST, live
from gossipfl.experiment.live.reports import Report, collect
from gossipfl.experiment.live.reread import Reread
from gossipfl.experiment.study.gossip import unreal
from gossipfl.experiment.study.study import Study, differences
from gossipfl.peer import ZeroMQ
from gossipfl.runs import checkpoint
from gossipfl.runs import folder as files
from gossipfl.runs.attempt import unwritten
from gossipfl.runs.summary import read_summary


def unsuitable(experiment: Experiment) -> None:
    """Refuse what only a launcher, or a simulator, may do. Raises BadExperiment."""
    unreal(experiment)
    if experiment.reference:
        raise BadExperiment(
            "reference = true reads the data of all peers to find the pooled optimum: a single peer must not. "
            "Set reference = false for gossipfl peer"
        )
    if experiment.faults:
        raise BadExperiment(
            "faults are done to all peers by their launcher: leave them out for gossipfl peer (-s faults=[])"
        )


def endpoints(made: Study, name: str, listen: str | None = None) -> dict[str, str]:
    """Where a peer (by `listen`, if given) and its neighbours listen, as the topology file says.

    Raises:
        BadExperiment: there is no such peer, one of them has no endpoint, or `listen` is a neighbour's.
    """
    if name not in made.graph:
        raise BadExperiment(f"there is no peer {name} in the topology; it has {', '.join(made.names[:20])}")
    around = sorted(set(nx.all_neighbors(made.graph, name)), key=made.names.index)
    known = {peer: made.graph.nodes[peer].get("endpoint") for peer in (name, *around)}
    known |= {name: listen} if listen else {}
    if silent := [peer for peer, endpoint in known.items() if not endpoint]:
        raise BadExperiment(
            f"{made.experiment.topology.graph} does not say where {', '.join(silent)} can be reached. Use a topology file, "
            f'and write in it, if it is TOML, for each:\n  [peers.{silent[0]}]\n  endpoint = "tcp://host:5501"'
        )
    if listen in (taken := {known[peer]: peer for peer in around}):
        raise BadExperiment(
            f"{name} cannot listen on {listen}: {made.experiment.topology.graph} gives it to {taken[listen]}; "
            "leave out --listen, or give it another endpoint"
        )
    return known


def watched(made: Study, name: str, listen: str | None, tell: Tell) -> Reread:
    """The topology file, which is read again when it changes and, from here on, on SIGHUP. For the main thread only."""

    def around(study: Study) -> dict[str, str]:
        return {other: place for other, place in endpoints(study, name, listen).items() if other != name}

    reread = Reread(made, name, around, lambda words: tell("warning", words))
    signal.signal(signal.SIGHUP, reread.ask)
    return reread


def lodged(made: Study, name: str, folder: Path) -> bool:
    """Make the run folder ready; whether a peer was interrupted in it, or died, and goes on from a checkpoint of this study.

    A peer that came to an end before it learned anything has left nothing to go on from, or to lose: it starts anew.

    Raises:
        BadExperiment: the folder holds something else, or cannot be made.
    """
    config, own = folder / "config.toml", folder / "peers" / name
    if not config.exists():
        files.create(made.experiment, made.graph, folder, (name,))
        return False
    if others := differences(load(config), made.experiment):
        raise BadExperiment(
            f"--out {folder} holds a run of another experiment: {', '.join(others)} differ{'s' * (len(others) == 1)} from "
            f"{config}. Give another folder, or go on with the experiment as it was"
        )
    files.check_format(folder)
    if (
        read_summary(own).get("stopped", "interrupted") == "interrupted"
        and checkpoint.read(own, made.fingerprint)[0] is not None
    ):
        return True
    if (folder / "summary.json").exists() or any(folder.rglob("*.safetensors")):
        raise files.taken(folder)
    files.furnish(made.experiment, made.graph, folder, (name,))
    return False


def peer(
    made: Study,
    name: str,
    table: Table,
    folder: Path,
    places: Mapping[str, str],
    tell: Tell,
    again: bool = False,
    reread: Reread | None = None,
) -> Report:
    """Be one peer from beginning to end; what it learned is written to `folder`, judged on its own test rows.

    Its `agreed` says that all peers stopped together, below the tolerance: more than that one peer cannot know.

    Args:
        made: the study.
        name: who this is.
        table: its rows.
        folder: its run folder.
        places: where it and its neighbours listen, by name.
        again: it was here before, and goes on from its checkpoint.
        tell: called with "listening", "learning" and how it begins to, "progress" and a line of metrics, "warning" or "news"
            and a sentence.
        reread: the topology file, if it may change.

    Raises:
        NetworkError: its endpoint is taken, or not an endpoint.
    """
    began = time.monotonic()
    torch.set_num_threads(1)
    log_to(folder)
    transport = ZeroMQ(places[name], LARGEST)
    tell("listening", None)
    me = made.names.index(name)
    near = {made.names.index(other): endpoint for other, endpoint in places.items() if other != name}
    own = files.peer_folder(folder, name)
    with news(lambda words: tell("news", words)):
        report = live(made, me, table, own, transport, near, tell, again, reread=reread)
    if reread and reread.made is not made:
        try:
            topology.write(reread.made.graph, folder / "topology.json")
        except BadExperiment as error:
            tell("warning", str(error))
    startup = max(0.0, time.monotonic() - began - report.seconds)
    if learned := collect(made, {me: report}, {me: table}, {name: report.stopped}, startup):
        summary = finish(made, [table], learned, folder)
        known = {
            "agreed": report.stopped == "tolerance",
            "consensus_distance": None,
            "error": report.error or None,
        }
        summary = conclude(summary | known, folder)
        if lost := summary.get("unwritten"):
            report = replace(report, unwritten=unwritten(lost["files"], lost["why"]))
    return report
