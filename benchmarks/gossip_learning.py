"""Gossip learning on Spambase: error over cycles, as in the papers; must not know the engine's internals.

P2Pegasos (linear SVM, l2 = 1e-4) with N = 100 peers of 41 or 42 rows each, and with N = 4,140 peers of one row each. The
network is perfect, or "extreme": half of the messages are lost, the others take 1 to 10 cycles, and peers are online 90 % of
the time (log-normal sessions, 50 cycles on average). Each time a model arrives, it learns from one random row of the peer ("one
row": as in the paper, where a peer has one row), or from as many rows as the peer has ("a pass"). "walks" never merge. Rows are
shuffled with the seed; 4,140 are training rows and 461 are test rows, standardised by the training rows. Errors are means over
100 random peers, then over the seeds; +- is the standard deviation over the seeds, which include the splits. For comparison:
sequential Pegasos with one model on 20,000 random rows of the same split, mean of ten runs.

    python benchmarks/gossip_learning.py [--data FOLDER] [--seeds 5] [--plot docs/gossip-learning.svg]
    python benchmarks/gossip_learning.py --cost

With --cost it shows the CPU time of a peer's cycle in the simulator: examples/gossip-learning.toml with 100 peers
(regular:100:4) and one row for each model that arrives; the least of five times 20 cycles, on one thread.

Ormándi, Hegedűs, Jelasity, "Gossip learning with linear models on fully distributed data", Concurrency and Computation 25(4),
2013, fig. 1 to 3.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from statistics import mean, stdev
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gossipfl import gossip, rng
from gossipfl.config.file import load
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.learning.simulated import Simulated
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.study.make import study
from gossipfl.gossip.measure import wrong
from gossipfl.models import LOSSES

CYCLES, TRAIN, ITERATIONS = 400, 4140, 20_000
PEGASOS = gossip.Pegasos(LOSSES["svm"](), l2=1e-4)
EXAMPLE = Path(__file__).parents[1] / "examples" / "gossip-learning.toml"
AIM = 30  # microseconds of CPU time of a peer's cycle
SHOWN = (1, 10, 40, 100, 200, 400)
POINTS = sorted({round(10 ** (k / 10)) for k in range(27)} | {*SHOWN})


class Case(NamedTuple):
    """One curve."""

    peers: int
    name: str
    network: gossip.Network
    create: gossip.Create = gossip.MergeUpdate()
    steps: int = 1
    colour: str = "#1f6feb"
    style: str = "-"


CASES = (
    Case(100, "one row", gossip.PERFECT),
    Case(100, "one row, extreme", gossip.EXTREME, style="--"),
    Case(100, "a pass", gossip.PERFECT, steps=41, colour="#2da44e"),
    Case(100, "a pass, extreme", gossip.EXTREME, steps=41, colour="#2da44e", style="--"),
    Case(100, "walks", gossip.PERFECT, gossip.Walk(), colour="#9aa5b1"),
    Case(4140, "one row", gossip.PERFECT),
    Case(4140, "one row, extreme", gossip.EXTREME, style="--"),
    Case(4140, "walks", gossip.PERFECT, gossip.Walk(), colour="#9aa5b1"),
)


class Split(NamedTuple):
    """Training and test rows, standardised; targets are 0 or 1."""

    x: Tensor  # (4140, 57)
    y: Tensor
    test_x: Tensor  # (461, 57)
    test_y: Tensor


class Curve(NamedTuple):
    """The measurements of one run."""

    errors: list[float]  # at POINTS
    voted: float
    alike: float
    sent: int
    seconds: float


def split(raw: np.ndarray[Any, np.dtype[np.float64]], seed: int) -> Split:
    rows = rng.generator(seed, "split").permutation(raw)
    x, y = rows[:, :-1], rows[:, -1]
    x = (x - x[:TRAIN].mean(0)) / x[:TRAIN].std(0)
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    return Split(x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:])


def learn(case: Case, data: Split, seed: int) -> Curve:
    began = process_time()
    places = np.array_split(np.arange(TRAIN), case.peers)
    shards = gossip.Shards.of([(data.x[own].numpy(), data.y[own].numpy()) for own in places])
    learning = gossip.GossipLearning(PEGASOS, case.create, steps=case.steps, cache=10)
    engine = gossip.Gossip(learning, shards, case.network, seed=seed)
    sample = torch.from_numpy(rng.generator(seed, "sample").permutation(case.peers)[:100])
    errors = []
    for cycle, run in enumerate(islice(engine.cycles(engine.init()), CYCLES), 1):
        if cycle in POINTS:
            errors.append(float(gossip.error(run, data.test_x, data.test_y, sample).mean()))
    voted = float(gossip.voted_error(run, data.test_x, data.test_y, sample).mean())
    return Curve(
        errors, voted, gossip.similarity(run), int(run.tally[:, gossip.SENT].sum()), process_time() - began
    )


def sequential(data: Split, seed: int, runs: int = 10) -> tuple[list[float], float]:
    """Mean errors of sequential Pegasos, after POINTS rows and at the end."""
    shards = gossip.Shards.of([(data.x.numpy(), data.y.numpy())])
    who, below = np.arange(runs), np.full(runs, TRAIN)
    w, errors = torch.zeros(runs, shards.x.shape[1]), []
    for t in range(1, ITERATIONS + 1):
        row = torch.from_numpy(rng.integers(seed, "sequential", who, t, 1, below))[:, 0]
        w = PEGASOS(w, torch.full((runs,), t), shards.x[row], shards.y[row])
        if t in POINTS:
            errors.append(float(wrong(w, data.test_x, data.test_y).mean()))
    return errors, float(wrong(w, data.test_x, data.test_y).mean())


def spread(values: Sequence[float]) -> str:
    return f"{mean(values):.3f}" + (f" +-{stdev(values):.3f}" if len(values) > 1 else "")


def plot(
    path: Path, curves: dict[Case, list[Curve]], alone: Sequence[tuple[list[float], float]], seeds: int
) -> None:
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "gossipfl"  # the same plot gives the same file
    sizes = sorted({case.peers for case in curves})
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    panels: Any = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axes, peers in zip(panels, sizes, strict=True):
        for case, runs in curves.items():
            if case.peers == peers:
                errors = np.array([run.errors for run in runs])
                axes.plot(POINTS, errors.mean(0), case.style, color=case.colour, label=case.name)
                axes.fill_between(POINTS, errors.min(0), errors.max(0), color=case.colour, alpha=0.12, lw=0)
        single = np.array([errors for errors, _ in alone]).mean(0)
        axes.plot(POINTS, single, ":", color="#cf222e", label="sequential Pegasos, one row a cycle")
        axes.axhline(
            mean(end for _, end in alone), color="#cf222e", lw=0.8, label="the same, after 20,000 rows"
        )
        axes.set(
            xscale="log",
            xlabel="cycles",
            title=f"Spambase, {peers:,} peers",
            xlim=(1, CYCLES),
            ylim=(0, 0.42),
        )
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(f"0-1 error on test rows, {seeds} seeds: mean and range")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


@torch.inference_mode()  # as a simulation learns
def cost() -> float:
    """CPU seconds of one cycle of one peer in the simulator."""
    made = study(load(EXAMPLE, ["topology.graph=regular:100:4", "algorithm.local_steps=1", "data.test=0"]))
    session = Session(made, tables(made), range(len(made.names)), Simulated(made))
    run, times = session.outcome.run, []
    for _ in range(6):  # the first one is a warm-up
        began = process_time()
        for _ in range(20):
            run = session.engine.step(run)
        times.append(process_time() - began)
    return min(times[1:]) / 20 / len(made.names)


def main() -> None:
    words = argparse.ArgumentParser(description="Gossip learning on Spambase")
    words.add_argument("--data", default=os.environ.get("GOSSIPFL_DATA"), help="holds spambase/spambase.data")
    words.add_argument("--seeds", type=int, default=5)
    words.add_argument("--plot", type=Path)
    words.add_argument("--cost", action="store_true", help="of a peer's cycle in the simulator")
    asked = words.parse_args()
    if asked.cost:
        torch.set_num_threads(1)
        spent = 1e6 * cost()
        print(f"{spent:.1f} us of CPU for a peer's cycle   aim {AIM}: {'met' if spent <= AIM else 'MISSED'}")
        return
    file = Path(asked.data or ".", "spambase", "spambase.data")
    if not file.is_file():
        sys.exit(f"There is no {file}: set the folder of the data with --data, or in GOSSIPFL_DATA")
    torch.set_num_threads(1)
    raw = np.loadtxt(file, delimiter=",")
    splits = [split(raw, seed) for seed in range(asked.seeds)]
    alone = [sequential(data, seed) for seed, data in enumerate(splits)]
    ends = [end for _, end in alone]
    print(f"sequential Pegasos, {ITERATIONS:,} rows: error {spread(ends)} over {asked.seeds} seeds\n")
    head = " ".join(f"{f'cycle {cycle}':>9}" for cycle in SHOWN[:-1])
    print(
        f"{'peers':>5}  {'':18} {head} {f'cycle {CYCLES}':>13}  {'less sequential':>15}  {'voted':>13}  {'alike':>5}  "
        f"{'sent':>9}  {'CPU s':>5}"
    )
    curves: dict[Case, list[Curve]] = {}
    for case in CASES:
        runs = curves[case] = [learn(case, data, seed) for seed, data in enumerate(splits)]
        at = {cycle: [run.errors[POINTS.index(cycle)] for run in runs] for cycle in SHOWN}
        less = [run.errors[-1] - end for run, end in zip(runs, ends, strict=True)]
        print(
            f"{case.peers:>5}  {case.name:18} {' '.join(f'{mean(at[cycle]):>9.3f}' for cycle in SHOWN[:-1])} "
            f"{spread(at[CYCLES]):>13}  {spread(less):>15}  {spread([run.voted for run in runs]):>13}  "
            f"{mean(run.alike for run in runs):>5.3f}  {mean(run.sent for run in runs):>9,.0f}  "
            f"{mean(run.seconds for run in runs):>5.1f}",
            flush=True,
        )
    if asked.plot:
        plot(asked.plot, curves, alone, asked.seeds)


if __name__ == "__main__":
    main()
