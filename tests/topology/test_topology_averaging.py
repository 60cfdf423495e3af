"""A finite schedule reaches the exact mean on every graph, in the expected number of rounds."""

import numpy as np
import pytest
from topology_graphs import SPECS, graph, laplacian, mix

from gossipfl.topology import averaging

MORE = [
    "two-cliques:70",
    "line:100",
    "ws:90:4:0",
    "ba:120:1",
    "star:200",
    "tree:1:70",
    "exp:99",
    "ring:510",
    "er:520:0.03",
]


@pytest.mark.parametrize("spec", [*SPECS, *MORE])
def test_every_peer_ends_with_the_mean(spec: str) -> None:
    g = graph(spec)
    n = len(g)
    rng = np.random.default_rng(0)
    hub = np.eye(n)[:, [np.argmax([d for _, d in g.degree])]]
    smooth = np.linalg.eigh(laplacian(g))[1][:, [min(1, n - 1)]]
    x = np.hstack(
        [rng.normal(size=(n, 2)), 1e6 + rng.normal(size=(n, 1)), hub, smooth, rng.integers(0, 2, (n, 1))]
    )
    mean, scale = x.mean(axis=0), np.abs(x).max(axis=0)
    for links in averaging(g).rounds(g):
        x = mix(x, links)
    assert (np.abs(x - mean).max(axis=0) <= 1e-12 * scale).all()


@pytest.mark.parametrize(
    ("spec", "rounds"),
    [
        ("full:1", 0), ("ring:2", 1), ("ring:16", 8), ("full:8", 1), ("hypercube:4", 4), ("star:8", 2),
        ("torus:4x4", 4),
        ("two-cliques:16", 3), ("hypercube:8", 8), ("line:8", 7),
    ],
)  # fmt: skip
def test_one_round_for_each_distinct_eigenvalue(spec: str, rounds: int) -> None:
    assert len(averaging(graph(spec)).nodes) == rounds


def test_where_rounding_would_cost_digits_chebyshev_takes_over() -> None:
    assert len(averaging(graph("ba:50:2")).nodes) > 50


def test_all_peers_compute_the_same_schedule() -> None:
    one, other = averaging(graph("ba:50:2")), averaging(graph("ba:50:2"))
    assert one == other
