"""One peer, started by hand or by an init system; the others run elsewhere. It must not read the data of others."""

import math
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import networkx as nx
import torch

from gossipfl import topology
from gossipfl.config.experiment import Experiment, StopSettings
from gossipfl.config.file import load
from gossipfl.data import Table
from gossipfl.errors import BadExperiment, GossipError
from gossipfl.experiment.evaluation.finish import conclude, finish
from gossipfl.experiment.live.journal import Tell, log_to
from gossipfl.experiment.live.keyring import keyed
from gossipfl.experiment.live.largest import largest
from gossipfl.experiment.live.news import news
from gossipfl.experiment.live.process import live
from gossipfl.experiment.live.reports import Report, collect
from gossipfl.experiment.live.reread import Reread
from gossipfl.experiment.study.gossip import unreal
from gossipfl.experiment.study.shared import differences
from gossipfl.experiment.study.study import Study
from gossipfl.peer import ZeroMQ
from gossipfl.peer.gate import LinkKeys
from gossipfl.runs import checkpoint
from gossipfl.runs import folder as files
from gossipfl.runs.attempt import unwritten
from gossipfl.runs.learned import Summary
from gossipfl.runs.lock import locked
from gossipfl.runs.rows import unchanged
from gossipfl.runs.summary import read_summary
from gossipfl.secrecy.start import Identity
from gossipfl.topology.endpoint import NEITHER, unreachable


def without_wanted(experiment: Experiment) -> bool:
    """Whether peers may end without others that are absent: `stop.absent` has been set."""
    return experiment.stop.absent != StopSettings().absent


def unsuitable(experiment: Experiment) -> None:
    """Refuse settings that need a launcher or the simulator. Raises BadExperiment."""
    unreal(experiment)
    if experiment.reference:
        raise BadExperiment(
            "reference = true needs the data of all peers, and gossipfl peer must not read them: set reference = false"
        )
    if experiment.faults:
        raise BadExperiment(
            "[[faults]] need a launcher for all peers, and gossipfl peer has none: leave them out (-s faults=[])"
        )


def endpoints(study: Study, name: str, listen: str | None = None) -> dict[str, str]:
    """The endpoints of a peer (`listen`, if given) and its neighbours in the topology file; "": that one dials the others.

    Raises:
        BadExperiment: there is no such peer, an endpoint is missing, or `listen` is that of a neighbour or of no use.
    """
    if name not in study.graph:
        raise BadExperiment(
            f"there is no peer {name} in the topology; its peers are {', '.join(study.names[:20])}"
        )
    near = neighbours(study, name)
    known = {peer: study.graph.nodes[peer].get("endpoint", "") for peer in (name, *near)}
    file = study.experiment.topology.graph
    keys = study.experiment.peers.security != "none" and keyed(study)
    if keys and (pair := unreachable(study.graph.nodes, study.graph.edges)):
        raise BadExperiment(f"{file}: {NEITHER.format(*pair)}")
    if keys and listen and not known[name]:
        raise BadExperiment(
            f"{file} has no endpoint for {name}, which therefore dials its neighbours: leave out --listen, or give it one there"
        )
    known |= {name: listen} if listen else {}
    silent = [] if keys else [peer for peer, endpoint in known.items() if not endpoint]
    if silent:
        raise BadExperiment(
            f"{file} has no endpoint for {', '.join(silent)}. Use a topology file; in TOML write for each of them:\n"
            f'  [peers.{silent[0]}]\n  endpoint = "tcp://host:5501"\nWith public keys, one of two neighbours needs an endpoint'
        )
    if listen in (taken := {known[peer]: peer for peer in near}):
        raise BadExperiment(
            f"{name} cannot listen on {listen}: {file} gives it to {taken[listen]}; "
            "leave out --listen, or give another endpoint"
        )
    return known


def neighbours(study: Study, name: str) -> list[str]:
    """The names of a peer's neighbours, in the order of the study."""
    return sorted(set(nx.all_neighbors(study.graph, name)), key=study.names.index)


def watched(study: Study, name: str, listen: str | None, tell: Tell) -> Reread:
    """The topology file, read again when it changes, and on SIGUSR1. Call this in the main thread."""

    def places(changed: Study) -> dict[str, str]:
        return {other: place for other, place in endpoints(changed, name, listen).items() if other != name}

    reread = Reread(study, name, places, lambda warning: tell("warning", warning))
    signal.signal(signal.SIGUSR1, reread.ask)
    return reread


def lodged(study: Study, name: str, folder: Path) -> bool:
    """Prepare the run folder; whether the peer can continue from a checkpoint of this study in it.

    It can if it was interrupted or died. A peer that ended before it learned starts again, with another experiment if need be.

    Raises:
        BadExperiment: the folder has another run, or the result of this one or of all others, or cannot be created.
    """
    config, own = folder / "config.toml", folder / "peers" / name
    if not config.exists():
        files.create(study.experiment, study.graph, folder, (name,))
        return False
    others = differences(load(config), study.experiment)
    if others and files.begun(folder):
        raise BadExperiment(
            f"--out {folder} has a run of another experiment: {', '.join(others)} differ{'s' * (len(others) == 1)} from "
            f"{config}. Give another folder, or use the same experiment"
        )
    files.check_format(folder)
    if (
        read_summary(own).get("stopped", "interrupted") == "interrupted"
        and checkpoint.read(own, study.fingerprint)[0] is not None
    ):
        if folder.joinpath("summary.json").exists() and (ended := _ended(study, name, folder)):
            raise BadExperiment(
                f"all others had ended before {name} came back: their model is {folder}/model.json, and its summary says whose "
                f"rows are in it ({ended}). To learn anew, give another folder"
            )
        return True
    if (folder / "summary.json").exists() or any(folder.rglob("*.safetensors")):
        raise files.taken(folder)
    files.furnish(study.experiment, study.graph, folder, (name,))
    return False


def _ended(study: Study, name: str, folder: Path) -> str:
    """How the other peers of a run on this machine ended; "" where one of them may come back, too."""
    others = [folder / "peers" / other for other in study.names if other != name]
    ends = {read_summary(other).get("stopped", "") for other in others}
    return "" if ends & {"", "interrupted"} else ", ".join(sorted(ends))


def peer(
    study: Study,
    name: str,
    table: Table,
    folder: Path,
    places: Mapping[str, str],
    tell: Tell,
    again: bool = False,
    reread: Reread | None = None,
    keys: LinkKeys | None = None,
    identity: Identity | None = None,
) -> Report:
    """Run one peer from start to end, evaluate its model on its own test rows, and write the result to `folder`.

    `agreed` in its summary means that all peers stopped together, below the tolerance. One peer cannot know more.

    Args:
        study: what to learn.
        name: of the peer.
        table: its rows.
        folder: its run folder.
        places: the endpoints of this peer and its neighbours, by name; "" where that one dials the others.
        again: continue from its checkpoint.
        tell: called with ("listening", None), ("learning", sentence), ("progress", line of metrics), ("agreed", warning),
            ("warning", sentence) or ("news", sentence).
        reread: the topology file, if it may change.
        keys: of encrypted links (`keyring.link_keys`); None: links are open.
        identity: what signs its keys of secure sums.

    Raises:
        NetworkError: the endpoint is in use, or not valid.
        BadData: it has other rows than when it first began in this folder, and sums are secure.
    """
    began = time.monotonic()
    if reread:
        reread.identity, reread.own = identity, keys
    torch.set_num_threads(1)
    log_to(folder)
    me, own = study.names.index(name), files.peer_folder(folder, name)
    near = {study.names.index(other): endpoint for other, endpoint in places.items() if other != name}
    with locked(own), news(lambda sentence: tell("news", sentence)), study.unrecorded():
        if study.secure and not study.private:
            unchanged(own, table)
        transport = ZeroMQ(places[name], largest(study, table), keys)
        tell("listening", None)
        alone = study.experiment.stop.absent if without_wanted(study.experiment) else math.inf
        wait = study.experiment.peers.wait or math.inf
        report = live(
            study,
            me,
            table,
            own,
            transport,
            near,
            tell,
            again,
            reread=reread,
            alone=alone,
            identity=identity,
            wait=wait,
        )
    final = reread.study if reread else study
    if final is not study:
        try:
            topology.write(final.graph, folder / "topology.json")
        except GossipError as error:
            tell("warning", str(error))
    startup = max(0.0, time.monotonic() - began - report.seconds)
    known = {
        "agreed": report.stopped == "tolerance" and not report.without,
        "consensus_distance": None,
        "error": report.error or None,
        "neighbours": neighbours(final, name),
        "learned_with": report.learned_with,
        "without": report.without,
        "without_wanted": without_wanted(study.experiment),
        "refusals": report.refusals,
    }
    summary: Summary = {"peers": 1, "rounds": report.rounds, "stopped": report.stopped, "why": report.why}
    if learned := collect(study, {me: report}, {me: table}, {name: report.stopped}, startup):
        summary = finish(study, [table], learned, folder)
        summary = conclude(summary | known, folder)
        if lost := summary.pop("unwritten", None):
            report = replace(report, unwritten=unwritten(lost["files"], lost["why"]))
    return replace(report, summary=summary | known)
