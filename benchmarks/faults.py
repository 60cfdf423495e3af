"""What faults cost learning peers: how long they pause, and what they reach; must not know how peers handle faults.

    python benchmarks/faults.py [--only kill-4,cut] [--model linear] [--l2 0.1] [--kind exact-diffusion]
                                [--averaging tree] [--graph torus:4x4] [--seconds 40]

Ridge regression on scikit-learn's diabetes data, sorted by target, or logistic regression on its breast cancer data, sorted by
diagnosis, over 16 real peers, one process each, over TCP. The peers that are killed are spread over the data, so that many rows
of both diagnoses remain. "leaf", "inner" and "root" are peers of the tree along which sums are taken. The peers that
"cut-by-label" separates hold only malignant tumours. Each row of the table is a
separate run with a fixed duration, so that it does not end before the fault. "halt" is the longest time between two rounds of
any peer without a fault, at the fault or soon after (over poor links: between two lines of metrics, with many rounds between
them). "rounds lost" is the number of rounds that it would have done in this time at its earlier pace. "back" is the time from a
peer's restart or release to its first round. The distance is the relative distance of the farthest peer to the optimum of the
data that is present at the end.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import networkx as nx

from gossipfl import topology
from gossipfl.config.file import parse
from gossipfl.experiment.launch.launch import run
from gossipfl.runs.events import Finished, Started, Struck

BEGIN = 3.0  # seconds of learning before the first fault
SOON = 4.0  # seconds after the fault in which a pause is attributed to it
EXACT = 1e-8
POOR = [
    {"do": "loss", "at": BEGIN, "amount": 0.05},
    {"do": "duplicate", "at": BEGIN, "amount": 0.05},
    {"do": "delay", "at": BEGIN, "amount": 0.05, "jitter": 0.02},
]
SOURCES = {"linear": "diabetes", "logistic": "breast_cancer"}
HALF = [str(peer) for peer in range(8)]
ILL = HALF[:5]  # of 16 peers, those that hold only malignant tumours
FAULTS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "kill-leaf": [{"do": "kill", "at": BEGIN, "place": "leaf"}],
    "kill-inner": [{"do": "kill", "at": BEGIN, "place": "inner"}],
    "kill-root": [{"do": "kill", "at": BEGIN, "place": "root"}],
    "restart-root": [{"do": "kill", "at": BEGIN, "place": "root", "lasts": 5}],
    "loss": [{"do": "loss", "at": BEGIN, "amount": 0.05}],
    "kill-1": [{"do": "kill", "at": BEGIN, "count": 1}],
    "kill-4": [{"do": "kill", "at": BEGIN, "count": 4}],
    "kill-8": [{"do": "kill", "at": BEGIN, "count": 8}],
    "restart": [{"do": "kill", "at": BEGIN, "count": 4, "lasts": 5}],
    "restart-fresh": [{"do": "kill", "at": BEGIN, "count": 4, "lasts": 5, "fresh": True}],
    "stop": [{"do": "stop", "at": BEGIN, "count": 1, "lasts": 10}],
    "cut": [{"do": "cut", "at": BEGIN, "peers": HALF, "lasts": 10}],
    "cut-by-label": [{"do": "cut", "at": BEGIN, "peers": ILL, "lasts": 10}],
    "poor-links": [*POOR, *({"do": "reset", "at": BEGIN + 2.0 * k} for k in range(1, 6))],
}
LONGER = {"poor-links": 4}  # factor for the seconds: over such links a second has about seven rounds


class Line(NamedTuple):
    """A round in a peer's metrics."""

    round: int
    seconds: float


class Row(NamedTuple):
    """The result of one run."""

    fault: str
    peers: int  # that are present at the end
    rounds: int
    lost: float
    halt: float
    back: float | None
    distance: float


class How(NamedTuple):
    """The settings of all rows."""

    model: str
    l2: float
    kind: str
    averaging: str
    graph: str
    seconds: float


def spread(graph: nx.Graph, count: int) -> list[str]:
    """Choose `count` peers spread over the data, such that the others stay connected without them."""
    names = list(graph)
    left = sorted(
        names, key=lambda peer: f"{names.index(peer):032b}"[::-1]
    )  # 0, 8, 4, 12, ...: each far from the one before
    found: list[str] = []
    while len(found) < count:
        found.append(next(peer for peer in left if nx.is_connected(graph.subgraph({*left} - {peer}))))
        left.remove(found[-1])
    return found


def placed(graph: nx.Graph, place: str) -> str:
    """The first peer at a place of the tree, such that the others stay connected without it."""
    made, names = topology.tree(graph), list(graph)
    parents = {int(parent) for parent in made.receiver}
    places = {"root": {*made.roots}, "inner": parents - {*made.roots}, "leaf": {*range(len(names))} - parents}
    return next(
        names[peer]
        for peer in sorted(places[place])
        if nx.is_connected(graph.subgraph({*names} - {names[peer]}))
    )


def faults(name: str, graph: str) -> list[dict[str, Any]]:
    """The faults of a row, with the names of the peers to kill."""
    asked = FAULTS[name]
    if not any(fault["do"] == "kill" for fault in asked):
        return asked
    (kill,) = asked
    of = topology.load(graph)
    peers = [placed(of, kill["place"])] if "place" in kill else spread(of, kill["count"])
    return [{key: value for key, value in kill.items() if key not in ("count", "place")} | {"peers": peers}]


def experiment(name: str, how: How) -> dict[str, Any]:
    forever = any(fault["do"] == "kill" and "lasts" not in fault for fault in FAULTS[name])
    seconds = how.seconds * LONGER.get(name, 1)
    return {
        "name": name,
        "reference": True,
        "data": {"source": SOURCES[how.model], "partition": {"scheme": "sorted"}, "test": 0.0},
        "topology": {"graph": how.graph},
        "model": {"kind": how.model, "l2": how.l2},
        "algorithm": {"kind": how.kind} | ({"averaging": how.averaging} if how.averaging else {}),
        "stop": {"rounds": 2**40, "seconds": seconds, "absent": 1.0 if forever else 60.0},
        "peers": {"report": 1, "checkpoint": 1.0},
        "faults": faults(name, how.graph),
    }  # fmt: skip


def carried_out(raw: Mapping[str, Any], folder: Path) -> tuple[Mapping[str, Any], list[Struck]]:
    """The summary of a run with real peers, and its faults with their times."""
    struck = []
    for event in run(parse(raw), folder):
        if isinstance(event, Struck):
            struck.append(event)
            print(f"  {event.seconds:.1f} s: {event.fault}", flush=True)
        elif isinstance(event, Finished):
            return event.summary, struck
        elif isinstance(event, Started):
            print(raw["name"], flush=True)
    raise SystemExit("the run ended early")


def lines(folder: Path, name: str) -> list[Line]:
    """The rounds of a peer that was not restarted."""
    text = (folder / "peers" / name / "metrics.jsonl").read_text().splitlines()
    return [Line(line["round"], line["seconds"]) for line in map(json.loads, text)]


def halted(told: Sequence[Line], fault: float) -> tuple[float, float]:
    """The longest pause between two rounds at the fault or soon after, and the number of rounds lost in it.

    There may be several rounds between two lines. The time that these take at the earlier pace does not count as a pause.
    """
    steps = [(a.seconds, b.seconds, b.round - a.round) for a, b in pairwise(told) if b.round > a.round]
    before = [(end - begin) / rounds for begin, end, rounds in steps if end <= fault]
    if not before:
        return float("nan"), float("nan")
    pace = median(before)
    after = [(end - begin) / pace - rounds for begin, end, rounds in steps if end > fault > begin - SOON]
    lost = max([0.0, *after])
    return (lost + 1) * pace, lost


def row(name: str, how: How) -> Row:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        summary, struck = carried_out(experiment(name, how), folder)
        hit = {peer for event in struck if event.do in ("kill", "stop") for peer in event.peers}
        spared = [lines(folder, peer) for peer in summary["peer_status"] if peer not in hit]
        pauses = [halted(told, BEGIN) for told in spared]
        halt, lost = max(pauses, default=(0.0, 0.0))
        at_end = summary["peers"], summary["rounds"]
        return Row(name, *at_end, lost, halt, back(struck), summary["distance_to_optimum"])


def back(struck: Sequence[Struck]) -> float | None:
    """Seconds from a restart or release until the last of these peers learns again."""
    may: dict[str, float] = {}
    took = []
    for event in struck:
        if event.do in ("restart", "continue"):
            may |= dict.fromkeys(event.peers, event.seconds)
        elif event.do == "back":
            took += [event.seconds - may.pop(peer) for peer in event.peers]
    return float("nan") if may else max(took, default=None)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--only", default=",".join(FAULTS))
    asked.add_argument("--model", choices=SOURCES, default="linear")
    asked.add_argument("--l2", type=float, default=0.1)
    asked.add_argument("--kind", default="exact-diffusion")
    asked.add_argument("--averaging", default="", help="for newton: tree or exact; else the shorter one")
    asked.add_argument("--graph", default="torus:4x4")
    asked.add_argument("--seconds", type=float, default=40.0)
    told = asked.parse_args()
    how = How(told.model, told.l2, told.kind, told.averaging, told.graph, told.seconds)
    rows = [row(name, how) for name in told.only.split(",")]
    print(
        f"\n{told.model}, l2 = {told.l2:g}, {told.kind} {told.averaging}, {told.graph}, {told.seconds:g} s each"
    )
    print(
        f"{'fault':14} {'peers':>5} {'rounds':>7} {'rounds lost':>11} {'halt, s':>8} {'back, s':>8} {'distance':>9}"
    )
    for r in rows:
        back = "-" if r.back is None else f"{r.back:.2f}"
        print(
            f"{r.fault:14} {r.peers:5} {r.rounds:7,} {r.lost:11.0f} {r.halt:8.2f} {back:>8} {r.distance:9.1e}"
        )
    if any(not r.distance <= EXACT for r in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
