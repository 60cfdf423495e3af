"""How many bytes compression saves until the pooled optimum is reached; must not know how numbers are packed.

    python benchmarks/compression.py [--to 1e-4]

Gradient tracking with error feedback (BEER) for each compressor, compared with no compression; then D-PSGD with top-k, with
feedback (CHOCO-SGD) and without. Logistic regression on scikit-learn's breast cancer data, l2 = 0.1, sorted by label over 16
peers on a ring. The simulator counts the bytes that real peers would send. For each compressor the table shows the gamma, from
a small grid, that needs the fewest bytes.
"""

import argparse
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from gossipfl.config.file import parse
from gossipfl.engine import relative_distance
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.learning.simulated import Simulated
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.study.make import study
from gossipfl.mixing import COMPRESSORS
from gossipfl.models import Linear, pooled_optimum

GAMMAS = (0.1, 0.3, 0.6, 1.0)
MOST = 20_000  # rounds


class Way(NamedTuple):
    """A run's final distance to the optimum, its rounds, and the bytes that each peer sent."""

    distance: float
    rounds: int
    bytes: float


def way(kind: str, channel: Mapping[str, Any], to: float) -> Way:
    """Learn until the farthest peer is within `to` of the optimum, at most MOST rounds."""
    raw = {
        "data": {"source": "breast_cancer", "partition": {"scheme": "sorted"}, "test": 0.0},
        "topology": {"graph": "ring:16"},
        "model": {"kind": "logistic", "l2": 0.1},
        "algorithm": {"kind": kind},
        "channel": channel,
    }
    made = study(parse(raw))
    session = Session(made, tables(made), range(len(made.names)), Simulated(made))
    problem = session.prepared.problem
    assert isinstance(problem, Linear)
    optimum, distance = pooled_optimum(problem)[None], float("inf")
    for run in session.engine.rounds(session.outcome.run):
        distance = float(relative_distance(run.state.x, optimum).max())
        if distance <= to or not distance < 1e6 or run.round == MOST:
            break
    return Way(distance, run.round, session.engine.bytes_sent / len(made.names))


def best(kind: str, channel: Mapping[str, Any], to: float) -> tuple[float, Way]:
    """The gamma that reaches the target with the fewest bytes; if none does, the one that comes closest."""
    found = [(gamma, way(kind, {**channel, "gamma": gamma}, to)) for gamma in GAMMAS]
    met = [one for one in found if one[1].distance <= to]
    if met:
        return min(met, key=lambda one: one[1].bytes)
    return min(found, key=lambda one: one[1].distance)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", type=float, default=1e-4)
    told = parser.parse_args()
    torch.set_num_threads(1)
    whole = way("gradient-tracking", {"compress": "none"}, told.to)
    print(
        f"{'to ' + format(told.to, '.0e'):34} {'gamma':>5} {'rounds':>7} {'bytes/peer':>11} {'relative':>9}  ends at"
    )
    print(
        f"{'gradient tracking':34} {1.0:>5} {whole.rounds:>7,} {whole.bytes:>11,.0f} {1:>9.2f}  {whole.distance:.1e}"
    )
    cases = [(f"BEER, {name}", "beer", {"compress": name}) for name in COMPRESSORS if name != "low-rank"]
    cases += [
        ("CHOCO-SGD, top-k", "choco-sgd", {"compress": "top-k"}),
        ("D-PSGD, top-k without feedback", "d-psgd", {"compress": "top-k", "feedback": False}),
    ]
    for title, kind, channel in cases:
        gamma, found = best(kind, channel, told.to)
        figures = f"{'never':>7} {'':21}"
        if found.distance <= told.to:
            figures = f"{found.rounds:>7,} {found.bytes:>11,.0f} {found.bytes / whole.bytes:>9.2f}"
        print(f"{title:34} {gamma:>5} {figures}  {found.distance:.1e}", flush=True)


if __name__ == "__main__":
    main()
