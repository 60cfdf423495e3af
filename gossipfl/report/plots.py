"""Drawings of topologies with matplotlib, if it is installed; must not know what peers learn."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import networkx as nx

from gossipfl.disk import unwritable, whole
from gossipfl.errors import BadExperiment

SUFFIXES = (".png", ".svg", ".pdf")
LABELLED = 64  # with more peers, names are not drawn


def draw(graph: nx.Graph, title: str, path: Path) -> None:
    """Draw a graph into a file: peers as dots, links as lines.

    Raises:
        BadExperiment: matplotlib is missing, the suffix is not in `SUFFIXES`, or the file cannot be written.
        Unwritten: the disk is full or read-only.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise BadExperiment(f"--plot {path}: unknown suffix; use one of {', '.join(SUFFIXES)}")
    try:
        from matplotlib.collections import LineCollection
        from matplotlib.figure import Figure
    except ImportError:
        raise BadExperiment(
            '--plot needs matplotlib, which is not installed: pip install "gossipfl[plots]"'
        ) from None
    place = layout(graph, title)
    figure = Figure(figsize=(7, 7), layout="constrained")
    axes: Any = figure.add_subplot()
    axes.add_collection(
        LineCollection([[place[u], place[v]] for u, v in graph.edges], colors="#9aa5b1", zorder=1)
    )
    size = max(20.0, min(700.0, 9000 / len(graph)))
    axes.scatter(*zip(*(place[peer] for peer in graph), strict=True), s=size, color="#1f6feb", zorder=2)
    if len(graph) <= LABELLED:
        inside = max(map(len, graph)) <= 2
        for peer in graph:
            gap = (0, 0) if inside else (0, math.sqrt(size) / 2 + 4)
            axes.annotate(
                peer, place[peer], gap, textcoords="offset points", fontsize=9, zorder=3, ha="center",
                va="center" if inside else "bottom", color="white" if inside else "#1f2933",
                bbox=None if inside else {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8},
            )  # fmt: skip
    axes.set_title(f"{title}: {len(graph)} peers, {graph.number_of_edges()} links")
    axes.margins(0.12)
    axes.set_aspect("equal")
    axes.axis("off")
    try:
        with whole(path):
            figure.savefig(path, dpi=150)
    except OSError as why:
        raise unwritable(f"cannot write --plot {path}", why) from None


def draw_curve(selection: Mapping[str, Any], path: Path) -> bool:
    """Draw a cross-validation: the loss by penalty with its standard error, and the chosen value.

    Returns whether it was drawn: not if matplotlib is missing, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    known = [
        point for point in zip(*(selection[k] for k in ("penalties", "mean", "error")), strict=True)
        if all(number is not None and math.isfinite(number) for number in point)
    ]  # fmt: skip
    penalties, mean, error = zip(*known, strict=True)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes: Any = figure.add_subplot()
    axes.errorbar(penalties, mean, error, color="#1f6feb", ecolor="#9aa5b1", marker="o", capsize=3)
    axes.axvline(selection["chosen"], color="#1f2933", linestyle=":")
    axes.set_xscale("log")
    axes.set_xlabel(f"{selection['key']} (chosen: {selection['chosen']:.3g})")
    axes.set_ylabel(f"{selection['loss']} of rows held out")
    axes.set_title(f"{selection['folds']} folds at each peer, {selection['sums']} sums over all peers")
    try:
        with whole(path):
            figure.savefig(path)
    except OSError:
        return False
    return True


def layout(graph: nx.Graph, title: str) -> dict[str, tuple[float, float]]:
    """The position of each peer: a circle for a ring, a grid for a torus, else by graph distances."""
    family, _, sides = title.partition(":")
    if family == "torus":
        columns = int(sides.split("x")[1])
        return {
            peer: (c - _bow(r, len(graph) // columns), -r + _bow(c, columns))
            for i, peer in enumerate(graph)
            for r, c in [divmod(i, columns)]
        }
    if family in ("full", "exp") or all(degree == 2 for _, degree in graph.degree):
        positions = nx.circular_layout(graph)
    elif len(graph) <= 100:
        positions = nx.kamada_kawai_layout(graph)
    else:
        positions = nx.spring_layout(graph, seed=0)
    return {peer: (float(x), float(y)) for peer, (x, y) in positions.items()}


def _bow(step: int, steps: int) -> float:
    """Bend a line of a grid, so that the link that closes it does not cross its peers."""
    return 1.2 * step * (steps - 1 - step) / max(1, steps - 1) ** 2
