"""How much two slow peers of ten delay asynchronous gossip, and lock-step learning; must not know experiments or files.

Ten real peers, one process each, over TCP on a random 4-regular graph: logistic regression on scikit-learn's breast cancer
data, shuffled, l2 = 0.01. Both methods use the same steps, on ten random rows of a peer. An update takes 30 ms, and 300 ms at a
straggler. The peers only wait for this time, so the number of cores does not matter. Gossiping peers wake every 15 ms and merge
by freshness. The result is the wall time until the mean loss of all peers, on all rows, is first within 5 % of the minimum. The
stragglers' models count too.

    python benchmarks/stragglers.py [--repeat 3] [--plot docs/stragglers.svg]
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from threading import Event
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gossipfl import gossip, rng, topology
from gossipfl.algorithms import DPSGD
from gossipfl.models import LOSSES, Grad, Linear, pooled_optimum
from gossipfl.peer import Exchange, Gossiper, Peer, ZeroMQ, live
from gossipfl.peer.wire import Opening

PEERS, STRAGGLERS, SLOWER = 10, (0, 5), 10
UPDATE, ROWS, PERIOD = 0.03, 10, 0.015
L2, STEP, PATIENCE, TARGET = 0.01, 0.2, 20, 1.05
ROUNDS, SECONDS = 160, 14.0  # of lock-step and of gossip learning
STUDY, LOGISTIC = b"straggle", LOSSES["logistic"]()
Curve = list[tuple[float, Tensor]]  # a time, and the model of a peer from that time on
KINDS = {
    "asynchronous gossip": "< 1.3",
    "lock-step D-PSGD": ">= 8",
}  # limits of the ratio stragglers / none
MEANS: dict[str, gossip.Mean] = {
    "asynchronous gossip": gossip.Fresh(PATIENCE),
    "gossip by halves": gossip.equal,
}


class Measured(NamedTuple):
    """One run: the mean loss of all peers from each of these times on, and the share of messages overtaken before use."""

    times: np.ndarray[Any, np.dtype[np.float64]]
    losses: np.ndarray[Any, np.dtype[np.float64]]
    missed: float


@dataclass(frozen=True)
class SlowCreate(gossip.MergeUpdate):
    """Merging and learning that take `seconds`."""

    seconds: float = 0.0

    def __call__(self, received: gossip.Model, other: gossip.Model, update: Any) -> gossip.Model:
        Event().wait(self.seconds)
        return super().__call__(received, other, update)


class SlowGradient(Linear):
    """A problem whose gradients take `seconds`."""

    seconds = 0.0

    def grad(self, round: int) -> Grad:
        Event().wait(self.seconds)
        return super().grad(round)


def rows() -> list[tuple[Any, Any]]:
    """The rows of each peer, standardised."""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    order = rng.generator(0, "stragglers").permutation(len(x))
    x, y = ((x - x.mean(0)) / x.std(0))[order], y[order].astype(float)
    return [(x[me::PEERS], y[me::PEERS]) for me in range(PEERS)]


def with_constant(shards: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """The rows with the constant 1 as a feature like all others, as in gossip learning."""
    return [(np.c_[x, np.ones(len(x))], y) for x, y in shards]


def gossiping(
    mean: gossip.Mean, me: int, seconds: float, seed: int, transport: ZeroMQ, began: float
) -> tuple[Curve, float]:
    rule = gossip.Descent(LOGISTIC, STEP / ROWS, L2)
    create = SlowCreate(mean, own=True, seconds=seconds)
    learning = gossip.GossipLearning(rule, create, steps=ROWS)
    shard = gossip.Shards.of([rows()[me]], torch.float64)
    links = topology.WEIGHTS["metropolis"](topology.load(f"regular:{PEERS}:4"))
    peer = Gossiper(me, range(PEERS), learning, shard, STUDY, links, seed)
    curve: Curve = []
    age = -1
    for run in live(peer, transport, PERIOD):
        if age != int(run.ages[0]):
            age = int(run.ages[0])
            curve.append((monotonic() - began, run.x[0].clone()))
        if monotonic() > began + SECONDS:
            break
    received, missed = peer.run.tally[0, [gossip.RECEIVED, gossip.MISSED]].tolist()
    return curve, missed / (received + missed)


def lock_step(me: int, seconds: float, seed: int, transport: ZeroMQ, began: float) -> tuple[Curve, float]:
    graph = topology.load(f"regular:{PEERS}:4")
    names = list(graph)
    problem = SlowGradient(
        with_constant([rows()[me]]),
        LOGISTIC,
        l2=L2,
        rows=torch.tensor([me]),
        seed=seed,
        batch=ROWS,
        intercept=False,
    )
    problem.seconds = seconds
    links = topology.WEIGHTS["metropolis"](graph)
    openings = {names.index(near): Opening(1 / 3, STUDY) for near in graph[names[me]]}
    exchange = Exchange(me, dict(enumerate(names)), STUDY, openings, transport, 60.0)
    peer = Peer(exchange, DPSGD(STEP), problem, topology.static(links))
    runs = peer.rounds(peer.init(torch.zeros(1, problem.width, dtype=torch.float64)))
    return [(monotonic() - began, run.state.x[0].clone()) for run in islice(runs, ROUNDS)], 0.0


def peer(pipe: Connection, kind: str, me: int, seconds: float, seed: int) -> None:
    """One process: bind, connect, start at the given time, and return its models with their times."""
    torch.set_num_threads(1)
    rows()  # imports scikit-learn
    transport = ZeroMQ("tcp://127.0.0.1:*", 10**6)
    pipe.send(transport.endpoint)
    transport.connect({k: endpoint for k, endpoint in enumerate(pipe.recv()) if k != me})
    pipe.send("ready")
    began: float = pipe.recv()
    Event().wait(max(0.0, began - monotonic()))
    learn = partial(gossiping, MEANS[kind]) if kind in MEANS else lock_step
    curve, missed = learn(me, seconds, seed, transport, began)
    pipe.send(([when for when, _ in curve], torch.stack([w for _, w in curve]).numpy(), missed))
    pipe.recv()
    transport.close(linger=0.0)


def run(kind: str, stragglers: tuple[int, ...], seed: int, pooled: Linear) -> Measured:
    """A complete run of all peers."""
    processes = get_context("forkserver")
    processes.set_forkserver_preload(["torch", "sklearn.datasets", "gossipfl.gossip", "gossipfl.peer"])
    pipes, crew = [], []
    for me in range(PEERS):
        mine, theirs = processes.Pipe()
        seconds = UPDATE * (SLOWER if me in stragglers else 1)
        crew.append(processes.Process(target=peer, args=(theirs, kind, me, seconds, seed), daemon=True))
        crew[-1].start()
        pipes.append(mine)
    endpoints = [pipe.recv() for pipe in pipes]
    for pipe in pipes:
        pipe.send(endpoints)
    for pipe in pipes:
        pipe.recv()
    for pipe in pipes:
        pipe.send(monotonic() + 0.2)
    lived = [pipe.recv() for pipe in pipes]
    for pipe, process in zip(pipes, crew, strict=True):
        pipe.send("done")
        process.join()
    times = np.unique(np.concatenate([[0.0], *(when for when, _, _ in lived)]))
    losses = np.mean([list(seen(pooled, when, models, times)) for when, models, _ in lived], 0)
    return Measured(times, losses, median(missed for *_, missed in lived))


def seen(pooled: Linear, when: list[float], models: Any, times: Any) -> Iterator[float]:
    """The loss of a peer's model at these times. Before its first model it holds 0."""
    w = torch.cat((torch.zeros(1, models.shape[1], dtype=torch.float64), torch.from_numpy(models)))
    losses = [float(pooled.loss(one[None])) for one in w]
    yield from (losses[place] for place in np.searchsorted(when, times, "right"))


def plot(path: Path, curves: dict[tuple[str, bool], Measured], target: float) -> None:
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "gossipfl"
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes: Any = figure.subplots()
    colours = dict(zip(KINDS, ("#1f6feb", "#cf222e"), strict=True))
    for (kind, slow), (times, losses, _) in curves.items():
        grid = np.geomspace(0.05, times[-1], 300)
        shown = losses[np.searchsorted(times, grid, "right") - 1]
        label = (
            f"{kind}, {f'{len(STRAGGLERS)} of {PEERS} peers {SLOWER}x slower' if slow else 'no stragglers'}"
        )
        axes.plot(grid, shown, "--" if slow else "-", color=colours[kind], label=label)
    axes.axhline(target, color="#57606a", lw=0.8)
    axes.annotate("5 % above the least", (0.053, target * 1.02), fontsize=8, color="#57606a")
    axes.set(
        xscale="log", yscale="log", xlabel="seconds of wall time", ylabel="peers' mean loss on all rows",
        ylim=(0.09, 1), xlim=(0.05, None), title="Ten real peers over TCP",
    )  # fmt: skip
    ticks = [0.1, 0.2, 0.5, 1]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    words = argparse.ArgumentParser(description="What stragglers cost, asynchronously and in lock-step")
    words.add_argument("--repeat", type=int, default=3)
    words.add_argument("--plot", type=Path)
    words.add_argument(
        "--halves",
        action="store_true",
        help="only gossip that merges by halves, whatever the age of the models",
    )
    asked = words.parse_args()
    torch.set_num_threads(1)
    x, y = (np.concatenate(parts) for parts in zip(*with_constant(rows()), strict=True))
    pooled = Linear([(x, y)], LOGISTIC, l2=L2, intercept=False)
    target = TARGET * float(pooled.loss(pooled_optimum(pooled)[None]))
    print(
        f"{PEERS} peers, {len(STRAGGLERS)} stragglers {SLOWER}x slower; an update takes {1000 * UPDATE:g} ms; "
        f"seconds until the mean loss is {target:.4f}, median of {asked.repeat}\n"
    )
    print(
        f"{'':20} {'no stragglers':>13} {'stragglers':>10} {'ratio':>6} {'range':>13} {'limit':>6}  overtaken"
    )
    curves = {}
    for kind, limit in {"gossip by halves": ""}.items() if asked.halves else KINDS.items():
        reached: list[tuple[float, float]] = []
        for seed in range(asked.repeat):
            pair = []
            for slow in (False, True):
                curves[kind, slow] = got = run(kind, STRAGGLERS if slow else (), seed, pooled)
                there = np.flatnonzero(got.losses <= target)
                pair.append(float(got.times[there[0]]) if len(there) else np.inf)
            reached.append((pair[0], pair[1]))
        ratios = [slow / fast for fast, slow in reached]
        fast, slow = (median(times) for times in zip(*reached, strict=True))
        print(
            f"{kind:20} {fast:>13.2f} {slow:>10.2f} {median(ratios):>6.2f} {f'{min(ratios):.2f}..{max(ratios):.2f}':>13} "
            f"{limit:>6}  {got.missed:.0%}",
            flush=True,
        )
    if asked.plot and not asked.halves:
        plot(asked.plot, curves, target)


if __name__ == "__main__":
    main()
