"""In the simulator, no peer waits for a dead peer, but all on its side wait for a peer that will come back."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from worlds import metropolis

from gossipfl import topology
from gossipfl.algorithms import Consensus
from gossipfl.simulator import Simulator
from gossipfl.topology import Fault, afflicted, churn, every, static
from gossipfl.topology.outlook import outlook
from gossipfl.topology.spans import EVER, Span

RING = metropolis(topology.load("ring:8"))
WAY = 4  # hops


def stopped(
    faults: Sequence[Fault], converged_from: int = 0, most: int = 60, over_from: int = 99, period: int = 1
) -> int:
    """The round in which all settle, if they are converged from round `converged_from` on; `most` if they never settle."""
    schedule = afflicted(every(static(RING), period), 8, faults, edges=RING)
    simulator = Simulator(Consensus(), None, schedule, diameter=WAY, changing=True)
    run = simulator.init(torch.arange(8.0, dtype=torch.float64)[:, None])
    for round in range(most):
        run = simulator.step(run)
        converged = torch.full((8,), round >= converged_from)
        if run.round % period == 0 and simulator.settled(converged, round >= over_from):
            return round
    return most


def gone(*peers: int) -> frozenset[int]:
    return frozenset(peers)


def test_without_a_fault_it_takes_the_hops() -> None:
    assert stopped([], converged_from=7) == 7 + WAY
    assert stopped([Fault(3, "kill", (2,)), Fault(5, "restart", (2,))], converged_from=7) == 7 + WAY


@pytest.mark.parametrize("do", ["kill", "stop"])
def test_survivors_settle_among_themselves_on_their_longer_way(do: str) -> None:
    """A ring of eight peers without one of them is a line of six hops."""
    assert stopped([Fault(3, do, (2,))], converged_from=7) == 7 + 6  # type: ignore[arg-type]


def test_who_will_be_back_is_waited_for() -> None:
    faults = [Fault(3, "kill", (2,)), Fault(30, "restart", (2,))]
    assert stopped(faults, converged_from=7) == 30 + WAY
    assert stopped([Fault(3, "stop", (2,)), Fault(30, "continue", (2,))], converged_from=7) == 30 + WAY


def test_a_cut_that_heals_is_waited_for_and_one_that_does_not_makes_two() -> None:
    cut = Fault(3, "cut", (2, 3, 4))
    assert stopped([cut, Fault(30, "heal", ())], converged_from=7) == 30 + WAY
    assert stopped([cut], converged_from=7) == 7 + WAY, "as many hops as on the side of five"


def test_peers_whom_a_cut_leaves_without_a_common_neighbour_are_sides_of_their_own() -> None:
    assert stopped([Fault(3, "cut", (0, 4))], converged_from=7) == 7 + WAY
    assert stopped([Fault(3, "kill", (0, 4))], converged_from=7) == 7 + WAY


def test_one_side_waits_for_its_own() -> None:
    faults = [Fault(3, "cut", (2, 3, 4)), Fault(5, "stop", (3,)), Fault(30, "continue", (3,))]
    assert stopped(faults, converged_from=7) == 30 + WAY


def test_local_steps_count_rounds_with_links() -> None:
    assert stopped([Fault(9, "kill", (2,))], converged_from=20, period=3, most=90) == 20 + 3 * 6


def test_the_clock_waits_for_nobody() -> None:
    faults = [Fault(3, "kill", (2,)), Fault(50, "restart", (2,))]
    assert stopped(faults, converged_from=99, over_from=10) == 10 + WAY


def test_who_was_away_was_not_converged() -> None:
    """News may pass peers that come and go, but an absent peer does not count as converged."""
    away = churn(static(RING), 8, 0.5, 3, 1)
    simulator = Simulator(Consensus(), None, away, diameter=40, changing=True)
    run, absent = simulator.init(torch.zeros(8, 1, dtype=torch.float64)), []
    for round in range(200):
        run = simulator.step(run)
        present = away(round).present
        assert present is not None
        absent.append(not present.all())
        if simulator.settled(torch.ones(8, dtype=torch.bool)):
            assert not absent[round - 40]
    assert any(absent)


def test_sides_and_who_waits_are_what_they_should_be() -> None:
    spans = [
        Span(gone(1), 0, EVER),
        Span(gone(5), 0, 9),
        Span(gone(4, 5, 6), 0, EVER),
        Span(gone(0, 2), 0, 9),
    ]
    ahead = outlook(8, spans)
    among = {frozenset(np.flatnonzero(ahead.sides == side).tolist()) for side in np.unique(ahead.sides)}
    assert among == {gone(1), gone(4, 5, 6), gone(0, 2, 3, 7)}
    assert ahead.waits.tolist() == [True, False, True, True, True, True, True, True]
    ahead = outlook(8, spans[:3], RING)
    assert ahead.sides[0] == ahead.sides[7] != ahead.sides[2] == ahead.sides[3], (
        "no edge is left between them"
    )
    ahead = outlook(8, [spans[0], Span(gone(4), 0, EVER)], RING)
    assert ahead.sides[2] == ahead.sides[3] != ahead.sides[5] == ahead.sides[0]
    assert not ahead.waits.any()


def test_what_was_heard_last_of_who_is_gone_is_no_disagreement() -> None:
    """A star without its centre: no peer hears another one."""
    links = metropolis(topology.load("star:5"))
    for faults, apart in (
        ([Fault(3, "kill", (0,))], False),
        ([Fault(3, "stop", (0,)), Fault(9, "continue", (0,))], True),
    ):
        schedule = afflicted(static(links), 5, faults, edges=links)
        simulator = Simulator(Consensus(), None, schedule, diameter=2, changing=True)
        run = simulator.init(torch.arange(1.0, 6.0, dtype=torch.float64)[:, None])
        for _ in range(5):
            run = simulator.step(run)
        assert bool(simulator.disagreement(run).any()) == apart
