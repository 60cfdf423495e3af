"""Every rule gives the matrix of its definition on every graph, with the right mean and speed."""

import math

import networkx as nx
import numpy as np
import pytest
from topology_graphs import SPECS, graph, twin

from gossipfl.errors import BadExperiment
from gossipfl.topology import (
    WEIGHTS,
    dense,
    describe,
    diameter,
    eigenvalues,
    every,
    extreme,
    load,
    rounds_per_tenfold,
    static,
)  # fmt: skip

RULES = ["metropolis", "uniform", "best-constant", "lazy"]  # in closed form
LARGE = [
    "ring:600",
    "line:501",
    "torus:20x30",
    "ws:700:4:0.1",
    "ba:600:2",
    "star:600",
    "regular:600:4",
    "full:501",
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("spec", SPECS)
def test_weights_are_their_definition(spec: str, rule: str) -> None:
    g = graph(spec)
    n = len(g)
    links = WEIGHTS[rule](g)
    W = dense(links, n)
    np.testing.assert_allclose(W, twin(g, rule), atol=1e-12)
    np.testing.assert_array_equal(W, W.T)
    np.testing.assert_allclose(W.sum(axis=0), 1, atol=1e-14)
    np.testing.assert_allclose(W.sum(axis=1), 1, atol=1e-14)
    assert rule == "best-constant" or W.diagonal().min() >= -1e-15
    assert (links.weights > 0).all()
    assert [t.dtype for t in links[:3]] == [np.int64, np.int64, np.float64]
    order = links.receivers * n + links.senders
    assert (np.diff(order) > 0).all()
    values = eigenvalues(links, n)
    ends = extreme(links, n)
    rho = np.linalg.norm(W - 1 / n, 2)
    assert values[-1] == pytest.approx(1)
    assert ends.rho == pytest.approx(rho, abs=1e-12)
    assert ends.rho < 1
    assert rule != "lazy" or values[0] >= -1e-15


@pytest.mark.parametrize("spec", SPECS)
def test_best_constant_is_the_best(spec: str) -> None:
    g = graph(spec)
    best = extreme(WEIGHTS["best-constant"](g), len(g)).rho
    assert best <= extreme(WEIGHTS["uniform"](g), len(g)).rho + 1e-12


@pytest.mark.parametrize("rule", ["metropolis", "best-constant"])
@pytest.mark.parametrize("spec", LARGE)
def test_extreme_of_many_peers_is_the_whole_spectrums(spec: str, rule: str) -> None:
    g = graph(spec)
    links = WEIGHTS[rule](g)
    values = eigenvalues(links, len(g))
    ends = extreme(links, len(g))
    assert ends.smallest == pytest.approx(values[0], abs=1e-9)
    assert ends.second == pytest.approx(values[-2], abs=1e-9)
    assert 1 - ends.second == pytest.approx(1 - values[-2], rel=1e-7)


def test_spectrum_of_a_ring_in_closed_form() -> None:
    links = WEIGHTS["metropolis"](graph("ring:16"))
    truth = np.sort(1 / 3 + 2 / 3 * np.cos(2 * np.pi * np.arange(16) / 16))
    np.testing.assert_allclose(eigenvalues(links, 16), truth, atol=1e-14)
    rho = extreme(links, 16).rho
    assert rho ** rounds_per_tenfold(rho) == pytest.approx(0.1)
    assert rounds_per_tenfold(0.0) == 0
    assert rounds_per_tenfold(1.0) == math.inf


def weighted(*weights: float) -> nx.Graph:
    g = nx.path_graph([str(i) for i in range(len(weights) + 1)])
    for edge, weight in zip(g.edges, weights, strict=True):
        g.edges[edge]["weight"] = weight
    return g


def test_file_weights_are_the_edges_own() -> None:
    W = dense(WEIGHTS["file"](weighted(0.25, 0.75)), 3)
    np.testing.assert_allclose(W, [[0.75, 0.25, 0], [0.25, 0, 0.75], [0, 0.75, 0.25]])
    for never in (weighted(1.5, 0.6), weighted(0.6, -0.1), weighted(0.0), weighted(1.0)):
        with pytest.raises(BadExperiment, match="never reach the mean"):
            WEIGHTS["file"](never)
    with pytest.raises(BadExperiment, match="no weight on 0 - 1, 1 - 2"):
        WEIGHTS["file"](graph("line:3"))


@pytest.mark.parametrize("spec", [*SPECS, "ba:300:2", "ws:200:4:0.05"])
def test_diameter_is_networkx_s(spec: str) -> None:
    assert diameter(graph(spec)) == nx.diameter(graph(spec))


@pytest.mark.parametrize("spec", SPECS)
def test_describe_counts_what_is_there(spec: str) -> None:
    g = graph(spec)
    d = describe(g)
    assert (d.peers, d.edges) == (len(g), g.number_of_edges())
    assert d.degree_mean == pytest.approx(2 * d.edges / d.peers)
    assert d.degree_min <= d.degree_mean <= d.degree_max
    assert list(d.weights) == [*RULES, "file"]
    for rule in RULES:
        assert 0 < (d.weights[rule].gap or 0) <= 1 + 1e-12
        assert d.weights[rule].reason is None
    assert d.edges == 0 or "no weight" in (d.weights["file"].reason or "")


def test_a_graph_that_is_too_large_to_describe_is_refused_at_once() -> None:
    with pytest.raises(BadExperiment, match="20,000 peers, and figures take too long above 10,000"):
        describe(nx.path_graph(20_000))
    with pytest.raises(BadExperiment, match=r'"ring:1000000": this graph would have more than 1,000 links'):
        load("ring:1000000", most=1000)


def test_describe_says_when_weights_only_swap() -> None:
    assert "never reach the mean" in (describe(weighted(1.0)).weights["file"].reason or "")


def test_static_and_every_return_the_same_objects() -> None:
    links = WEIGHTS["metropolis"](graph("ring:4"))
    topology = every(static(links), 3)
    assert [len(topology(r).weights) for r in range(7)] == [0, 0, 8, 0, 0, 8, 0]
    assert topology(2) is topology(5) is links
    assert topology(0) is topology(1) is topology(6)
    assert every(static(links), 1)(0) is links
    with pytest.raises(BadExperiment, match="1 or more"):
        every(static(links), 0)


def test_many_peers_are_fast() -> None:
    g = load("ba:20000:2")
    assert len(WEIGHTS["metropolis"](g).weights) == 2 * g.number_of_edges()
