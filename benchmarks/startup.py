"""How fast peers start and how much memory they take; must not know what happens inside a peer.

    python benchmarks/startup.py

Prints how long `gossipfl --help` takes, how long 64 peers take to be ready (from the parent's imports until the last one begins
to learn), and the memory of each peer while they learn: PSS, its own pages plus its share of shared pages. Then 256 peers
on a random 4-regular graph learn until they agree.
"""

import multiprocessing
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Any

from gossipfl.config.file import parse
from gossipfl.experiment.launch.launch import run
from gossipfl.runs.events import Finished, Progress

HELP_S, READY_S, PSS_MB = 0.25, 5.0, 12.0


def experiment(graph: str, rounds: int, tolerance: float) -> Mapping[str, Any]:
    """Softmax regression on scikit-learn's digits: 650 parameters."""
    return {
        "data": {"source": "digits", "test": 0.0},
        "topology": {"graph": graph},
        "model": {"kind": "softmax", "l2": 1.0},
        "algorithm": {"kind": "exact-diffusion"},
        "stop": {"rounds": rounds, "tolerance": tolerance},
        "peers": {"wait": 120.0, "report": rounds},
    }


def pss(process: int) -> float:
    """The memory of a process in MB. A page that k processes share counts as 1/k."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def learn(graph: str, rounds: int, tolerance: float = 0.0) -> tuple[Mapping[str, Any], float]:
    """The summary of a run with real peers, and the mean memory of a peer during the run, in MB."""
    memory = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for event in run(parse(experiment(graph, rounds, tolerance)), Path(folder) / "run"):
            if isinstance(event, Progress) and not memory:
                memory = mean(pss(child.pid or 0) for child in multiprocessing.active_children())
            elif isinstance(event, Finished):
                return event.summary, memory
    raise SystemExit("the run ended early")


def seconds_of_help() -> float:
    began = perf_counter()
    subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "gossipfl", "--help"], check=True, capture_output=True
    )
    return perf_counter() - began


def main() -> None:
    seconds = median(seconds_of_help() for _ in range(7))
    print(f"gossipfl --help: {seconds:.2f} s, median of 7 (aim {HELP_S})", flush=True)
    summary, memory = learn("torus:8x8", 1_500)
    print(f"64 peers on a torus: ready in {summary['seconds']['startup']:.1f} s (aim {READY_S:g}),", end=" ")
    print(f"{memory:.1f} MB PSS each (aim {PSS_MB:g})", flush=True)
    summary, memory = learn("regular:256:4", 1000, 1e-4)
    print(
        f"256 peers, 4-regular: ready in {summary['seconds']['startup']:.1f} s, {memory:.1f} MB PSS each;",
        end=" ",
    )
    print(f"stopped by {summary['stopped']} after {summary['rounds']} rounds in", end=" ")
    print(
        f"{summary['seconds']['learning']:.1f} s, consensus distance {summary['consensus_distance']:.1e},",
        end=" ",
    )
    print("agreed" if summary["agreed"] else "NOT agreed")
    if not summary["agreed"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
