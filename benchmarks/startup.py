"""How fast peers start and how much memory they take; must not know what happens inside a peer.

    python benchmarks/startup.py [--only help,ridge,memory,keys,many] [--pairs 3]

Prints how long `gossipfl --help` takes, what `gossipfl simulate examples/ridge.toml` takes beyond torch's import; how long 64
peers take to be ready (from the parent's imports until the last one begins to learn), and the memory of each peer while they
learn: PSS, its own pages plus its share of shared pages. The same 64 peers then start on open and on encrypted links in turn,
in so many pairs. Then 256 peers on a random 4-regular graph learn until they agree.
"""

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Any

from gossipfl.cli import built_in
from gossipfl.config.file import parse
from gossipfl.experiment.launch.launch import run
from gossipfl.runs.events import Finished, Progress

HELP_S, RIDGE_S, READY_S, PSS_MB, KEYS = 0.25, 1.2, 5.0, 12.0, 1.3
RIDGE = built_in.HERE / "ridge.toml"


def experiment(graph: str, rounds: int, tolerance: float, security: str) -> Mapping[str, Any]:
    """Softmax regression on scikit-learn's digits: 650 parameters."""
    return {
        "data": {"source": "digits", "test": 0.0},
        "topology": {"graph": graph},
        "model": {"kind": "softmax", "l2": 1.0},
        "algorithm": {"kind": "exact-diffusion"},
        "stop": {"rounds": rounds, "tolerance": tolerance},
        "peers": {"wait": 120.0, "report": rounds, "security": security},
    }


def pss(process: int) -> float:
    """The memory of a process in MB. A page that k processes share counts as 1/k."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def learn(
    graph: str, rounds: int, tolerance: float = 0.0, security: str = "none"
) -> tuple[Mapping[str, Any], float]:
    """The summary of a run with real peers, and the mean memory of a peer during the run, in MB; 0 with one round."""
    memory = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for event in run(parse(experiment(graph, rounds, tolerance, security)), Path(folder) / "run"):
            if isinstance(event, Progress) and rounds > 1 and not memory:
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


def of_help() -> bool:
    seconds = median(seconds_of_help() for _ in range(7))
    print(f"gossipfl --help: {seconds:.2f} s, median of 7 (aim {HELP_S})", flush=True)
    return True


def cpu(*words: str | Path) -> float:
    """CPU seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def of_ridge() -> bool:
    """In turns with torch's import alone, on one thread, so that both see the same machine."""
    os.environ["OMP_NUM_THREADS"] = "1"
    command, taken = Path(sysconfig.get_path("scripts")) / "gossipfl", []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(6):
            import_ = cpu(sys.executable, "-c", "import torch")
            out = Path(folder) / f"{turn}"
            whole = cpu(command, "simulate", RIDGE, "--out", out, "--quiet")
            if turn:  # the first one is a warm-up
                taken.append(whole - import_)
    print(
        f"gossipfl simulate ridge.toml: {median(taken):.2f} CPU s beyond torch's import, median of 5 (limit {RIDGE_S})",
        flush=True,
    )
    return median(taken) <= RIDGE_S


def of_64() -> bool:
    summary, memory = learn("torus:8x8", 1_500)
    print(
        f"64 peers on a torus: ready in {summary['seconds']['startup']:.1f} s (aim {READY_S:g}), {memory:.1f} MB PSS each "
        f"(aim {PSS_MB:g})",
        flush=True,
    )
    return True


def of_keys(pairs: int) -> bool:
    ratios = []
    for pair in range(pairs):
        order = ("none", "keys") if pair % 2 == 0 else ("keys", "none")
        took = {each: learn("torus:8x8", 1, security=each)[0]["seconds"]["startup"] for each in order}
        ratios.append(took["keys"] / took["none"])
        print(
            f"64 peers on a torus: ready in {took['none']:.2f} s on open links, {took['keys']:.2f} s on encrypted ones: "
            f"{ratios[-1]:.2f} x",
            flush=True,
        )
    print(f"median of {pairs} pairs: {median(ratios):.2f} x (aim {KEYS:g})", flush=True)
    return median(ratios) <= KEYS


def of_many() -> bool:
    summary, memory = learn("regular:256:4", 1000, 1e-4)
    print(
        f"256 peers, 4-regular: ready in {summary['seconds']['startup']:.1f} s, {memory:.1f} MB PSS each; stopped by "
        f"{summary['stopped']} after {summary['rounds']} rounds in {summary['seconds']['learning']:.1f} s, consensus distance "
        f"{summary['consensus_distance']:.1e}, {'agreed' if summary['agreed'] else 'NOT agreed'}"
    )
    return bool(summary["agreed"])


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--only", default="help,ridge,memory,keys,many")
    asked.add_argument("--pairs", type=int, default=3)
    told = asked.parse_args()
    parts = {
        "help": of_help,
        "ridge": of_ridge,
        "memory": of_64,
        "keys": lambda: of_keys(told.pairs),
        "many": of_many,
    }
    fine = [parts[name]() for name in told.only.split(",")]
    if not all(fine):
        sys.exit(1)


if __name__ == "__main__":
    main()
