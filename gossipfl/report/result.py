"""How a run ended, from its summary; must not know how the summary came about."""

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gossipfl.experiment.evaluation.verdict import gone, missed
from gossipfl.report.tables import bytes_, number, plain, seconds

METRICS = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "log_loss": "log loss",
    "r2": "R2",
    "rmse": "RMSE",
    "deviance": "deviance",
}
RISING = ("accuracy", "r2")  # by which peers are ranked: the larger the better

Summary = Mapping[str, Any]


def result(summary: Summary, sentence: str, good: bool, repeat: str = "") -> list[RenderableType]:
    """The verdict, how good the model is on test rows, what it took, and the next command to try (if any)."""
    alone = not summary.get("one_model", True) or summary.get("peers") == 1
    one = alone or summary.get("agreed")
    odd = not one or gone(summary) or missed(summary)  # as asked, and yet not all as planned: worth a look
    mark, style = ("✗", "red") if not good else ("!", "yellow") if odd else ("✓", "green")
    said = Text(f"{mark} {sentence}", style)
    if not repeat:
        return [said]
    parts: list[RenderableType] = [said]
    if summary.get("test"):
        parts.append(metrics(summary))
    parts.append(figures(summary))
    if summary.get("stopped") != "diverged":  # it would again
        parts.append(Text.assemble("\nNext: ", (repeat, "bold cyan"), f"   ({_next(summary, repeat)})"))
    return parts


def _next(summary: Summary, repeat: str) -> str:
    """What is to be expected of the next command."""
    if "--resume" in repeat:
        return "where they were"
    if summary.get("engine") == "simulator":
        return "with real peers"
    if "faults=[]" in repeat:
        return "in one process, without the faults"
    if not summary.get("one_model", True):
        return "in simulated time"
    return "in one process" if summary.get("lost") else "the same numbers in one process"


def metrics(summary: Summary) -> RenderableType:
    """Test metrics: of the shared model on all test rows, on average over peers, for the best and the worst
    peer; and of the pooled model, where there is a reference.
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
    rows = [("the peers' model, all test rows", test["all"])]
    for key, what in (("own", "newest model"), ("voted", "models, by vote")):
        if key in test:
            rows.append((f"each peer's {what}, mean over peers", test[key]))
    if pooled:
        rows.append(("the model of all data pooled", pooled["all"]))
    if len(test["peers"]) > 1:
        rows.append(("the peers' model, mean over peers", test["mean"]))
    if ranked and ranked[0][0] < ranked[-1][0]:
        rows += [
            (f"{word} peer, {name}", test["peers"][name])
            for word, (_, name) in (("best", ranked[-1]), ("worst", ranked[0]))
        ]
    return plain(
        ("on rows that nobody learned from", "rows", *(METRICS[name] for name in names)),
        [(what, number(one.get("rows")), *(number(one.get(name)) for name in names)) for what, one in rows],
        range(1, 2 + len(names)),
    )


def figures(summary: Summary) -> RenderableType:
    """Distances, traffic and time, a line each."""
    peers, rounds = summary.get("peers") or 1, summary.get("rounds") or 0
    took = summary.get("seconds") or {}
    lines = []
    if summary.get("distance_to_optimum") is not None:
        lines.append(
            (
                "distance to the pooled optimum",
                number(summary["distance_to_optimum"]) + ", relative, of the farthest peer",
            )
        )
    elif summary.get("pooled", {}) is None:
        lines.append(("distance to the pooled optimum", "the data of those who are left has no finite one"))
    if summary.get("consensus_distance") is not None and peers > 1:
        lines.append(
            (
                "distance between the peers",
                number(summary["consensus_distance"]) + ", relative, of the farthest from the mean",
            )
        )
    if summary.get("messages_sent"):
        each, count = summary["bytes_sent"] / peers, summary["messages_sent"] / peers
        word = "would have sent" if summary.get("engine") == "simulator" else "sent"
        lines.append(
            (
                f"each peer {word}",
                f"{bytes_(each)} in {count:,.0f} messages, {summary.get('parameters')} parameters in most",
            )
        )
    if took:
        rate = f", {number(round(rounds / took['learning']))} rounds/s" if took.get("learning") else ""
        lines.append(
            ("time", f"{seconds(took['startup'])} to start, {seconds(took['learning'])} to learn{rate}")
        )
    grid = Table.grid(padding=(0, 2))
    for line in lines:
        grid.add_row(*line)
    return grid
