"""Directed graphs: an edge u -> v says that u sends to v, in files, links, weights and distances."""

import networkx as nx
import numpy as np
import pytest
from topology_graphs import DIRECTED, graph

from gossipfl.errors import BadExperiment
from gossipfl.topology import (
    WEIGHTS,
    Links,
    dense,
    describe,
    diameter,
    eigenvalues,
    extreme,
    load,
    write,
)

SPECS = [
    *DIRECTED,
    "directed-ring:1",
    "directed-ring:2",
    "directed-exp:11",
    "directed-er:30:0.1",
    "directed-er:9:0.9",
]
ONE_WAY = ("push", "pull")


def uneven() -> nx.DiGraph:
    return nx.DiGraph([("a", "b"), ("b", "c"), ("c", "a"), ("a", "c")])


@pytest.mark.parametrize("spec", SPECS)
def test_a_family_is_directed_and_strongly_connected(spec: str) -> None:
    g = graph(spec)
    assert g.is_directed()
    assert nx.is_strongly_connected(g)
    assert nx.number_of_selfloops(g) == 0
    assert list(g) == [str(i) for i in range(len(g))]


def test_families_are_their_definition() -> None:
    assert {*graph("directed-ring:3").edges} == {("0", "1"), ("1", "2"), ("2", "0")}
    assert {*graph("directed-exp:5")["1"]} == {"2", "3", "0"}
    with pytest.raises(BadExperiment, match="none of 50 draws"):
        load("directed-er:50:0.01")


@pytest.mark.parametrize("suffix", [".json", ".toml", ".graphml", ".gml"])
@pytest.mark.parametrize("spec", SPECS)
def test_files_keep_the_direction(tmp_path, spec: str, suffix: str) -> None:
    write(graph(spec), tmp_path / f"g{suffix}")
    back = load(tmp_path / f"g{suffix}")
    assert back.is_directed()
    assert list(back) == list(graph(spec))
    assert nx.utils.graphs_equal(back, graph(spec))


def test_both_directions_of_a_link_may_have_their_own_attributes(tmp_path) -> None:
    text = (
        "directed = true\nedges = [['b', 'a', {drop = 0.5}], ['a', 'b', {delay = 1}]]\n[peers]\na={}\nb={}\n"
    )
    (tmp_path / "g.toml").write_text(text)
    assert load(tmp_path / "g.toml").edges == {("a", "b"): {"delay": 1.0}, ("b", "a"): {"drop": 0.5}}.keys()
    assert load(tmp_path / "g.toml").edges["b", "a"] == {"drop": 0.5}


@pytest.mark.parametrize("suffix", [".edgelist", ".edges", ".adj", ".g6"])
def test_formats_that_would_lose_it_are_refused(tmp_path, suffix: str) -> None:
    with pytest.raises(BadExperiment, match=r"cannot hold; use \.json"):
        write(uneven(), tmp_path / f"g{suffix}")


def test_peers_without_a_way_back_are_named(tmp_path) -> None:
    with pytest.raises(
        BadExperiment, match=r"g\.json.*cut off from the largest: d; each of these must reach"
    ):
        write(nx.DiGraph([*uneven().edges, ("a", "d")]), tmp_path / "g.json")


def twin(g: nx.Graph, rule: str) -> np.ndarray:
    """w_ij off the diagonal, entry by entry."""
    W = np.zeros((len(g), len(g)))
    arcs = g if g.is_directed() else g.to_directed()
    for j, sender in enumerate(g):
        for i, receiver in enumerate(g):
            if arcs.has_edge(sender, receiver):
                W[i, j] = 1 / (1 + (arcs.out_degree[sender] if rule == "push" else arcs.in_degree[receiver]))
    return W


@pytest.mark.parametrize("rule", ONE_WAY)
@pytest.mark.parametrize("spec", [*SPECS, "star:6", "ba:50:2", "ring:5"])
def test_weights_are_their_definition(spec: str, rule: str) -> None:
    g = graph(spec)
    links = WEIGHTS[rule](g)
    W = np.zeros((len(g), len(g)))
    W[links.receivers, links.senders] = links.weights
    np.testing.assert_array_equal(W, twin(g, rule))
    kept = 1 - W.sum(axis=0 if rule == "push" else 1)
    assert kept.min(initial=1) > 0, "everybody keeps a share"
    order = links.receivers * len(g) + links.senders
    assert (np.diff(order) > 0).all()


@pytest.mark.parametrize(
    "rule", [rule for rule in WEIGHTS if rule not in (*ONE_WAY, "file", "fdla", "fastest-mixing")]
)
def test_symmetric_rules_name_the_way_out(rule: str) -> None:
    with pytest.raises(BadExperiment, match='directed: use the weights "push"'):
        WEIGHTS[rule](uneven())


def test_what_needs_symmetry_refuses_the_rest() -> None:
    links = WEIGHTS["pull"](uneven())
    for figures in (extreme, eigenvalues):
        with pytest.raises(BadExperiment, match="not symmetric"):
            figures(links, 3)


@pytest.mark.parametrize("spec", [*SPECS, "directed-er:120:0.05", "directed-exp:100"])
def test_diameter_is_networkx_s(spec: str) -> None:
    assert diameter(graph(spec)) == nx.diameter(graph(spec))


def test_diameter_follows_the_arrows() -> None:
    g = nx.DiGraph(
        [("hub", str(i)) for i in range(3)] + [(str(i), "back") for i in range(3)] + [("back", "hub")]
    )
    assert diameter(g) == nx.diameter(g) == 3
    for seed in range(30):
        g = load("directed-er:12:0.25", seed)
        assert diameter(g) == nx.diameter(g)


def test_describe_gives_the_speed_of_what_is_pushed_and_pulled() -> None:
    d = describe(graph("directed-er:16:0.2"))
    assert d.directed
    assert list(d.weights) == [*ONE_WAY]
    for rule, axis in (("push", 0), ("pull", 1)):
        W = twin(graph("directed-er:16:0.2"), rule)
        W += np.diag(1 - W.sum(axis=axis))
        rho = np.sort(np.abs(np.linalg.eigvals(W)))[-2]
        assert d.weights[rule].gap == pytest.approx(1 - rho)
    refused = describe(graph("directed-ring:16"), ["metropolis"]).weights["metropolis"]
    assert "push" in (refused.reason or "")


def test_many_peers_are_measured() -> None:
    gap = describe(load("directed-exp:512")).weights["push"].gap
    assert gap == pytest.approx(1 - rho_of(WEIGHTS["pull"](load("directed-exp:512"))), rel=1e-6)


def rho_of(links: Links) -> float:
    """The eigenvalues of a circulant are the Fourier transform of its first column."""
    return float(np.sort(np.abs(np.fft.fft(dense(links, 512)[:, 0])))[-2])
