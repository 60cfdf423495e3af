"""How well peers learn while they come and go and messages get lost, and afterwards; must not know the engine's internals.

1,000 peers on a random 6-regular graph. Each has 20 rows of 10 Gaussian features, sorted by target, so that the peers' data
differ. Logistic model, l2 = 0.1. In the first rounds 30 % of the peers are away at any time, in sessions of 50 rounds, and 10 %
of the messages are lost in one direction. Then all peers are present and no message is lost. The error is the relative distance
to the pooled optimum of all data, for the farthest and the median of the present peers. "without accounts" is exact diffusion
that gives nothing back.

    python benchmarks/churn.py [--peers 1000] [--rough 1000] [--quiet 1000] [--plot docs/faults.svg]

Steps are 1/L, for gradient tracking 0.4/L. OPAPC uses mu = l2 and chi = 8.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from time import process_time
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from gossipfl.algorithms import ALGORITHMS, Account, Algorithm, ExactDiffusion, Ingredients, made
from gossipfl.engine import relative_distance
from gossipfl.mixing import Mixing
from gossipfl.models import LOSSES, Linear, pooled_optimum
from gossipfl.simulator import Simulator
from gossipfl.topology import WEIGHTS, Topology, churn, load, lossy, static

ROWS, FEATURES, DEGREE, L2 = 20, 10, 6, 0.1
ONLINE, SESSION, LOSS = 0.7, 50, 0.1
AIM = 1e-8
EVERY = 4  # rounds between two points of the plot


class Bare(ExactDiffusion):
    """Exact diffusion without accounts."""

    accounts: ClassVar[Mapping[str, Account]] = {}


class Case(NamedTuple):
    """One curve."""

    name: str
    kind: str
    gamma: float
    colour: str
    style: str = "-"
    exact: bool = True
    stride: float = 1.0


CASES = (
    Case("exact diffusion", "exact-diffusion", 0.5, "#1f6feb"),
    Case("D2, gamma 0.8", "d2", 0.8, "#8250df"),
    Case("EXTRA", "extra", 0.5, "#2da44e"),
    Case("OPAPC", "opapc", 0.5, "#bf8700"),
    Case("gradient tracking", "gradient-tracking", 1.0, "#cf222e", stride=0.4),
    Case("exact diffusion without accounts", "", 0.5, "#1f6feb", "--", False),
    Case("D-PSGD", "d-psgd", 1.0, "#9aa5b1", "--", False),
)


class Curve(NamedTuple):
    """The errors after each round, for the farthest and the median of the present peers, and CPU seconds."""

    farthest: list[float]
    median: list[float]
    seconds: float


def problem(peers: int) -> Linear:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(peers * ROWS, FEATURES))
    z = x @ draw.normal(size=FEATURES) + draw.normal(size=len(x))
    order = np.argsort(z, kind="stable").reshape(peers, ROWS)
    return Linear([(x[own], (z[own] > 0).astype(float)) for own in order], LOSSES["logistic"](), l2=L2)


def schedule(peers: int, rough: int) -> Topology:
    """Links with faults for `rough` rounds, then without."""
    converged = static(WEIGHTS["metropolis"](load(f"regular:{peers}:{DEGREE}")))
    bad = lossy(churn(converged, peers, ONLINE, SESSION, 1), LOSS, 2)
    return lambda round: bad(round) if round < rough else converged(round)


def learn(case: Case, local: Linear, links: Topology, rounds: int) -> Curve:
    step = case.stride / float(local.smoothness().max())
    algorithm: Algorithm = made(case.kind, Ingredients(step, mu=L2, chi=8)) if case.kind else Bare(step)
    usual = ALGORITHMS[case.kind or "exact-diffusion"]
    engine = Simulator(algorithm, local, links, Mixing(usual.aggregator, gamma=case.gamma))
    run = engine.init(torch.zeros(len(local.share), local.width, dtype=torch.float64))
    optimum, curve, spent = pooled_optimum(local)[None], Curve([], [], 0.0), 0.0
    for round in range(rounds):
        began = process_time()
        run = engine.step(run)
        spent += process_time() - began
        present = links(round).present
        found = relative_distance(
            run.state.x if present is None else run.state.x[torch.from_numpy(present)], optimum
        )
        curve.farthest.append(float(found.max()))
        curve.median.append(float(found.median()))
    return curve._replace(seconds=spent)


def table(curves: Mapping[Case, Curve], rough: int) -> None:
    ends = [
        rough // 2,
        rough,
        *(rough + k for k in (100, 200, 400)),
        len(next(iter(curves.values())).farthest),
    ]
    print(
        f"{'':34}"
        + "".join(f"{f'round {k}':>12}" for k in ends)
        + f"{'median then':>13}{'ms a round':>12}   aim"
    )
    for case, curve in curves.items():
        last, then = curve.farthest[-1], curve.median[rough - 1]
        aim = ("met" if last <= AIM else "MISSED") if case.exact else "none"
        cells = "".join(f"{curve.farthest[k - 1]:>12.1e}" for k in ends)
        print(f"{case.name:34}{cells}{then:>13.1e}{1000 * curve.seconds / len(curve.median):>12.1f}   {aim}")
    print(f'"median then": the median peer in round {rough}; other columns: the farthest peer')


def plot(path: Path, curves: Mapping[Case, Curve], peers: int, rough: int) -> None:
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "gossipfl"  # the same plot gives the same file
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    panels: Any = figure.subplots(1, 2, sharey=True)
    for axes, kind in zip(panels, ("farthest", "median"), strict=True):
        for case, curve in curves.items():
            errors = getattr(curve, kind)
            axes.plot(
                range(1, len(errors) + 1, EVERY),
                errors[::EVERY],
                case.style,
                color=case.colour,
                label=case.name,
                lw=1.2,
            )
        axes.axvspan(0, rough, color="#cf222e", alpha=0.06, lw=0)
        axes.text(rough / 2, 2e-14, f"{1 - ONLINE:.0%} away, {LOSS:.0%} lost", ha="center", fontsize=9)
        axes.set(
            yscale="log", xlabel="rounds", title=f"the {kind} of {peers:,} peers", xlim=(0, len(errors)), ylim=(1e-14, 10),
        )  # fmt: skip
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("distance to the optimum of all peers' data")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    words = argparse.ArgumentParser(description="Learning while peers come and go and messages get lost")
    words.add_argument("--peers", type=int, default=1000)
    words.add_argument("--rough", type=int, default=1000, help="rounds with faults")
    words.add_argument("--quiet", type=int, default=1000, help="rounds without, afterwards")
    words.add_argument("--plot", type=Path)
    asked = words.parse_args()
    torch.set_num_threads(1)
    local, links = problem(asked.peers), schedule(asked.peers, asked.rough)
    print(
        f"{asked.peers:,} peers, {asked.rough:,} rounds with faults, then {asked.quiet:,} without", flush=True
    )
    curves = {case: learn(case, local, links, asked.rough + asked.quiet) for case in CASES}
    table(curves, asked.rough)
    if asked.plot:
        plot(asked.plot, curves, asked.peers, asked.rough)


if __name__ == "__main__":
    main()
