"""The result of a run, from its summary; must not know how the summary was made."""

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gossipfl.experiment.evaluation.verdict import gone, missed
from gossipfl.report.console import visible
from gossipfl.report.scores import scored
from gossipfl.report.tables import bytes_, number, plain, seconds

METRICS = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "log_loss": "log loss",
    "r2": "R2",
    "rmse": "RMSE",
    "deviance": "deviance",
}
RISING = ("accuracy", "r2")  # larger is better; the best and the worst peer are chosen by these

Summary = Mapping[str, Any]


def result(summary: Summary, sentence: str, good: bool, repeat: str = "") -> list[RenderableType]:
    """The verdict, the test metrics, the figures, and the next command to try (if any)."""
    alone = not summary.get("one_model", True) or summary.get("peers") == 1
    one = alone or summary.get("agreed")
    odd = not one or gone(summary) or missed(summary)  # exit code 0, but not everything went as planned
    mark, style = ("✗", "red") if not good else ("!", "yellow") if odd else ("✓", "green")
    said = Text(f"{mark} {sentence}", style)
    if not repeat:
        return [said]
    parts: list[RenderableType] = [said]
    if summary.get("test"):
        parts.append(metrics(summary))
    parts.append(figures(summary))
    if summary.get("stopped") != "diverged":  # it would diverge again
        parts.append(Text.assemble("\nNext: ", (repeat, "bold cyan"), f"   ({_next(summary, repeat)})"))
    return parts


def _next(summary: Summary, repeat: str) -> str:
    """What the next command does."""
    if "--resume" in repeat:
        return "continue from the last checkpoints"
    if summary.get("engine") == "simulator":
        return "with real peers"
    if "faults=[]" in repeat:
        return "in one process, without the faults"
    if not summary.get("one_model", True):
        return "in simulated time"
    if summary.get("budget"):
        return "in one process, with other noise"
    return "in one process" if summary.get("lost") else "the same numbers in one process"


def metrics(summary: Summary) -> RenderableType:
    """A table of test metrics, a row per model.

    The rows: the shared model on all test rows, its mean over the peers, the best and the worst peer, and
    the pooled model if there is a reference.
    """
    test, pooled = summary["test"], (summary.get("pooled") or {}).get("test")
    names = [name for name in METRICS if test["all"].get(name) is not None]
    ranked = sorted(
        (
            (one[key], name)
            for name, one in test["peers"].items()
            for key in RISING
            if one.get(key) is not None
        ),
        key=lambda pair: pair[0],
    )
    rows = [("shared model, rows of all peers", test["all"])]
    for key, what in (("own", "newest model"), ("voted", "vote of its models")):
        if key in test:
            rows.append((f"{what} of a peer, mean over peers", test[key]))
    if pooled:
        rows.append(("pooled model, rows of all peers", pooled["all"]))
    if own := (summary.get("personal") or {}).get("test"):
        rows.append(("own models, rows of all peers", own["all"]))
        rows += [("own models, mean over peers", own["mean"])] if len(test["peers"]) > 1 else []
    if len(test["peers"]) > 1:
        rows.append(("shared model, mean over peers", test["mean"]))
    if ranked and ranked[0][0] < ranked[-1][0]:
        rows += [
            (f"{word} peer: {name}", test["peers"][name])
            for word, (_, name) in (("best", ranked[-1]), ("worst", ranked[0]))
        ]
    return plain(
        ("model", "test rows", *(METRICS[name] for name in names)),
        [(what, number(one.get("rows")), *(number(one.get(name)) for name in names)) for what, one in rows],
        range(1, 2 + len(names)),
    )


def figures(summary: Summary) -> RenderableType:
    """A line each for distances, traffic and time."""
    peers, rounds = summary.get("peers") or 1, summary.get("rounds") or 0
    took = summary.get("seconds") or {}
    lines = [scored(summary["scores"])] if summary.get("scores") else []
    if summary.get("distance_to_optimum") is not None:
        predicted = summary.get("certificate")
        also = f"; predicted by the certificate: {number(predicted)}" if predicted is not None else ""
        lines.append(
            (
                "distance to the pooled optimum",
                number(summary["distance_to_optimum"]) + f" (relative, farthest peer){also}",
            )
        )
    elif summary.get("pooled", {}) is None:
        lines.append(("distance to the pooled optimum", "unknown: there is none to compare with"))
    if summary.get("consensus_distance") is not None and peers > 1:
        lines.append(
            (
                "distance to the mean of the peers",
                number(summary["consensus_distance"]) + " (relative, farthest peer)",
            )
        )
    if summary.get("messages_sent"):
        each, count = summary["bytes_sent"] / peers, summary["messages_sent"] / peers
        word = "would have sent" if summary.get("engine") == "simulator" else "sent"
        lines.append(
            (
                f"each peer {word}",
                f"{bytes_(each)} in {count:,.0f} messages; the model has {summary.get('parameters')} parameters",
            )
        )
    if took:
        rate = f", {number(round(rounds / took['learning']))} rounds/s" if took.get("learning") else ""
        compare = f", {seconds(took['reference'])} for the pooled optimum" if "reference" in took else ""
        told = f"{seconds(took['startup'])} to start, {seconds(took['learning'])} to learn{rate}{compare}"
        lines.append(("time", told))
    grid = Table.grid(padding=(0, 2))
    for line in lines:
        grid.add_row(*map(visible, line))
    return grid
