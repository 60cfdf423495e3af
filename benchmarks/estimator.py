"""What an estimator costs, and how good it is beside scikit-learn; must not know how the peers learn.

    python benchmarks/estimator.py

Fits 10,000 rows of 30 features over 16 peers twice in one process. Imports are apart: a program pays them once, whatever it
fits. The first fit also pays for what torch and scipy prepare when they are first used. Then 5-fold cross-validation on breast
cancer, in a pipeline with StandardScaler, beside LogisticRegression. Ends with code 1 where a limit is missed.
"""

import sys
from time import perf_counter

import numpy as np

FIRST_S, SECOND_S, POINTS = 1.0, 0.3, 0.5
ROWS, FEATURES, PEERS = 10_000, 30, 16


def of_time() -> bool:
    began = perf_counter()
    from gossipfl import GossipClassifier

    print(f"imports: {perf_counter() - began:.2f} s", flush=True)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, FEATURES))
    y = X @ rng.normal(size=FEATURES) + rng.normal(size=ROWS) > 0
    fine = True
    for which, limit in (("first", FIRST_S), ("second", SECOND_S)):
        began = perf_counter()
        model = GossipClassifier(peers=PEERS).fit(X, y)
        seconds = perf_counter() - began
        fine = fine and seconds <= limit
        print(
            f"{which} fit of {ROWS:,} x {FEATURES} over {PEERS} peers: {seconds:.2f} s (limit {limit:g}), certificate "
            f"{model.certificate_:.0e}",
            flush=True,
        )
    return fine


def of_score() -> bool:
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from gossipfl import GossipClassifier

    X, y = load_breast_cancer(return_X_y=True)
    ours, theirs = (
        100 * cross_val_score(make_pipeline(StandardScaler(), model), X, y).mean()
        for model in (GossipClassifier(peers=PEERS), LogisticRegression())
    )
    apart = abs(ours - theirs)
    print(
        f"5-fold accuracy on breast cancer: {ours:.2f} %, LogisticRegression {theirs:.2f} %: {apart:.2f} points apart "
        f"(limit {POINTS:g})"
    )
    return bool(apart <= POINTS)


def main() -> None:
    fine = [of_time(), of_score()]
    if not all(fine):
        sys.exit(1)


if __name__ == "__main__":
    main()
