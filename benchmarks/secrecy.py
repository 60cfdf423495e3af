"""What secrecy costs: secure sums beside plain ones, by the same tree; must not know what happens inside a peer.

    python benchmarks/secrecy.py

First one sum in this process: the CPU and wall time that a peer needs to make its row and read the total, and the bytes that it
sends, with 16 and 64 peers, of 558 numbers (Newton's method with 31 parameters) and of 50,000. Then Newton's method on
examples/demo.toml with 16 real peers, plain and secure in turn; the start counts apart. Secure may take twice as long as
plain.
"""

import sys

if __name__ == "__main__":
    del sys.path[0]  # there this file's name hides a module of Python's own

import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch

from gossipfl.algorithms.sums import PLAIN, Carrier, Integers
from gossipfl.algorithms.sums.carrier import Place
from gossipfl.config.file import load
from gossipfl.experiment.launch.launch import run
from gossipfl.runs.events import Finished
from gossipfl.secrecy.masks import drawn, masks
from gossipfl.topology import load as topology
from gossipfl.topology import tree

TWICE, TURNS = 2.0, 3
DEMO = Path(__file__).parents[1] / "examples" / "demo.toml"


def carriers(peers: int) -> dict[str, Carrier]:
    """Those of the first of so many peers; the first draw of its masks is not counted."""
    names = [f"{i:03}" for i in range(peers)]
    keys = {name: drawn() for name in names}
    began = process_time()
    own = masks(keys["000"][0], "000", {name: key for name, (_, key) in keys.items()}, names[1:], bytes(32))
    print(f"{peers} peers: {1e3 * (process_time() - began):.1f} ms for the keys of all partners, once")
    return {"plain": PLAIN, "secure": Integers(peers, own)}


def one_sum(peers: int, numbers: int, carrier: Carrier, repeats: int = 50) -> tuple[float, float, int]:
    """Median CPU and wall seconds of making a row and reading a total, and the bytes of a row."""
    values, times, size = torch.randn(numbers, dtype=torch.float64), [], 0
    for cycle in range(repeats):
        place, began, at = Place(cycle + numbers), process_time(), perf_counter()
        row = carrier.row(values, 1, place)
        carrier.read(row, peers, place)
        times.append((process_time() - began, perf_counter() - at))
        size = row.nbytes
    cpu, wall = zip(*times, strict=True)
    return median(cpu), median(wall), size


def learn(sums: str) -> dict[str, Any]:
    """The summary of the demo with real peers."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = [f"privacy.sums={sums}", "algorithm.averaging=tree", "reference=false", "data.test=0.2"]
        for event in run(load(DEMO, chosen), Path(folder) / "run"):
            if isinstance(event, Finished):
                return event.summary
    raise SystemExit("the run ended early")


def main() -> None:
    torch.set_num_threads(1)
    for peers in (16, 64):
        exchanges = tree(topology(f"ring:{peers}")).exchanges
        both = carriers(peers)
        for numbers in (558, 50_000):
            cost = {kind: one_sum(peers, numbers, carrier) for kind, carrier in both.items()}
            for kind, (cpu, wall, size) in cost.items():
                print(
                    f"{peers:3} peers, {numbers:6,} numbers, {kind:6}: {1e6 * cpu:7,.0f} us CPU, {1e6 * wall:7,.0f} us wall, "
                    f"{size:,} bytes a message, {exchanges} exchanges on a ring"
                )
    found: dict[str, list[dict[str, Any]]] = {"plain": [], "secure": []}
    for _ in range(TURNS):
        for sums, summaries in found.items():
            summaries.append(learn(sums))
    seconds = {sums: median(one["seconds"]["learning"] for one in all_) for sums, all_ in found.items()}
    for sums, summaries in found.items():
        last = summaries[-1]
        print(
            f"the demo, {sums:6}: {seconds[sums]:.2f} s to learn ({last['rounds']} exchanges), "
            f"{median(one['seconds']['startup'] for one in summaries):.2f} s to start, "
            f"{median(one['cpu_seconds_per_peer_round'] * one['rounds'] for one in summaries):.2f} CPU s and "
            f"{last['bytes_sent'] / 16:,.0f} bytes a peer"
        )
    ratio = seconds["secure"] / seconds["plain"]
    print(f"secure takes {ratio:.2f} times as long as plain (limit {TWICE:g})")
    if ratio > TWICE:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
