"""Accuracy of differentially private sums on Spambase, half of the peers colluding, over splits with seeds 0, 1, ...

Words and signs are log(1 + x), a public transform. Means and deviations are paid from the budget, by declared ranges: 20 % for
words, 10,000 for runs of capitals. The noise is that of the machine: figures differ from run to run.

  python benchmarks/privacy.py FOLDER --splits 10

FOLDER has spambase/spambase.data; the default is the environment variable GOSSIPFL_DATA.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from gossipfl.config.file import parse
from gossipfl.experiment.evaluation.finish import judge
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.learning.train import train
from gossipfl.experiment.study.make import study

WORDS, RUNS = 54, 3  # columns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=os.environ.get("GOSSIPFL_DATA"))
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--peers", type=int, default=16)
    parser.add_argument("--epsilon", type=float, nargs="*", default=[0.5, 1.0])
    asked = parser.parse_args()
    if asked.folder is None:
        parser.error("give the folder of the data, or set GOSSIPFL_DATA")
    rows = np.loadtxt(Path(asked.folder) / "spambase" / "spambase.data", delimiter=",")
    names = [f"c{i}" for i in range(WORDS + RUNS)]
    most = np.log1p([20.0] * WORDS + [10_000.0] * RUNS).tolist()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.csv"
        shown = np.column_stack((np.log1p(rows[:, :-1]), rows[:, -1]))
        np.savetxt(file, shown, delimiter=",", header=",".join([*names, "spam"]), comments="")
        for epsilon in asked.epsilon:
            found = [accuracy(file, dict(zip(names, most, strict=True)), epsilon, asked.peers, seed)
                     for seed in range(asked.splits)]  # fmt: skip
            print(
                f"epsilon {epsilon:g}: {np.mean(found):.4f}, sd {np.std(found):.4f}, {asked.splits} splits",
                flush=True,
            )


def accuracy(file: Path, most: dict[str, float], epsilon: float, peers: int, seed: int) -> float:
    """On the test rows of all peers."""
    made = study(parse({
        "seed": seed,
        "data": {
            "source": str(file), "target": "spam", "classes": ["0", "1"],
            "bounds": {name: [0.0, high] for name, high in most.items()},
        },
        "topology": {"graph": f"ring:{peers}"},
        "model": {"kind": "logistic", "l2": 1e-3},
        "privacy": {"sums": "private", "epsilon": epsilon},
    }))  # fmt: skip
    found: float = judge(made, train(made, tables(made))).summary["test"]["all"]["accuracy"]
    return found


if __name__ == "__main__":
    main()
