"""What faults cost peers that learn: how long they halt, and where they end; must not know how peers get over them.

    python benchmarks/faults.py [--only kill-4,cut] [--graph torus:4x4] [--seconds 40] [--kind exact-diffusion]

Ridge regression of scikit-learn's diabetes set, sorted by target over 16 real peers, a process each, by TCP. Each row of the
table is a run of its own that is bounded by the clock, so that it does not end before the fault. "halt" is the longest
time between two lines of metrics of any peer that was spared, at the fault or soon after (over poor links there are many
rounds from one line to the next); "rounds lost" is what it would have done meanwhile at the pace before. "back" is the time
from a peer's restart or release to its first round. The distance is the relative one of the farthest peer to the optimum of
the data that is present at the end.
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

from gossipfl.experiment.config import parse
from gossipfl.experiment.events import Finished, Started, Struck
from gossipfl.experiment.launch import run

BEGIN = 3.0  # seconds of learning before the first fault
SOON = 4.0  # seconds after the fault in which a pause counts as its doing
EXACT = 1e-8
POOR = [
    {"do": "loss", "at": BEGIN, "amount": 0.05},
    {"do": "duplicate", "at": BEGIN, "amount": 0.05},
    {"do": "delay", "at": BEGIN, "amount": 0.05, "jitter": 0.02},
]
HALF = [str(peer) for peer in range(8)]
FAULTS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "kill-1": [{"do": "kill", "at": BEGIN, "count": 1}],
    "kill-4": [{"do": "kill", "at": BEGIN, "count": 4}],
    "kill-8": [{"do": "kill", "at": BEGIN, "count": 8}],
    "restart": [{"do": "kill", "at": BEGIN, "count": 4, "lasts": 5}],
    "restart-fresh": [{"do": "kill", "at": BEGIN, "count": 4, "lasts": 5, "fresh": True}],
    "stop": [{"do": "stop", "at": BEGIN, "count": 1, "lasts": 10}],
    "cut": [{"do": "cut", "at": BEGIN, "peers": HALF, "lasts": 10}],
    "poor-links": [*POOR, *({"do": "reset", "at": BEGIN + 2.0 * k} for k in range(1, 6))],
}
LONGER = {"poor-links": 4}  # times the seconds: with such a way between peers seven rounds a second are many


class Line(NamedTuple):
    """A round that one peer has told of."""

    round: int
    seconds: float


class Row(NamedTuple):
    """What one run showed."""

    fault: str
    peers: int  # whose models are there in the end
    rounds: int
    lost: float
    halt: float
    back: float | None
    distance: float


def experiment(name: str, graph: str, kind: str, seconds: float) -> dict[str, Any]:
    forever = any(fault["do"] == "kill" and "lasts" not in fault for fault in FAULTS[name])
    return {
        "name": name,
        "reference": True,
        "data": {"source": "diabetes", "partition": {"scheme": "sorted"}, "test": 0.0},
        "topology": {"graph": graph},
        "model": {"kind": "linear", "l2": 0.1},
        "algorithm": {"kind": kind},
        "stop": {"rounds": 2**40, "seconds": seconds * LONGER.get(name, 1), "absent": 1.0 if forever else 60.0},
        "peers": {"report": 1, "checkpoint": 1.0},
        "faults": FAULTS[name],
    }  # fmt: skip


def carried_out(raw: Mapping[str, Any], folder: Path) -> tuple[Mapping[str, Any], list[Struck]]:
    """The summary of a run with real peers, and what befell them when."""
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
    """The rounds of a peer that lived once."""
    text = (folder / "peers" / name / "metrics.jsonl").read_text().splitlines()
    return [Line(line["round"], line["seconds"]) for line in map(json.loads, text)]


def halted(told: Sequence[Line], fault: float) -> tuple[float, float]:
    """The longest pause that begins before or soon after the fault, and the rounds that would have been carried out in it."""
    after = [b.seconds - a.seconds for a, b in pairwise(told) if b.seconds > fault > a.seconds - SOON]
    before = [b.seconds - a.seconds for a, b in pairwise(told) if b.seconds <= fault]
    pause = max(after, default=float("nan"))
    return pause, pause / median(before) - 1 if before else float("nan")


def row(name: str, graph: str, kind: str, seconds: float) -> Row:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        summary, struck = carried_out(experiment(name, graph, kind, seconds), folder)
        hit = {peer for event in struck if event.do in ("kill", "stop") for peer in event.peers}
        spared = [lines(folder, peer) for peer in summary["peer_status"] if peer not in hit]
        pauses = [halted(told, BEGIN) for told in spared]
        halt, lost = max(pauses, default=(0.0, 0.0))
        return Row(
            name,
            summary["peers"],
            summary["rounds"],
            lost,
            halt,
            back(struck),
            summary["distance_to_optimum"],
        )


def back(struck: Sequence[Struck]) -> float | None:
    """Seconds from the moment when peers may go on until the last of them learns again."""
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
    asked.add_argument("--graph", default="torus:4x4")
    asked.add_argument("--kind", default="exact-diffusion")
    asked.add_argument("--seconds", type=float, default=40.0)
    told = asked.parse_args()
    rows = [row(name, told.graph, told.kind, told.seconds) for name in told.only.split(",")]
    print(
        f"\n{'fault':14} {'peers':>5} {'rounds':>7} {'rounds lost':>11} {'halt, s':>8} {'back, s':>8} {'distance':>9}"
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
