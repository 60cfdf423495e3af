"""Whether peers leak memory, descriptors or threads over very many rounds; must not know what a peer does in a round.

    python benchmarks/endurance.py [--rounds 200000] [--peers 4] [--kind exact-diffusion]

Ridge regression on scikit-learn's diabetes data (11 parameters) by small real peers over TCP, one process each, all linked with
each other. They use sessions with accounts, a line of metrics every 100 rounds, and a checkpoint every second. At 50 ms a
round, as between distant peers, 200,000 rounds would take almost three hours. Each line of the table is one moment: the largest
value of all peers, and the launcher's memory. "growth" is the growth of a peer's resident memory from the end of the first
quarter of the rounds to the end; what is allocated only once is allocated by then. Both values are medians of a tenth of the
samples, because memory fluctuates.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from gossipfl.config.file import parse
from gossipfl.experiment.launch.launch import run
from gossipfl.faults.footprint import PAGE, Footprints, Sample
from gossipfl.runs.events import Finished, Progress

LOG = 1  # descriptors: a peer opens its log when it first writes to it, for example about a late neighbour
LIMIT = 1 << 20  # bytes of growth allowed after the first quarter: with 200,000 rounds, 7 bytes a round
LINES = 20


class Look(NamedTuple):
    """All peers at one moment, in the order of their names, and the resident bytes of the launcher."""

    round: int
    peers: list[Sample]
    launcher: int


class Endured(NamedTuple):
    """The result of a run."""

    looks: list[Look]
    grown: list[int]  # bytes, for each peer
    descriptors: int  # the largest increase of any peer since the end of the first quarter
    threads: int  # as for descriptors
    distance: float  # from the optimum, at the end

    @property
    def flat(self) -> bool:
        return max(self.grown) <= LIMIT and self.descriptors <= LOG and self.threads <= 0


def experiment(rounds: int, peers: int, kind: str) -> dict[str, Any]:
    return {
        "name": "endurance",
        "reference": True,
        "data": {"source": "diabetes", "partition": {"scheme": "sorted"}, "test": 0.0},
        "topology": {"graph": f"full:{peers}"},
        "model": {"kind": "linear", "l2": 0.1},
        "algorithm": {"kind": kind},
        "stop": {"rounds": rounds},
        "peers": {"report": 100, "checkpoint": 1.0},
    }


def endure(rounds: int, peers: int = 4, kind: str = "exact-diffusion") -> Endured:
    """Run peers for `rounds` rounds, and take a sample once a second."""
    looks: list[Look] = []
    seen = Footprints(map(str, range(peers)))
    with tempfile.TemporaryDirectory() as place:
        for event in run(parse(experiment(rounds, peers, kind)), Path(place) / "run"):
            if isinstance(event, Finished):
                return endured(looks, rounds, event.summary["distance_to_optimum"])
            if isinstance(event, Progress):
                now = time.monotonic()
                seen.look(now)
                newest = [life[-1] for lives in seen.lives.values() for life in lives.values()]
                if len(newest) == peers and all(sample.seconds == now for sample in newest):
                    looks.append(Look(event.round, newest, resident()))
    raise SystemExit("the run ended early")


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def endured(looks: list[Look], rounds: int, distance: float) -> Endured:
    late = [look for look in looks if look.round >= rounds / 4]
    tenth = max(1, len(late) // 10)
    begin, end = late[:tenth], late[-tenth:]

    def grown(what: str, peer: int, typical: Callable[[Iterable[int]], float]) -> int:
        before, after = (typical(getattr(look.peers[peer], what) for look in part) for part in (begin, end))
        return int(after - before)

    everybody = range(len(late[0].peers))
    return Endured(
        looks,
        [grown("memory", peer, median) for peer in everybody],
        max(grown("descriptors", peer, min) for peer in everybody),  # `min`: a file may just be being written
        max(grown("threads", peer, min) for peer in everybody),
        distance,
    )


def table(shown: Endured) -> str:
    """A line for each of about twenty moments, and a summary."""
    began = shown.looks[0].peers[0].seconds
    lines = [
        f"{'round':>9} {'seconds':>8} {'peer, MB':>9} {'launcher, MB':>13} {'descriptors':>12} {'threads':>8}"
    ]
    step = max(1, len(shown.looks) // LINES)
    for look in [*shown.looks[:-1:step], shown.looks[-1]]:
        memory = max(sample.memory for sample in look.peers) / 2**20
        descriptors, threads = (
            max(getattr(s, what) for s in look.peers) for what in ("descriptors", "threads")
        )
        lines.append(
            f"{look.round:9,} {look.peers[0].seconds - began:8.0f} {memory:9.2f} {look.launcher / 2**20:13.2f} "
            f"{descriptors:12} {threads:8}"
        )
    grown = ", ".join(f"{part / 1024:.0f}" for part in shown.grown)
    lines.append(
        f"growth after the first quarter: {grown} kB, for each peer; {LIMIT >> 10} kB are allowed. "
        f"{shown.descriptors} more descriptors and {shown.threads} more threads. "
        f"Distance to the optimum: {shown.distance:.1e}"
    )
    return "\n".join(lines)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=200_000)
    asked.add_argument("--peers", type=int, default=4)
    asked.add_argument("--kind", default="exact-diffusion")
    told = asked.parse_args()
    shown = endure(told.rounds, told.peers, told.kind)
    print(f"{told.peers} peers, {told.rounds:,} rounds of {told.kind}\n{table(shown)}")
    if not shown.flat:
        sys.exit(1)


if __name__ == "__main__":
    main()
