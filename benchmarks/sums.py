"""What sums along a tree cost beside exact averages, and whole runs that end with a certificate; must not know how they work.

    python benchmarks/sums.py [--graphs ring:16,line:50] [--peers] [--l1] [--wide [--short] [--only rows]]

First one sum over all peers on each graph. Then logistic regression on scikit-learn's breast cancer data, sorted by label,
l2 = 1e-3, by Newton's method until the peers' certificate is at most 1e-12: exchanges, with those of the agreement, beside
their limits, and the true distance to the pooled optimum, which is to be at most 1e-11. `--peers` runs up to 64 real peers,
too, and compares the digests of their models with the simulator's. `--l1` runs lasso, elastic net and logistic regression with
l1 over torus:4x4, and takes the CPU time of the slowest step. `--wide` runs L-BFGS on models with many parameters over
er:20:0.2, to 1e-8.

The exit status is 1 if a limit was missed.
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import networkx as nx
import numpy as np
import torch
from safetensors.torch import load_file
from scipy import sparse
from sklearn.datasets import dump_svmlight_file

from gossipfl import topology
from gossipfl.algorithms import Consensus
from gossipfl.algorithms.sums import DampedNewton
from gossipfl.algorithms.sums.newton import Stepping
from gossipfl.config.file import parse
from gossipfl.experiment.evaluation.finish import judge
from gossipfl.experiment.launch.launch import run
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.learning.simulated import Simulated
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.study.make import study
from gossipfl.mixing import Average, Mixing, Sum
from gossipfl.simulator import Simulator
from gossipfl.topology import averaging, cycle, tree

LIMITS = {
    "ring:16": 210, "torus:4x4": None, "hypercube:4": None, "star:50": 30, "regular:64:4": 140, "er:50:0.12": 85, "ba:50:2": 85,
    "ws:100:4:0.1": 170, "barbell": None, "line:50": 660,
}  # fmt: skip
KEPT = {"ring:16": 100}  # exchanges by exact averages, besides the agreement
ENDS = 1e-12, 1e-11  # the certificate, and the true distance, at most
WIDE = 1e-8, 1e-8  # the same of models with many parameters
L1 = 48  # exchanges of a run with l1
FINE = 1e-10, 1e-9  # of runs with l1: the certificate, and the true distance
MOMENT = 50.0  # milliseconds of CPU of a step with l1
NUMBERS = 2 + 5 + 31 + 31 * 32 // 2  # of a sum of Newton's method with 31 parameters
DIGESTS = 64  # peers up to which real ones run


def graph(spec: str) -> nx.Graph:
    if spec == "barbell":
        return nx.relabel_nodes(nx.barbell_graph(10, 5), str)
    return topology.load(spec, seed=0)


def one_sum(spec: str) -> bool:
    """Exchanges, kB that a peer sends and rounding error of one sum, by exact average and by tree; whether they are few."""
    g = graph(spec)
    exact, made = averaging(g), tree(g)
    x = torch.randn(len(g), NUMBERS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = []
    for rounds, mixing, share in (
        (exact.rounds(g), Mixing(Average()), 1),
        (made.rounds(), Mixing(Sum()), len(g)),
    ):
        simulator = Simulator(Consensus(), None, cycle(rounds), mixing)
        state = simulator.init(x)
        for _ in rounds:
            state = simulator.step(state)
        error = float((state.state.x / share - x.mean(0)).abs().max())
        found.append((len(rounds), simulator.bytes_sent / len(g) / 1000, error))
    radius = 2 * nx.radius(g)
    (many, heavy, rough), (few, light, fine) = found
    print(
        f"{spec:14} {many:5} {few:5} {radius:9} {heavy:10,.1f} {light:8.1f} {rough:9.0e} {fine:8.0e}"
        + "  more than 2 x radius" * (few > radius),
        flush=True,
    )
    return bool(few <= radius)


class Ended(NamedTuple):
    """A simulated run."""

    exchanges: int  # with those of the agreement
    agreement: int  # of these
    summary: dict[str, Any]
    digest: str  # of the model


def ended(raw: dict[str, Any]) -> Ended:
    made = study(parse(raw))
    session = Session(made, tables(made), range(len(made.names)), Simulated(made))
    for _ in session:
        pass
    judged = judge(made, session.learned(range(len(made.names)), 0.0))
    agreement = session.agreement.exchanges
    return Ended(agreement + session.outcome.rounds, agreement, judged.summary, digest(judged.mean))


def digest(x: torch.Tensor) -> str:
    return hashlib.sha256(x.numpy().tobytes()).hexdigest()[:12]


def real(raw: dict[str, Any]) -> str:
    """The digest of the model that real peers learn, and how many of them hold it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        for _ in run(parse(raw), out):
            pass
        model = digest(load_file(out / "model.safetensors")["x"])
        held = [digest(load_file(file)["x"]) == model for file in out.glob("peers/*/model.safetensors")]
    return f"{model} at {sum(held)} of {len(held)} real peers"


def breast_cancer(spec: str, averaging: str) -> dict[str, Any]:
    return {
        "reference": True,
        "data": {"source": "breast_cancer", "partition": {"scheme": "sorted"}, "test": 0.0},
        "topology": {"graph": spec},
        "model": {"kind": "logistic", "l2": 1e-3},
        "algorithm": {"kind": "newton", "averaging": averaging},
        "stop": {"rounds": 20_000, "tolerance": 1e-12},
    }


def meets(
    name: str, found: Ended, limit: int | None, ends: tuple[float, float] | None, more: str = ""
) -> bool:
    """Print a run beside its limits, for exchanges and for certificate and true distance, and return whether it meets them."""
    summary = found.summary
    certificate, true = summary["certificate"], summary["distance_to_optimum"]
    predicted = "-" if certificate is None else f"{certificate:.0e}"
    sent = summary["bytes_sent"] / summary["peers"] / 1000
    missed = [f"exchanges: {limit}"] * (limit is not None and found.exchanges > limit)
    if ends and not (certificate is not None and certificate <= ends[0]):
        missed.append(f"certificate: {ends[0]:g}")
    if ends and not true <= ends[1]:
        missed.append(f"true: {ends[1]:g}")
    print(
        f"{name:34} {found.exchanges:7,} {limit or '':>7} {predicted:>11} {true:9.0e} {sent:10,.1f}  "
        f"{found.digest}{more}{'  MISSED ' * bool(missed)}{', '.join(missed)}",
        flush=True,
    )
    return not missed


HEAD = f"{'':34} {'exchanges':>7} {'limit':>5} {'certificate':>11} {'true':>9} {'kB a peer':>10}  digest"


def newton(spec: str, live: bool) -> Iterator[bool]:
    """Whole runs on one graph."""
    by_tree = ended(breast_cancer(spec, "tree"))
    yield meets(f"{spec}, tree", by_tree, LIMITS[spec], ENDS)
    if averaging(graph(spec)).nodes and len(averaging(graph(spec)).nodes) < tree(graph(spec)).exchanges:
        kept = ended(breast_cancer(spec, "exact"))
        limit = KEPT[spec] + kept.agreement if spec in KEPT else None
        yield meets(f"{spec}, exact averages", kept, limit, ENDS)
    if live and len(graph(spec)) <= DIGESTS:
        held, every = real(breast_cancer(spec, "tree")), f"{len(graph(spec))} of {len(graph(spec))}"
        same = held.startswith(by_tree.digest) and every in held
        print(f"{spec}: {held}{'' if same else ', ANOTHER DIGEST'}", flush=True)
        yield same


def lagged(path: Path, rows: int = 600, lags: int = 12, seed: int = 0) -> Path:
    """A smooth series and its past, whose columns are nearly the same: the condition is above 1e4."""
    random = np.random.default_rng(seed)
    series = np.convolve(random.normal(size=rows + 60), np.hanning(32), "valid")
    x = np.column_stack([series[lag : lag + rows] for lag in range(lags)])
    y = x @ random.normal(size=lags) + random.normal(size=rows)
    names = [*(f"lag {lag}" for lag in range(lags)), "y"]
    np.savetxt(path, np.column_stack((x, y)), "%.17g", delimiter=",", header=",".join(names), comments="")
    return path


@contextmanager
def timed() -> Iterator[list[float]]:
    """The milliseconds of CPU of each step of Newton's method meanwhile."""
    took, step = [0.0], DampedNewton.update

    def update(self: DampedNewton, s: Stepping, total: torch.Tensor) -> Stepping:
        began = time.process_time()
        after = step(self, s, total)
        took.append(1000 * (time.process_time() - began))
        return after

    with mock.patch.object(DampedNewton, "update", update):
        yield took


def with_l1(path: Path) -> Iterator[bool]:
    """Lasso, elastic net and logistic regression over torus:4x4."""
    made = lagged(path / "lagged.csv")
    lasso = [
        (kind, l1, l2)
        for l2 in (0.0, 0.1)
        for kind in ("diabetes", "lagged")
        for l1 in (0.01, 0.1, 1.0, 5.0, 60.0)
    ]
    for source, l1, l2 in (*lasso, *(("breast_cancer", l1, 0.0) for l1 in (0.5, 0.1, 0.01, 1e-3, 1e-4))):
        linear = source != "breast_cancer"
        data = {"source": str(made), "target": "y"} if source == "lagged" else {"source": source}
        raw = {
            "reference": True,
            "data": {**data, "partition": {"scheme": "sorted"}, "test": 0.0},
            "topology": {"graph": "torus:4x4"},
            "model": {"kind": "linear" if linear else "logistic", "l1": l1, "l2": l2},
            "algorithm": {"kind": "newton"},
            "stop": {"rounds": 2000, "tolerance": 1e-10},
        }
        with timed() as took:
            found = ended(raw)
        yield meets(
            f"{source}, l1 = {l1:g}, l2 = {l2:g}",
            found,
            L1 if linear else None,
            FINE,
            f" {max(took):6.1f} ms",
        )
        yield max(took) <= MOMENT


def one_hot(path: Path, rows: int = 4000, fields: int = 20, levels: int = 1000, seed: int = 0) -> Path:
    """Rows with one column of each field, by Zipf's law; every column is in some row."""
    random = np.random.default_rng(seed)
    shares = 1 / np.arange(1, levels + 1)
    columns = np.empty((rows, fields), dtype=np.int32)
    for field in range(fields):
        drawn = random.choice(levels, rows, p=shares / shares.sum())
        for level in np.setdiff1d(np.arange(levels), drawn):  # in place of one that occurs again
            drawn[random.choice(np.flatnonzero(np.bincount(drawn, minlength=levels)[drawn] > 1))] = level
        columns[:, field] = drawn + field * levels
    x = sparse.csr_array(
        (np.ones(rows * fields), columns.ravel(), np.arange(0, rows * fields + 1, fields, dtype=np.int32)),
        (rows, fields * levels),
    )
    margins = x @ random.normal(size=fields * levels)
    y = random.random(rows) < 1 / (1 + np.exp(-margins))
    dump_svmlight_file(x, y.astype(int), str(path))
    return path


def wide(kind: str, l1: float, l2: float, path: Path, rounds: int = 20_000) -> dict[str, Any]:
    digits = {"source": "digits", "test": 0.0}
    sparse = {"source": str(path), "standardise": "none", "test": 0.0}
    return {
        "reference": True,
        "data": digits if path.name == "digits" else sparse,
        "topology": {"graph": "er:20:0.2"},
        "model": {"kind": "softmax" if path.name == "digits" else "logistic", "l1": l1, "l2": l2},
        "algorithm": {"kind": kind},
        "stop": {"rounds": rounds, "tolerance": 1e-8},
    }


def many(only: str, short: bool) -> Iterator[bool]:
    """L-BFGS on models with many parameters, and first-order methods beside it."""
    with tempfile.TemporaryDirectory() as folder:
        csr = one_hot(Path(folder) / "rows.svm")
        for path, l1, l2, limit in (
            (Path("digits"), 0.0, 1e-3, 700), (Path("digits"), 0.0, 1e-5, 1500), (csr, 0.0, 1e-3, 450),
            (csr, 0.0, 1e-5, 1500), (csr, 1e-3, 0.0, 2000),
        ):  # fmt: skip
            name = f"{path.stem}, {f'l1 = {l1:g}' if l1 else f'l2 = {l2:g}'}"
            if only not in name:
                continue
            yield meets(f"{name}, lbfgs", ended(wide("lbfgs", l1, l2, path)), limit, WIDE)
            if not short:
                first = "nids" if l1 else "exact-diffusion"
                meets(f"{name}, {first}", ended(wide(first, l1, l2, path, 5000)), None, None)


def by_newton(specs: list[str], live: bool) -> Iterator[bool]:
    """One sum on each graph, then whole runs."""
    print(
        f"{'one sum':14} {'exact':>5} {'tree':>5} {'2 radius':>9} {'kB: exact':>10} {'tree':>8} {'rounding':>9} {'tree':>8}"
    )
    for spec in specs:
        yield one_sum(spec)
    print(f"\n{HEAD}")
    for spec in specs:
        if spec != "barbell":
            yield from newton(spec, live)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--graphs", default=",".join(LIMITS))
    parser.add_argument("--peers", action="store_true", help="real peers, too")
    parser.add_argument(
        "--l1", action="store_true", help="lasso, elastic net and logistic regression with l1, instead"
    )
    parser.add_argument("--wide", action="store_true", help="L-BFGS on models with many parameters, instead")
    parser.add_argument("--short", action="store_true", help="with --wide: without first-order methods")
    parser.add_argument("--only", default="", help="with --wide: the problems whose name has this word")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.wide or asked.l1:
        print(HEAD)
    if asked.wide:
        results = list(many(asked.only, asked.short))
    elif asked.l1:
        with tempfile.TemporaryDirectory() as folder:
            results = list(with_l1(Path(folder)))
    else:
        results = list(by_newton(asked.graphs.split(","), asked.peers))
    print("all within their limits" if all(results) else f"{results.count(False)} limits missed")
    raise SystemExit(not all(results))


if __name__ == "__main__":
    main()
