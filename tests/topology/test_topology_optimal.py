"""Optimal weights equal the textbook's where it gives them, and no weights near them are faster."""

import copy
import math
import sys
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

from gossipfl.errors import BadExperiment
from gossipfl.topology import WEIGHTS, Links, dense, extreme, load, read, write

pytest.importorskip("cvxpy")
pytest.importorskip("scs")

RULES = ("fdla", "fastest-mixing")
SPECS = (
    "ring:9",
    "star:7",
    "full:6",
    "torus:3x4",
    "ba:14:2",
    "er:12:0.3",
    "tree:2:2",
    "two-cliques:5",
    "ring:1",
    "line:2",
)
KNOWN = {  # rho of the fastest symmetric W, and of the fastest one without negative entries
    "full:6": (0.0, 0.0),
    "line:8": (math.cos(math.pi / 8), math.cos(math.pi / 8)),
    "star:8": (7 / 9, 6 / 7),
    "hypercube:3": (0.5, 0.5),
    "ring:6": (0.6, 0.6),
    "line:2": (0.0, 0.0),
    "ring:1": (0.0, 0.0),
}


def rho(links: Links, peers: int) -> float:
    return extreme(links, peers).rho


@pytest.mark.parametrize("spec", KNOWN)
def test_known_optima_are_found(spec: str) -> None:
    """A path: Boyd, Diaconis, Sun, Xiao 2006. Edge-transitive graphs: one constant is best for all edges."""
    graph = load(spec)
    for rule, truth in zip(RULES, KNOWN[spec], strict=True):
        assert rho(WEIGHTS[rule](graph), len(graph)) == pytest.approx(truth, abs=2e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("spec", SPECS)
def test_nothing_is_faster(spec: str, rule: str) -> None:
    graph = load(spec, seed=3)
    n, links = len(graph), WEIGHTS[rule](graph)
    W = dense(links, n)
    np.testing.assert_array_equal(W, W.T)
    np.testing.assert_allclose(W.sum(1), 1, atol=1e-14)
    best = rho(links, n)
    assert best <= rho(WEIGHTS["metropolis"](graph), n) + 1e-9
    if rule == "fdla":
        assert best <= rho(WEIGHTS["best-constant"](graph), n) + 1e-9
        assert best <= rho(WEIGHTS["fastest-mixing"](graph), n) + 1e-6
    else:
        assert W.min() >= -1e-12
    half = links.receivers < links.senders
    draw = np.random.default_rng(0)  # |W - 11^T / n| is convex in w: a local optimum is the global one
    for size in (1e-3, 1e-1):
        for _ in range(10):
            moved = W.copy()
            u, v = links.receivers[half], links.senders[half]
            step = size * draw.standard_normal(len(u))
            for i, j, d in zip(u, v, step, strict=True):
                moved[[i, j], [j, i]] += d
                moved[[i, j], [i, j]] -= d
            if rule == "fdla" or moved.min() >= 0:
                assert np.linalg.norm(moved - 1 / n, 2) >= best - 3e-6


def test_weights_travel_in_files(tmp_path: object) -> None:
    graph = load("ba:14:2", seed=3)
    links = WEIGHTS["fdla"](graph)
    assert links.weights.min() < 0
    names = list(graph)
    for i, j, weight in zip(*(part.tolist() for part in links[:3]), strict=True):
        graph.edges[names[i], names[j]]["weight"] = weight
    for suffix in (".json", ".toml", ".graphml", ".gml", ".edgelist"):
        write(graph, f"{tmp_path}/fast{suffix}")
        again = WEIGHTS["file"](read(f"{tmp_path}/fast{suffix}"))
        np.testing.assert_array_equal(again.weights, links.weights)


def test_the_graph_takes_its_solution_along(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = load("er:12:0.3", seed=3)
    found = WEIGHTS["fdla"](graph)
    handed = copy.deepcopy(graph)
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    np.testing.assert_array_equal(WEIGHTS["fdla"](handed).weights, found.weights)
    with pytest.raises(BadExperiment, match="missing"):
        WEIGHTS["fastest-mixing"](handed)


def test_what_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = nx.Graph(pairwise([*map(str, range(201)), "0"]))
    with pytest.raises(BadExperiment, match=r"201 peers.*best-constant"):
        WEIGHTS["fdla"](ring)
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(BadExperiment, match=r'pip install "gossipfl\[weights\]"'):
        WEIGHTS["fastest-mixing"](load("ring:4"))
