"""The scores that peers have summed, as text; must not know how they were summed."""

from collections.abc import Mapping
from typing import Any

from gossipfl.report.tables import number

NAMED = 8  # peers that a line names
NAMES = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration": "calibration",
    "r2": "R2",
    "rmse": "RMSE",
    "deviance": "deviance",
}


def scored(scores: Mapping[str, Any]) -> tuple[str, str]:
    """Whose test rows these are, and the scores; the AUC with the largest error that counting in bins may cause."""
    whose, peers = scores["peers"], scores["of"]
    who = ", ".join(whose[:NAMED]) + (" ..." if len(whose) > NAMED else "")
    if len(whose) == peers:
        who = f"all {peers} peers, from sums" if peers > 1 else who
    else:
        who = f"{who} alone" if len(whose) == 1 else f"{who} ({len(whose)} of {peers} peers), from sums"
    parts = [
        f"{what} {number(scores[name])}"
        + (f" ± {scores['auc_bound']:.0e}" if name == "auc" and scores["auc_bound"] else "")
        for name, what in NAMES.items()
        if scores.get(name) is not None
    ]
    return f"{number(scores['rows'])} test rows of {who}", ", ".join(parts) or "no score is defined"
