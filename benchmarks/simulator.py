"""What a peer's round costs in the simulator, compared with the calls that every simulator needs; must not know files.

    python benchmarks/simulator.py                     # N = 100, 1,000, 10,000, 100,000
    python benchmarks/simulator.py --exact             # exact diffusion: ring:16, ring:100, regular:1000:4
    python benchmarks/simulator.py --million           # N = 1,000,000 with 8 rows each, and its memory
    python benchmarks/simulator.py --agree             # the peers of regular:N:4 agree on words; N = 2,000, 10,000

D-PSGD, logistic, 57 features and an intercept, 46 rows for each peer, a 20-regular graph, float32; each round uses all rows as
one minibatch. *bare* is a loop of the gradient's two batched products with the sigmoid between them, and the sparse product
that mixes. *simulator* is `Simulator.step`. With --exact it is exact diffusion in float64, and *bare* is the method in numpy.
They take turns in this process. CPU time is user plus system time of the whole process, on one thread unless --threads is set.
Figures are medians over the turns. With --agree it is CPU seconds of one agreement on two classes and three levels, of which
each peer has some; it exits with code 1 above a limit.
"""

import argparse
import resource
import sys
from collections.abc import Callable
from statistics import median
from time import process_time
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from gossipfl import topology
from gossipfl.algorithms import DPSGD, Algorithm, ExactDiffusion
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.mixing import Mixing
from gossipfl.models import LOSSES, Linear
from gossipfl.simulator import HeardByAll, Simulator
from gossipfl.topology import Links, static

FEATURES, DEGREE = 57, 20
RATE, RATIO = 160_000, 1.3  # aims, at 1,000 and 10,000 peers
AIMED = (1_000, 10_000)
EXACT = {"ring:16": 3.0, "ring:100": 1.8, "regular:1000:4": 1.3}  # the largest ratios
AGREEING = {2_000: 2.0, 10_000: 15.0}  # the most CPU seconds
MEMORY_GB = 2.0  # of this process, while so many agree
WORDS = ("class 0", "class 1", "town=bern", "town=oslo", "town=rome")
STEP = 0.1
SHARDS = 1_000  # different shards; peer i holds a copy of shard i mod SHARDS


class Figures(NamedTuple):
    """CPU seconds of one round of all peers, as medians over turns."""

    bare: float
    simulator: float


def graph(peers: int) -> Links:
    """A circle in random order, each peer linked with the 10 before and after it: neighbours are anywhere in memory."""
    draw = np.random.default_rng(0)
    peer = draw.permutation(peers)
    steps = np.arange(1, DEGREE // 2 + 1)
    there = (np.arange(peers)[:, None] + np.concatenate([-steps, steps])) % peers
    senders = np.empty((peers, DEGREE), np.int64)
    senders[peer] = np.sort(peer[there], axis=1)
    return Links(np.arange(peers).repeat(DEGREE), senders.ravel(), np.full(peers * DEGREE, 1 / (1 + DEGREE)))


def problem(peers: int, rows: int, dtype: torch.dtype = torch.float32) -> Linear:
    draw = np.random.default_rng(1)
    shards = [
        (draw.standard_normal((rows, FEATURES), np.float32), draw.integers(0, 2, rows).astype(np.float32))
        for _ in range(min(peers, SHARDS))
    ]
    return Linear([shards[i % SHARDS] for i in range(peers)], LOSSES["logistic"](), l2=1e-4, dtype=dtype)


def bare(links: Links, features: Tensor, width: int) -> Callable[[], None]:
    """The calls that every simulator needs, each the fastest that there is: two products, the sigmoid, the sparse product.

    numpy multiplies by a single column in a tenth to a half of the time of `torch.bmm`.
    """
    peers, rows = len(features), features.numpy()
    x = torch.zeros(peers, width)
    columns = x.view(peers, width, 1).numpy()
    heard = HeardByAll(links, x)
    heard.average(x)

    def turn() -> None:
        slopes = torch.from_numpy(np.matmul(rows, columns)).sigmoid_().numpy()
        np.matmul(slopes.swapaxes(1, 2), rows)
        heard.average(x)

    return turn


def bare_exact(links: Links, learned: Linear) -> Callable[[], None]:
    """Exact diffusion in numpy, with the products that are the fastest for one column."""
    rows, target = learned.data.full.features.numpy(), learned.data.full.target.numpy()[..., None]
    peers, each, width = rows.shape
    shape, places = (peers, peers), (links.receivers, links.senders)
    weights = sparse.csr_array((links.weights, places), shape)
    mixing = (weights + sparse.diags_array(2 - weights.sum(1))) / 2  # (I + W) / 2
    if peers <= 100:
        mixing = mixing.toarray()
    ridge = np.append(np.full(width - 1, 1e-4), 0.0)
    x, e = np.zeros((peers, width)), np.zeros((peers, width))

    def turn() -> None:
        nonlocal x, e
        slopes = (1 / (1 + np.exp(-np.matmul(rows, x[..., None]))) - target) / each
        gradient = np.matmul(slopes.swapaxes(1, 2), rows)[:, 0] + ridge * x
        phi = x - STEP * gradient + e
        x = mixing @ phi
        e += x - phi

    return turn


def simulated(links: Links, learned: Linear, algorithm: Algorithm, mixing: Mixing) -> Callable[[], None]:
    engine = Simulator(algorithm, learned, static(links), mixing)
    run = engine.init(torch.zeros(len(learned.share), learned.width, dtype=learned.penalised.dtype))

    def turn() -> None:
        nonlocal run
        run = engine.step(run)

    return turn


@torch.inference_mode()  # as a simulation learns
def seconds(turn: Callable[[], None], rounds: int) -> float:
    began = process_time()
    for _ in range(rounds):
        turn()
    return (process_time() - began) / rounds


def measure(peers: int, rows: int, turns: int) -> Figures:
    links, learned = graph(peers), problem(peers, rows)
    return in_turns(
        bare(links, learned.data.full.features, learned.width),
        simulated(links, learned, DPSGD(STEP), Mixing()),
        peers,
        turns,
    )


def measure_exact(spec: str, turns: int) -> Figures:
    graph = topology.load(spec)
    links, learned = topology.WEIGHTS["metropolis"](graph), problem(len(graph), 46, torch.float64)
    parts = bare_exact(links, learned), simulated(links, learned, ExactDiffusion(STEP), Mixing(gamma=0.5))
    return in_turns(*parts, len(graph), turns)


def in_turns(bare: Callable[[], None], simulator: Callable[[], None], peers: int, turns: int) -> Figures:
    rounds = max(1, 50_000 // peers)
    times: list[list[float]] = [[], []]
    for turn in range(turns + 1):
        for part, found in zip((bare, simulator), times, strict=True):
            taken = seconds(part, rounds)
            if turn:  # the first one is a warm-up
                found.append(taken)
    return Figures(*map(median, times))


def table(sizes: list[int], rows: int, turns: int) -> None:
    print(
        f"{rows} rows a peer, {FEATURES} features, degree {DEGREE}, float32, {torch.get_num_threads()} threads"
    )
    print(f"{'peers':>10} {'peer-rounds per CPU second':>28} {'bare':>12} {'ratio':>7}   aim", flush=True)
    for peers in sizes:
        found = measure(peers, rows, turns)
        rate, least, ratio = peers / found.simulator, peers / found.bare, found.simulator / found.bare
        aim = ""
        if peers in AIMED and rows == 46:
            met = rate >= RATE and ratio <= RATIO
            aim = f"{RATE:,} and {RATIO}: {'met' if met else 'MISSED'}"
        print(f"{peers:>10,} {rate:>28,.0f} {least:>12,.0f} {ratio:>7.2f}   {aim}", flush=True)


def exact_table(turns: int) -> None:
    print(f"exact diffusion, 46 rows a peer, {FEATURES} features, float64, {torch.get_num_threads()} threads")
    print(f"{'graph':>16} {'us a round':>11} {'bare':>7} {'ratio':>6}   aim", flush=True)
    for spec, aim in EXACT.items():
        found = measure_exact(spec, turns)
        ratio = found.simulator / found.bare
        met = f"{aim}: {'met' if ratio <= aim else 'MISSED'}"
        print(
            f"{spec:>16} {1e6 * found.simulator:>11.0f} {1e6 * found.bare:>7.0f} {ratio:>6.2f}   {met}",
            flush=True,
        )


def agreed(peers: int) -> float:
    """CPU seconds in which the peers agree on words that no peer has all of."""
    graph, draw = topology.load(f"regular:{peers}:4"), np.random.default_rng(0)
    agreement = Agreement(
        graph,
        topology.diameter(graph),
        topology.tree(graph),
        lambda algorithm, along, mixing: Simulator(algorithm, None, along, mixing),
    )
    words = [
        [word for word, has in zip(WORDS, own, strict=True) if has] for own in draw.random((peers, 5)) < 0.4
    ]
    began = process_time()
    found = agreement.union(words)
    taken = process_time() - began
    assert found == {*WORDS}
    return taken


def agree_table() -> bool:
    """Print what agreeing takes; returns whether it is within the limits."""
    met = True
    for peers, most in AGREEING.items():
        taken = agreed(peers)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        fine = taken <= most and memory <= MEMORY_GB
        met &= fine
        print(
            f"{peers:>6,} peers agree in {taken:.2f} CPU s (limit {most:g}), memory {memory:.2f} GB (limit {MEMORY_GB:g}): "
            f"{'met' if fine else 'MISSED'}",
            flush=True,
        )
    return met


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--peers", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    options.add_argument("--turns", type=int, default=7)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--exact", action="store_true")
    options.add_argument("--million", action="store_true")
    options.add_argument("--agree", action="store_true")
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.million:
        table([1_000_000], 8, min(chosen.turns, 3))
        print(
            f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB, of which the data are",
            end=" ",
        )
        print(f"{1_000_000 * 8 * (FEATURES + 2) * 4 / 2**30:.1f}")
    elif chosen.agree:
        sys.exit(not agree_table())
    elif chosen.exact:
        exact_table(chosen.turns)
    else:
        table(chosen.peers, 46, chosen.turns)


if __name__ == "__main__":
    main()
