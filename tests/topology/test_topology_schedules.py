"""Schedules: each round has the matrix of the paper, on links of the graph, the same for all peers."""

from functools import reduce
from math import gcd, log2

import networkx as nx
import numpy as np
import pytest
from topology_graphs import CHANGING, graph, pairs

from gossipfl.errors import BadExperiment
from gossipfl.topology import (
    Links,
    Topology,
    cycle,
    dense,
    every,
    generate,
    load,
    pace,
    period,
    read,
    schedule,
    static,
    stochastic,
    symmetric,
    write,
)  # fmt: skip
from gossipfl.topology.periodic import base

MORE = [
    "one-peer-exp:1", "one-peer-exp:2", "one-peer-exp:11", "base:2:1", "base:2:2", "base:4:11", "matching:1", "matching:2",
    "matching:9", "epidemic:2:1", "epidemic:5:4", "epidemic:9:2", "epidemic-local:2:1", "epidemic-local:5:4",
    "equi:2:1", "equi:9:3", "equi:12:11", "equi-directed:9:3", "equi-one-peer:9:3", "equi-one-peer:2:1",
    "equi-one-peer-directed:9:3",
]  # fmt: skip
ROUNDS = [0, 1, 2, 3, 4, 5, 6, 7, 40, 1001]


def topology(spec: str, seed: int = 3) -> tuple[int, Topology]:
    return len(graph(spec)), schedule(graph(spec), seed=seed)


@pytest.mark.parametrize("spec", [*CHANGING, *MORE])
def test_rounds_are_links_of_the_graph_with_a_matrix_that_keeps_the_mean(spec: str) -> None:
    n, rounds = topology(spec)
    for k in ROUNDS:
        links = rounds(k)
        assert pairs(links) == sorted(set(pairs(links))), "sorted by receiver, then by sender, each once"
        assert all(graph(spec).has_edge(str(i), str(j)) for i, j in pairs(links))
        assert [t.dtype for t in links[:3]] == [np.int64, np.int64, np.float64]
        W = dense(links, n)
        assert W.min() >= -1e-15
        np.testing.assert_allclose(W.sum(axis=1), 1, atol=1e-14)
        assert stochastic(links, n) == (True, bool(np.allclose(W.sum(axis=0), 1, atol=1e-9)))
        assert stochastic(links, n)[1] or "local" in spec
        assert symmetric(links) == np.allclose(W, W.T, atol=1e-9)


@pytest.mark.parametrize("spec", [*CHANGING, *MORE])
def test_every_peer_computes_the_same_whatever_it_asked_before(spec: str) -> None:
    one, other = topology(spec)[1], topology(spec)[1]
    there, back = [one(k) for k in ROUNDS], [other(k) for k in reversed(ROUNDS)]
    for a, b in zip(there, reversed(back), strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a[:3], b[:3], strict=True))
    assert one(7) is one(7)
    drawn = [frozenset(pairs(topology(spec, seed)[1](k))) for seed in (3, 4) for k in (0, 1, 2, 3)]
    if period(one) is None and len(drawn[0]) < len(graph(spec)) * (len(graph(spec)) - 1):
        assert len({*drawn[:4]}) > 1, "drawn afresh each round"
        assert drawn[:4] != drawn[4:], "from the seed"


def product(rounds: list[Links], n: int) -> np.ndarray:
    return reduce(lambda x, links: dense(links, n) @ x, rounds, np.eye(n))


@pytest.mark.parametrize("most", [2, 3, 4, 5, 7, 16])
def test_base_graphs_reach_the_exact_mean_of_any_number_of_peers(most: int) -> None:
    for n in [*range(1, 41), 63, 97]:
        rounds = base(most, n)
        assert np.abs(product(list(rounds), n) - 1 / n).max() <= 1e-14
        assert len(rounds) <= 2 * log2(n) / log2(most) + 2, "the paper's bound"
        assert all(symmetric(links) for links in rounds)
        assert all(np.bincount(links.receivers).max() < most for links in rounds)


@pytest.mark.parametrize(
    ("most", "n", "rounds"), [(2, 6, 4), (2, 5, 5), (3, 5, 3), (2, 12, 5), (4, 25, 5), (5, 25, 2)]
)
def test_base_graphs_take_few_rounds(most: int, n: int, rounds: int) -> None:
    assert len(base(most, n)) == rounds
    assert pace(cycle(base(most, n)), n) == (rounds, 0.0)


@pytest.mark.parametrize("n", [1, 2, 4, 16, 64, 12])
def test_one_peer_exponential_is_its_definition_and_exact_for_powers_of_two(n: int) -> None:
    rounds = topology(f"one-peer-exp:{n}")[1]
    t = (n - 1).bit_length()
    for k in range(t):
        W = np.eye(n) / 2
        for i in range(n):
            W[i, (i - 2**k) % n] += 1 / 2
        np.testing.assert_array_equal(dense(rounds(k), n), W)
    assert period(rounds) == max(1, t)
    for start in range(t):
        far = np.abs(product([rounds(k) for k in range(start, start + t)], n) - 1 / n).max()
        assert (far <= 1e-15) == (n & (n - 1) == 0)


def test_random_schedules_are_as_fast_as_their_weights_say() -> None:
    """E |W x|^2 = (|W|_F^2 - 1) / (n - 1) |x|^2 for every x of mean 0."""
    n, x = 20, np.eye(20)[:, :1] - 1 / 20
    for spec, frobenius in [(f"matching:{n}", n / 2), (f"epidemic:{n}:3", n / 4)]:
        rounds = topology(spec)[1]
        shrunk = np.mean([((dense(rounds(k), n) @ x) ** 2).sum() for k in range(2000)]) / (x**2).sum()
        assert shrunk == pytest.approx((frobenius - 1) / (n - 1), rel=0.05)


@pytest.mark.parametrize("name", ["epidemic", "epidemic-local"])
def test_epidemics_send_to_so_many_others_all_alike(name: str) -> None:
    rounds = topology(f"{name}:9:3")[1]
    count = np.zeros((9, 9))
    for k in range(600):
        links = rounds(k)
        assert np.bincount(links.senders, minlength=9).tolist() == [3] * 9
        heard = np.bincount(links.receivers, minlength=9)
        assert np.array_equal(links.weights, 1 / (1 + heard[links.receivers]))
        assert name != "epidemic" or heard.tolist() == [3] * 9
        count[links.receivers, links.senders] += 1
    off = count[~np.eye(9, dtype=bool)]
    assert (np.abs(off - 600 * 3 / 8) < 6 * np.sqrt(600)).all()


def circulant(n: int, u: int) -> np.ndarray:
    return np.eye(n) / n + (n - 1) / n * np.roll(np.eye(n), u, axis=0)


def test_equitopo_is_its_definition() -> None:
    n = 12
    A = {u: circulant(n, u) for u in (1, 4, 6, 8)}
    W = sum(A.values()) / 4
    assert np.allclose(dense(topology("equi-directed:12:+1+4+6+8")[1](0), n), W, atol=1e-15)
    assert np.allclose(dense(topology("equi:12:+1+4+6+8")[1](5), n), (W + W.T) / 2, atol=1e-15)
    assert np.allclose(sum(circulant(n, u) for u in range(1, n)) / (n - 1), 1 / n), (
        "what all of them average to"
    )
    directed = topology("equi-one-peer-directed:12:+1+4+6+8")[1]
    paired = topology("equi-one-peer:12:+1+4+6+8")[1]
    seen = set()
    for k in range(60):
        fits = [u for u in A if np.allclose(dense(directed(k), n), (np.eye(n) + A[u]) / 2, atol=1e-15)]
        assert len(fits) == 1
        seen |= {*fits}
        links = paired(k)
        apart = {min(d, n - d) for d in np.abs(links.receivers - links.senders).tolist()}
        assert len(apart) == 1
        assert apart <= {1, 4, 6}
        assert np.bincount(links.receivers).max() == 1
        assert np.allclose(links.weights, (n - 1) / (2 * n))
        u, alone = apart.pop(), {*range(n)} - {*links.receivers.tolist()}
        assert not any((i + u) % n in alone for i in alone), "no pair that could have met was left out"
    assert seen == {*A}


def test_offsets_are_drawn_once_and_kept_in_the_name() -> None:
    for seed in range(30):
        g = load("equi:12:2", seed)
        chosen = [int(u) for u in g.graph["schedule"].split(":")[2].split("+")[1:]]
        assert len(chosen) == 2
        assert gcd(12, *chosen) == 1
        again = generate(g.graph["schedule"], seed=99)
        assert nx.utils.graphs_equal(again, g)


@pytest.mark.parametrize("suffix", [".json", ".toml", ".graphml", ".gml"])
@pytest.mark.parametrize("spec", CHANGING)
def test_files_keep_the_schedule(tmp_path, spec: str, suffix: str) -> None:
    write(graph(spec), tmp_path / f"g{suffix}")
    back = load(tmp_path / f"g{suffix}", seed=8)
    assert nx.utils.graphs_equal(back, graph(spec))
    mine, theirs = schedule(graph(spec), seed=1)(5), schedule(back, seed=1)(5)
    assert all(np.array_equal(a, b) for a, b in zip(mine[:3], theirs[:3], strict=True))


@pytest.mark.parametrize("suffix", [".edgelist", ".adj", ".g6"])
def test_formats_that_would_lose_it_are_refused(tmp_path, suffix: str) -> None:
    with pytest.raises(BadExperiment, match=r"cannot hold; use \.json"):
        write(graph("base:3:12"), tmp_path / f"g{suffix}")


LISTED = 'schedule = "{}"\nedges = [["a", "b"], ["b", "d"], ["d", "c"], ["c", "a"]]\n[peers]\na={{}}\nb={{}}\nc={{}}\nd={{}}\n'


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("base:3:5", "has 5 peers, but the graph has 4"), ("matching:4", "lacks: a - d, b - c; add"),
        ("ring:4", "the same in each round"), ("bse:3:4", "did you mean base:3:12"), ("equi:4:2", "name the offsets"),
        ("equi:4:+2", "connect all"), ("equi:4:+1+1", "each once"), ("equi:4:+7", "1 to n - 1"), ("equi:4:+", "whole number"),
        ("epidemic:4:4", "below n"), ("base:1:4", "at least 2"), ("epidemic-local:4:0", "at least 1"),
    ],
)  # fmt: skip
def test_a_schedule_that_does_not_fit_is_refused(tmp_path, spec: str, words: str) -> None:
    path = tmp_path / "g.toml"
    path.write_text(LISTED.format(spec))
    with pytest.raises(BadExperiment, match=f"g.toml.*{words}"):
        load(path)
    assert read(path).graph["schedule"] == spec
    path.write_text(LISTED.format("base:2:4"))
    assert period(schedule(load(path))) == 2


def test_a_schedule_brings_its_own_weights_and_needs_an_undirected_graph(tmp_path) -> None:
    with pytest.raises(BadExperiment, match=r'"lazy".*its own weights'):
        schedule(graph("base:3:12"), "lazy")
    with pytest.raises(BadExperiment, match="M, the number of offsets"):
        load("equi:4:4")
    (tmp_path / "g.toml").write_text("directed = true\n" + LISTED.format("base:2:4"))
    with pytest.raises(BadExperiment, match="make the graph undirected"):
        load(tmp_path / "g.toml")


def test_a_graph_without_one_keeps_its_links() -> None:
    rounds = schedule(graph("ring:5"), "lazy")
    assert rounds(0) is rounds(9)
    assert rounds(0).weights.tolist() == pytest.approx([1 / 6] * 10)


def test_local_steps_leave_out_no_round_of_a_schedule() -> None:
    rounds = topology("one-peer-exp:16")[1]
    assert [every(rounds, 2)(k) for k in (1, 3, 5, 7, 9)] == [rounds(k) for k in (0, 1, 2, 3, 0)]
    assert period(every(rounds, 2)) == 8
    assert period(every(static(rounds(0)), 3)) == 3
