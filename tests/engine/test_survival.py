"""Faults do not stop the learning: in the simulator the present peers reach the optimum of the data that is present."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
import pytest
import torch
from sparing import sparing
from torch import Tensor
from worlds import Instance, Toy, instance, metropolis, newton

from gossipfl import topology
from gossipfl.algorithms import ALGORITHMS, Account, ExactDiffusion, Ingredients, made
from gossipfl.engine import relative_distance
from gossipfl.mixing import Mixing
from gossipfl.models import LOSSES, Linear, pooled_optimum
from gossipfl.simulator import Simulator
from gossipfl.topology import Fault, Topology, afflicted, churn, lossy, static

PEERS, STEP = 8, 0.3
GRAPH = topology.load("regular:8:4", seed=1)
WHOLE = static(metropolis(GRAPH))
HALF = Mixing(gamma=0.5)
METHODS = [
    instance("exact-diffusion", HALF, step=STEP),
    instance("d2", Mixing(gamma=0.8), step=STEP),
    instance("extra", HALF, step=STEP),
    instance("opapc", HALF, step=STEP),
    instance("gradient-tracking", Mixing(), step=0.2),
    instance("exact-diffusion", HALF, beta=0.5, step=STEP / 2),
    instance("gradient-tracking", Mixing(), beta=0.5, step=0.1),
]
each_method = pytest.mark.parametrize("method", sparing(METHODS, 2), ids=str)


def learning(method: Instance, schedule: Topology, patience: int = 8) -> Iterator[tuple[int, Tensor]]:
    """The number of the next round, and the models."""
    toy = Toy(range(PEERS), peers=PEERS)
    simulator = Simulator(method.make(toy), toy, schedule, method.mixing, patience=patience)
    for run in simulator.rounds(simulator.init(torch.zeros(PEERS, 4, dtype=torch.float64))):
        yield run.round, run.state.x


def off(x: Tensor, peers: Sequence[int]) -> float:
    """The distance of the farthest of these peers to the optimum of their data."""
    optimum = newton(Toy(peers, peers=PEERS))
    return float(relative_distance(x[list(peers)], optimum[None]).max())


@each_method
def test_survivors_reach_their_own_optimum_and_all_reach_that_of_all(method: Instance) -> None:
    """Some peers stay dead, one comes back with its model, one without, and another hangs for a while."""
    faults = [
        Fault(0, "loss", (), 0.1),
        Fault(20, "stop", (2,)),
        Fault(50, "continue", (2,)),
        Fault(60, "kill", (0, 5, 7)),
        Fault(700, "restart", (0,)),
        Fault(700, "restart", (7,), fresh=True),
        Fault(720, "kill", (3,)),
        Fault(720, "restart", (3,)),
    ]  # fmt: skip
    for round, x in learning(method, afflicted(WHOLE, PEERS, faults)):
        if round == 700:
            assert off(x, [1, 2, 3, 4, 6]) < 1e-8
            assert off(x, range(PEERS)) > 1e-2
        elif round == 1400:
            assert off(x, [0, 1, 2, 3, 4, 6, 7]) < 1e-8
            return


@each_method
def test_the_sides_of_a_cut_go_on_alone_and_come_together_when_it_heals(method: Instance) -> None:
    faults = [Fault(30, "cut", (0, 2, 6)), Fault(700, "heal", ())]
    sides = [0, 2, 6], [1, 3, 4, 5, 7]
    for round, x in learning(method, afflicted(lossy(WHOLE, 0.2, 4), PEERS, faults)):
        if round == 700:
            assert max(off(x, side) for side in sides) < 1e-8
        elif round == 1400:
            assert off(x, range(PEERS)) < 1e-8
            return


def field(peers: int) -> Linear:
    """Logistic regression on 20 rows a peer of 10 Gaussian features, sorted by target; l2 = 0.1."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(peers * 20, 10))
    z = x @ draw.normal(size=10) + draw.normal(size=len(x))
    order = np.argsort(z, kind="stable").reshape(peers, 20)
    return Linear([(x[own], (z[own] > 0).astype(float)) for own in order], LOSSES["logistic"](), l2=0.1)


def churned(name: str, peers: int, rounds: int, quiet: int) -> tuple[float, float]:
    """The distance of the farthest peer to the optimum of all data when the faults end, and at the end."""
    problem, converged = field(peers), static(metropolis(topology.load(f"regular:{peers}:6")))
    rough = lossy(churn(converged, peers, 0.7, 50, 1), 0.1, 2)
    usual, step = ALGORITHMS[name], 1 / float(problem.smoothness().max())
    mixing = Mixing(usual.aggregator, gamma=0.8 if name == "d2" else usual.gamma)
    algorithm = made(name, Ingredients(0.4 * step if name == "gradient-tracking" else step, mu=0.1, chi=8))
    simulator = Simulator(algorithm, problem, lambda k: rough(k) if k < rounds else converged(k), mixing)
    run = simulator.init(torch.zeros(peers, problem.width, dtype=torch.float64))
    optimum, found = pooled_optimum(problem)[None], []
    for length in (rounds, quiet):
        for _ in range(length):
            run = simulator.step(run)
        found.append(float(relative_distance(run.state.x, optimum).max()))
    return found[0], found[1]


EXACT = ["exact-diffusion", "d2", "extra", "opapc", "gradient-tracking"]


@pytest.mark.parametrize("name", sparing(EXACT))
def test_thirty_percent_away_and_ten_percent_lost_and_then_quiet(name: str) -> None:
    rough, quiet = churned(name, 100, 300, 600)
    assert rough > 1e-2
    assert quiet <= 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("name", ["exact-diffusion", "gradient-tracking"])
def test_a_thousand_peers_bear_it_too(name: str) -> None:
    assert churned(name, 1000, 1000, 1000)[1] <= 1e-8


def test_without_accounts_a_bias_stays() -> None:
    """The purpose of the accounts: compare with the same method without giving anything back."""

    class Forgetful(ExactDiffusion):
        accounts: ClassVar[Mapping[str, Account]] = {}

    toy = Toy(range(PEERS), peers=PEERS)
    faults = [Fault(0, "loss", (), 0.1), Fault(300, "loss", (), 0.0)]
    ends = []
    for kind in (Forgetful, ExactDiffusion):
        simulator = Simulator(kind(STEP), toy, afflicted(WHOLE, PEERS, faults), HALF)
        run = simulator.init(torch.zeros(PEERS, 4, dtype=torch.float64))
        for _ in range(900):
            run = simulator.step(run)
        ends.append(off(run.state.x, range(PEERS)))
    assert ends[0] > 1e-3
    assert ends[1] < 1e-10
