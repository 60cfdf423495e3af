"""The figures of a topology as tables, and what whole runs cost on it; must not know graphs."""

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from gossipfl.report.tables import number, plain

NEWTON, QUASI = 11, 150  # sums of typical runs: logistic regression, l2 = 1e-3, to rounding error
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
    """Exchanges of typical runs with d parameters, and the bytes that a peer sends in them on average, without headers."""
    sums, peers = found["sums"], found["peers"]
    square = d * (d + 1) // 2
    both = 1 if found["directed"] else 2

    def cost(exchanges: int, messages: int, numbers: int) -> dict[str, float]:
        return {"exchanges": exchanges, "bytes": 8 * messages * numbers / peers}

    tree = sums["exchanges"], sums["messages"]
    rows = {f"newton, {NEWTON} sums": cost(NEWTON * tree[0], NEWTON * tree[1], STOP + d + square)}
    if sums["average"] is not None:
        average = NEWTON * sums["average"], NEWTON * sums["average_messages"]
        rows[f"newton, {NEWTON} exact averages"] = cost(*average, 2 * d + square)
    rows[f"lbfgs, {QUASI} sums"] = cost(QUASI * tree[0], QUASI * tree[1], STOP + d)
    one_round = "push-diging" if found["directed"] else "exact-diffusion"
    rows[f"{one_round}, each round"] = cost(1, both * found["edges"], 2 * d + 1 if found["directed"] else d)
    return rows


def cost_table(rows: Mapping[str, Mapping[str, float]], d: int) -> RenderableType:
    """The result of `costs` as a table."""
    lines = [(name, f"{row['exchanges']:,}", f"{row['bytes'] / 1000:,.1f}") for name, row in rows.items()]
    return plain((f"a run with {d} parameters", "exchanges", "kB a peer sends"), lines, (1, 2))


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
