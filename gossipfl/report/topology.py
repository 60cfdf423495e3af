"""The figures of a topology as tables, and what whole runs cost on it; must not know graphs."""

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from gossipfl.report.tables import number, plain

NEWTON, QUASI = 11, 150  # sums of typical runs: logistic regression, l2 = 1e-3, to rounding error
WORDS = 256  # bytes of a message of classes and levels
STOP = 7  # numbers in a sum beside gradient and Hessian: count, digest, weight, loss, three for problems without an optimum


def table(found: Mapping[str, Any]) -> list[RenderableType]:
    """The result of `topology.describe`, given as a dictionary, as text and a table."""
    degree = f"{found['degree_min']} to {found['degree_max']}, {number(found['degree_mean'])} on average"
    if found["degree_min"] == found["degree_max"]:
        degree = str(found["degree_min"])
    directed, changes = found["directed"], found["changes"]
    head = f"{found['name']}: {found['peers']} peers, {found['edges']} {'one-way ' * directed}links"
    said = [
        f"{head}{' in all' if changes else ''}, diameter {found['diameter']}",
        f"{'receivers' if directed else 'neighbours'} of each peer: {degree}",
    ]
    if changes:
        return [*said, plain(("changing links", ""), _changes(changes))]
    sums = found["sums"]
    said.append(
        f"a sum over all peers: {sums['exchanges']} exchanges along a tree of depth {sums['depth']}"
        + (f", {sums['average']} by an exact average" if sums["average"] is not None else "")
    )
    rows = [
        (
            rule,
            number(speed["gap"]),
            f"{speed['rounds']:.1f}" if speed["rounds"] is not None else "-",
            speed["reason"] or "",
        )
        for rule, speed in found["weights"].items()
    ]
    headings = ("weights", "spectral gap", "rounds until disagreement falls to 1/10", "")
    return [*said, plain(headings, rows, (1, 2))]


def costs(found: Mapping[str, Any], d: int) -> dict[str, dict[str, float]]:
    """Exchanges of typical runs with d parameters, and the bytes that a peer sends in them on average, without headers.

    With the agreement before (a flood of words, a sum of moments and, for methods that take no sums, a flood of the step) and,
    for these methods, the certificate: a sum of the models, and one or two at their mean.
    """
    sums, peers, square = found["sums"], found["peers"], d * (d + 1) // 2
    links = found["edges"] * (1 if found["directed"] else 2)
    tree, step = (sums["exchanges"], sums["messages"]), (1, links)

    def cost(*parts: tuple[int, tuple[int, int], float]) -> dict[str, float]:
        """The cost of parts: how often, the exchanges and messages of each, and the numbers in a message."""
        return {
            "exchanges": sum(times * one[0] for times, one, _ in parts),
            "bytes": sum(8 * times * one[1] * numbers for times, one, numbers in parts) / peers,
        }

    flood, moments = (found["diameter"], step, WORDS / 8), (1, tree, 2 * d)
    before = flood, moments, (found["diameter"], step, 1)
    mean, certificate = (1, tree, STOP + d), (1, tree, STOP + d + square)
    rows = {f"newton, {NEWTON} sums": cost(flood, moments, (NEWTON, tree, STOP + d + square))}
    if sums["average"] is not None:
        average = sums["average"], sums["average_messages"]
        rows[f"newton, {NEWTON} exact averages"] = cost(
            *before, (NEWTON, average, 2 * d + square), mean, certificate
        )
    rows[f"lbfgs, {QUASI} sums"] = cost(flood, moments, (QUASI, tree, STOP + d))
    kind = "push-diging" if found["directed"] else "exact-diffusion"
    rows[f"{kind}, agreement and certificate"] = cost(*before, mean, certificate, certificate)
    rows[f"{kind}, each round"] = cost((1, step, 2 * d + 1 if found["directed"] else d))
    return rows


def cost_table(rows: Mapping[str, Mapping[str, float]], d: int) -> RenderableType:
    """The result of `costs` as a table."""
    lines = [(name, f"{row['exchanges']:,}", f"{row['bytes'] / 1000:,.1f}") for name, row in rows.items()]
    return plain(
        (f"a run with {d} parameters, agreement included", "exchanges", "kB a peer sends"), lines, (1, 2)
    )


def _changes(changes: Mapping[str, Any]) -> list[tuple[str, str]]:
    again = {None: "random in each round", 1: "the same in each round"}
    direction = "both ways, with symmetric weights" if changes["both_ways"] else "one way"
    rows = [
        ("schedule", changes["schedule"]),
        ("links", again.get(changes["period"], f"change, and repeat after {changes['period']} rounds")),
        ("senders to a peer in one round", f"at most {changes['heard_max']}, {direction}"),
        (
            "the mean over peers",
            "stays the same in each round"
            if changes["keeps_mean"]
            else "changes: W is not doubly stochastic",
        ),
        ("a message reaches all peers", f"within {changes['horizon']} rounds"),
    ]
    if changes["exact"] is not None:
        return [*rows, ("all peers hold the exact mean", f"after {changes['exact']} rounds")]
    return [
        *rows,
        ("disagreement per round", f"times {number(changes['rho'])} (measured)"),
        ("rounds until disagreement falls to 1/10", f"{changes['rounds']:.1f}"),
    ]
