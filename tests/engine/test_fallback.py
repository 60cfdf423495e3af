"""Newton's method with exact diffusion as fallback: when they take turns, and that a discarded cycle has no effect."""

from collections.abc import Sequence

import torch
from torch import Tensor
from worlds import Toy, metropolis, newton

from gossipfl import topology
from gossipfl.algorithms import Ingredients, made
from gossipfl.engine import Run, relative_distance
from gossipfl.mixing import Mixing
from gossipfl.simulator import SimulatedFallback, Simulator
from gossipfl.topology import Fault, afflicted, averaging, cycle, static

GRAPH = topology.load("ring:8")
SCHEDULE = averaging(GRAPH).rounds(GRAPH)
TURN = len(SCHEDULE)
assert TURN == 4


def engine(faults: Sequence[Fault], loss: str = "logistic") -> SimulatedFallback:
    toy = Toy(range(8), loss=loss, peers=8)
    fast, robust = (afflicted(whole, 8, faults) for whole in (cycle(SCHEDULE), static(metropolis(GRAPH))))
    swift = made("newton", Ingredients(1.0, hessian=toy.hessian, cycle=TURN))
    steady = made("exact-diffusion", Ingredients(1 / float(toy.smoothness().max())))
    ahead = 4, True
    return SimulatedFallback(
        Simulator(swift, toy, fast, Mixing(), *ahead),
        Simulator(steady, toy, robust, Mixing(gamma=0.5), *ahead),
        TURN,
    )


def runs(made: SimulatedFallback, rounds: int) -> list[Run]:
    found = [made.init(torch.zeros(8, 4, dtype=torch.float64))]
    for _ in range(rounds):
        found.append(made.step(found[-1]))
    return found


def robust(run: Run) -> bool:
    return hasattr(run.state, "e")


def off(x: Tensor) -> float:
    return float(relative_distance(x, newton(Toy(range(8), peers=8))[None]).max())


def test_without_faults_it_is_the_fast_one_to_the_last_bit() -> None:
    made = engine([])
    for mine, its in zip(runs(made, 40), runs_of(made.fast, 40), strict=True):
        assert torch.equal(mine.state.x, its.state.x)
    assert made.robust.messages_sent == 0


def runs_of(simulator: Simulator, rounds: int) -> list[Run]:
    found = [simulator.init(torch.zeros(8, 4, dtype=torch.float64))]
    for _ in range(rounds):
        found.append(simulator.step(found[-1]))
    return found


def test_a_cycle_in_which_one_message_was_missing_comes_to_nothing() -> None:
    """It is discarded at its end. After two cycles without faults the fast method is used again."""
    stop = [Fault(5, "stop", (3,)), Fault(6, "continue", (3,))]
    found = runs(engine(stop), 24)
    assert torch.equal(found[8].state.x, found[4].state.x)
    assert [robust(run) for run in found] == [8 <= run.round <= 16 for run in found]
    assert off(found[8].state.x) > 1e-2


def test_who_forgot_in_that_cycle_has_forgotten() -> None:
    """Even if it happens in the last round of the cycle."""
    for round in (5, 7):
        faults = [Fault(round, "kill", (3,)), Fault(round + 1, "restart", (3,), fresh=True)]
        x = runs(engine(faults), 8)[8].state.x
        assert bool((x[3] == 0).all())
        assert not bool((x[2] == 0).all())


def test_after_models_that_differ_the_first_step_makes_one_of_them_and_the_next_ones_get_there() -> None:
    """The mean of gradients at eight models may be shorter than at any single one, so later steps must not use it."""
    faults = [Fault(1, "kill", (1,)), Fault(9, "restart", (1,))]
    for loss in ("squares", "logistic"):
        found, toy = runs(engine(faults, loss), 88), Toy(range(8), loss=loss, peers=8)
        assert robust(found[20])
        assert not robust(found[-1])
        x, start = found[-1].state.x, torch.zeros(8, 4, dtype=torch.float64)
        assert float((x - x[0]).abs().max()) < 1e-12
        assert float(toy.grad(0)(x).mean(0).norm()) < 1e-12 * float(toy.grad(0)(start).mean(0).norm())


def test_who_did_not_move_because_a_cycle_was_discarded_is_not_converged() -> None:
    """The learning loop sees models that do not move as converged, until the next cycle is over."""
    stop = [Fault(5, "stop", (3,)), Fault(6, "continue", (3,))]
    made, converged, told = engine(stop), torch.ones(8, dtype=torch.bool), []
    run = made.init(torch.zeros(8, 4, dtype=torch.float64))
    for _ in range(24):
        run = made.step(run)
        told.append(made.settled(converged if run.round > 7 else ~converged))
    assert told.index(True) + 1 == 12 + 4, "the news starts in round 12"


def test_an_average_in_which_somebody_was_missing_is_no_error() -> None:
    """However large the values become: here peers send numbers of 1e160."""
    graph = topology.load("line:60")
    schedule, toy = averaging(graph).rounds(graph), Toy(range(60), peers=60)
    algorithm = made("newton", Ingredients(1.0, hessian=toy.hessian, cycle=len(schedule)))
    simulator = Simulator(algorithm, toy, afflicted(cycle(schedule), 60, [Fault(3, "loss", (), 0.2)]))
    run = simulator.init(torch.zeros(60, 4, dtype=torch.float64))
    for _ in schedule:
        run = simulator.step(run)
    assert run.state.x.isfinite().all()
