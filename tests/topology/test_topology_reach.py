"""How information spreads, compared with sets of peers passed on in Python; and the measured pace."""

import math

import numpy as np
import pytest
from topology_graphs import CHANGING, DIRECTED, SPECS, graph

from gossipfl.errors import BadExperiment
from gossipfl.topology import (
    WEIGHTS,
    Topology,
    churn,
    describe,
    diameter,
    dropping,
    every,
    extreme,
    horizon,
    lossy,
    pace,
    partition,
    period,
    schedule,
    spreads,
    static,
)  # fmt: skip


def brute(topology: Topology, n: int, start: int, rounds: int) -> bool:
    known = [{i} for i in range(n)]
    for k in range(start, start + rounds):
        links = topology(k)
        arrives = [True] * len(links.weights) if links.arrives is None else links.arrives.tolist()
        before = [{*words} for words in known]
        for i, j, there in zip(links.receivers.tolist(), links.senders.tolist(), arrives, strict=True):
            if there:
                known[i] |= before[j]
    return all(len(words) == n for words in known)


RING = schedule(graph("ring:9"))
TOPOLOGIES = {
    **{spec: (len(graph(spec)), schedule(graph(spec), seed=2)) for spec in CHANGING if "100" not in spec},
    "static": (9, RING),
    "lossy": (9, lossy(RING, 0.4, 3)),
    "dropping": (9, dropping(RING, 0.4, 3)),
    "churn": (9, churn(RING, 9, 0.6, 4, 3)),
    "local steps": (9, every(RING, 3)),
    "cut and healed": (9, partition(RING, [range(4)], 2, 11)),
    "alone": (1, schedule(graph("ring:1"))),
}


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_word_spreads_as_by_hand(name: str) -> None:
    n, topology = TOPOLOGIES[name]
    for start in (0, 1, 2, 7):
        for rounds in range(14):
            assert spreads(topology, n, start, rounds) == brute(topology, n, start, rounds)
    far = horizon(topology, n)
    assert all(spreads(topology, n, start, far) for start in range(32))
    assert far == 0 or not all(spreads(topology, n, start, far - 1) for start in range(32))


@pytest.mark.parametrize("spec", [s for s in SPECS if not s.endswith((":61", ":64"))])
def test_of_links_that_stay_it_is_the_diameter(spec: str) -> None:
    g = graph(spec)
    assert horizon(schedule(g), len(g)) == diameter(g)


@pytest.mark.parametrize("spec", DIRECTED)
def test_of_directed_ones_too(spec: str) -> None:
    g = graph(spec)
    assert horizon(static(WEIGHTS["push"](g)), len(g)) == diameter(g)


def test_a_word_that_never_gets_through_is_no_endless_loop() -> None:
    with pytest.raises(BadExperiment, match="50 rounds after round 0"):
        horizon(partition(RING, [range(4)], 0, 10**9), 9, most=50)


def test_a_thousand_peers_are_quick() -> None:
    assert 5 <= horizon(schedule(graph("epidemic:100:4")), 100) <= 9
    assert horizon(schedule(graph("one-peer-exp:1000")), 1000) == 10
    assert spreads(schedule(graph("base:3:1000")), 1000, 0, 14)


def test_a_period_is_found_where_links_come_again() -> None:
    assert period(RING) == 1
    assert period(schedule(graph("base:3:12"))) == 3
    assert period(schedule(graph("matching:16"))) is None
    assert period(partition(RING, [range(4)], 9, 12)) is None


@pytest.mark.parametrize("spec", ["ring:16", "ba:50:2", "two-cliques:16", "star:8"])
def test_the_measured_pace_is_the_spectrums(spec: str) -> None:
    links = WEIGHTS["metropolis"](graph(spec))
    found = pace(static(links), len(graph(spec)))
    assert found.exact is None
    assert found.rho == pytest.approx(extreme(links, len(graph(spec))).rho, rel=1e-3)


def test_the_pace_of_what_ends_and_of_what_never_does() -> None:
    assert pace(schedule(graph("full:8")), 8) == (1, 0.0)
    assert pace(schedule(graph("ring:1")), 1) == (0, 0.0)
    assert pace(schedule(graph("base:2:23")), 23).exact == 9
    assert pace(schedule(graph("one-peer-exp:12")), 12).exact is None
    silent = partition(RING, [[i] for i in range(9)], 0, 10**9)
    assert pace(silent, 9).rho == pytest.approx(1)


def test_describe_says_what_changes() -> None:
    found = describe(graph("base:3:12")).changes
    assert found is not None
    assert (found.period, found.heard_max, found.both_ways, found.keeps_mean) == (3, 2, True, True)
    assert (found.horizon, found.exact, found.rounds) == (3, 3, None)
    drawn = describe(graph("epidemic:100:4"), seed=1).changes
    assert drawn is not None
    assert (drawn.period, drawn.heard_max, drawn.both_ways, drawn.keeps_mean) == (None, 4, False, True)
    assert drawn.rho == pytest.approx(math.sqrt((100 / 5 - 1) / 99), rel=0.02)
    assert not describe(graph("epidemic-local:100:4")).changes.keeps_mean
    assert describe(graph("ring:8")).changes is None
    assert np.isfinite(describe(graph("equi-one-peer:16:4")).changes.rounds)
