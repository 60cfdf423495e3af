"""What each exact method needs to reach the pooled optimum: exchanges, bytes and seconds; must not know how methods work.

    python benchmarks/methods.py [--l2 0.1] [--to 1e-8] [--methods newton,extra] [--simulate]

Logistic regression on scikit-learn's breast cancer data, sorted by label over 16 peers on a ring. The simulator finds the
exchange in which the farthest peer comes within `--to` of the pooled optimum (Newton's method on all rows, to rounding
error). Then 16 real peers, one process each, do as many exchanges over TCP and are measured. Both engines compute the same
numbers.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gossipfl.algorithms import ALGORITHMS
from gossipfl.config.file import parse
from gossipfl.engine import relative_distance
from gossipfl.errors import Incompatible
from gossipfl.experiment.launch.launch import run
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.learning.simulated import Simulated
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.study.make import study
from gossipfl.models import Linear, pooled_optimum
from gossipfl.runs.events import Finished

MOST = 400_000  # exchanges


def experiment(kind: str, l2: float, rounds: int, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The experiment. On a ring, gradient tracking and push-pull need steps of at most about 1/(3L)."""
    return {
        "reference": True,
        "data": {"source": "breast_cancer", "partition": {"scheme": "sorted"}, "test": 0.0},
        "topology": {"graph": "ring:16"},
        "model": {"kind": "logistic", "l2": l2},
        "algorithm": {"kind": kind},
        "stop": {"rounds": rounds},
        "peers": {"report": rounds},
        **extra,
    }


def exchanges(raw: dict[str, Any], to: float) -> int | None:
    """The exchange after which all peers are within `to` of the optimum for the first time; None: never."""
    made = study(parse(raw))
    session = Session(made, tables(made), range(len(made.names)), Simulated(made))
    problem = session.prepared.problem
    assert isinstance(problem, Linear)
    optimum = pooled_optimum(problem)
    for outcome in session.engine.rounds(session.outcome.run):
        distance = float(relative_distance(outcome.state.x, optimum[None]).max())
        if distance <= to:
            return int(outcome.round)
        if outcome.round >= MOST or not distance < 1e6:
            return None
    raise AssertionError


def measured(raw: dict[str, Any]) -> Mapping[str, Any]:
    """The summary of a run with real peers."""
    with tempfile.TemporaryDirectory() as folder:
        for event in run(parse(raw), Path(folder) / "run"):
            if isinstance(event, Finished):
                return event.summary
    raise SystemExit("the run ended early")


def cases(names: list[str]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Triples (name in the table, kind, further settings)."""
    found: list[tuple[str, str, Mapping[str, Any]]] = [(name, name, {}) for name in names]
    if "gradient-tracking" in names:
        beer = {"channel": {"compress": "top-k", "keep": 0.1}}
        found.append(("BEER, top 10 %", "beer", beer))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--l2", type=float, default=0.1)
    parser.add_argument("--to", type=float, default=1e-8)
    parser.add_argument("--methods", default=",".join(n for n, m in ALGORITHMS.items() if m.exact))
    parser.add_argument("--simulate", action="store_true", help="count exchanges only")
    told = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"logistic regression, breast cancer sorted by label over ring:16, l2 = {told.l2:g}, to {told.to:g}\n"
    )
    print(f"{'method':18} {'exchanges':>9} {'bytes/peer':>12} {'seconds':>8} {'ms/round':>8}  distance")
    for title, kind, extra in cases(told.methods.split(",")):
        try:
            count = exchanges(experiment(kind, told.l2, MOST, extra), told.to)
        except Incompatible as why:
            print(f"{title:18} refused: {why}")
            continue
        if count is None:
            print(f"{title:18} {'-':>9}", flush=True)
            continue
        if told.simulate:
            print(f"{title:18} {count:>9,}", flush=True)
            continue
        summary = measured(experiment(kind, told.l2, count, extra))
        seconds = summary["seconds"]["learning"]
        print(
            f"{title:18} {count:>9,} {summary['bytes_sent'] / 16:>12,.0f} {seconds:>8.2f} "
            f"{1000 * seconds / count:>8.2f}  {summary['distance_to_optimum']:.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
