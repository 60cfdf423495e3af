"""Shorthands give the graphs that they name, the same for the same seed; other text is refused with a message."""

import subprocess
import sys
from contextlib import suppress

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from topology_graphs import SPECS, graph

from gossipfl.errors import BadExperiment
from gossipfl.topology import FAMILIES, check, generate, load, shorthands


@pytest.mark.parametrize("spec", SPECS)
def test_a_family_is_simple_connected_and_numbered_in_order(spec: str) -> None:
    g = graph(spec)
    assert list(g) == [str(i) for i in range(len(g))]
    assert nx.is_connected(g)
    assert nx.number_of_selfloops(g) == 0
    assert not g.is_multigraph()


@pytest.mark.parametrize(
    ("spec", "peers", "edges", "degrees"),
    [
        ("ring:16", 16, 16, {2}), ("ring:2", 2, 1, {1}), ("ring:1", 1, 0, {0}), ("line:8", 8, 7, {1, 2}),
        ("star:8", 8, 7, {1, 7}), ("full:8", 8, 28, {7}), ("torus:4x4", 16, 32, {4}), ("torus:2x2", 4, 4,
        {2}),
        ("torus:2x5", 10, 15, {3}), ("hypercube:4", 16, 32, {4}), ("regular:16:4", 16, 32, {4}),
        ("tree:2:4", 31, 30, {1, 2, 3}), ("two-cliques:16", 16, 57, {7, 8}), ("exp:16", 16, 56, {7}),
    ],
)  # fmt: skip
def test_size_and_degrees(spec: str, peers: int, edges: int, degrees: set[int]) -> None:
    g = graph(spec)
    assert (len(g), g.number_of_edges(), {d for _, d in g.degree}) == (peers, edges, degrees)


@pytest.mark.parametrize(
    ("spec", "known"),
    [
        ("ring:9", nx.cycle_graph(9)),
        ("torus:3x5", nx.grid_2d_graph(3, 5, periodic=True)),
        ("hypercube:5", nx.hypercube_graph(5)),
        ("two-cliques:12", nx.barbell_graph(6, 0)),
        ("exp:13", nx.circulant_graph(13, [1, 2, 4, 8])),
    ],
)
def test_same_graph_as_networkx_makes(spec: str, known: nx.Graph) -> None:
    assert nx.is_isomorphic(graph(spec), known)


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.random])
def test_random_families_are_a_function_of_the_seed(name: str) -> None:
    spec = FAMILIES[name].example
    assert nx.utils.graphs_equal(load(spec, seed=7), load(spec, seed=7))
    assert not nx.utils.graphs_equal(load(spec, seed=7), load(spec, seed=8))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("rign:16", "did you mean ring:16"), ("", "is not a topology"), ("ring", "ring:n"), ("ring:4:4",
        "takes 1"),
        ("ring:0", "at least 1"), ("ring:-3", "whole number"), ("ring:1e3", "whole number"), ("ring:²",
        "whole number"),
        ("torus:4", "4x4"), ("torus:4x4x4", "4x4"), ("torus:0x4", "at least 1"), ("regular:5:3", "even"),
        ("regular:4:4", "below n"), ("er:32:1.5", "from 0 to 1"), ("er:32:nan", "from 0 to 1"),
        ("er:100:0.001", "none of 50 draws"), ("ws:10:3:0.1", "even"), ("ws:4:4:0", "below n"), ("ba:5:5",
        "n - 1"),
        ("full:1000000", "more than"), ("hypercube:400000000", "more than"), ("tree:9:999999999",
        "more than"),
        ("tree:1:999999999", "more than"), ("torus:99999x99999", "more than"), ("ring:" + "9" * 5000,
        "whole number"),
        ("x" * 5000, "is not a topology"), ("ring:\0", "whole number"),
    ],
)  # fmt: skip
def test_a_bad_shorthand_is_refused_with_the_way_out(spec: str, words: str) -> None:
    with pytest.raises(BadExperiment, match=words) as refused:
        load(spec)
    assert len(str(refused.value)) < 500


@given(
    st.text(max_size=30)
    | st.builds("{}:{}".format, st.sampled_from(list(FAMILIES)), st.text("0123:x.-", max_size=4))
)
def test_any_text_gives_a_graph_or_a_sentence(spec: str) -> None:
    with suppress(BadExperiment):
        check(generate(spec), spec)


def test_help_lists_every_family() -> None:
    lines = shorthands().splitlines()
    assert [line.split()[0] for line in lines] == [family.example for family in FAMILIES.values()]


def test_importing_the_room_is_light() -> None:
    heavy = {"matplotlib", "pandas", "sklearn", "torch", "zmq"}
    code = f"import sys, gossipfl.topology; print({heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
