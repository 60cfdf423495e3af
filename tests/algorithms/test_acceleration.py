"""Several Chebyshev exchanges in one round: against their polynomial, against their bound, and in both engines."""

import math
from itertools import islice

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_textbook import ridge
from torch import Tensor
from worlds import PEERS, PLAIN, Instance, Toy, after, dense, live, metropolis, start

from gossipfl import topology
from gossipfl.algorithms import ALGORITHMS, Algorithm, Consensus, Ingredients, leaves, made
from gossipfl.engine import Run
from gossipfl.mixing import Average, Mixing
from gossipfl.peer import Exchange, Peer
from gossipfl.simulator import Simulator
from gossipfl.topology import every, static
from gossipfl.topology.chebyshev import Accelerated, accelerated

RING = topology.load(f"ring:{PEERS}")
AVERAGED = [
    instance
    for instance in PLAIN
    if isinstance(instance.mixing.aggregator, Average) and not instance.name.startswith("newton")
]


def of(graph: nx.Graph, exchanges: int) -> Accelerated:
    ends = topology.extreme(metropolis(graph), len(graph))
    return accelerated(ends.second, ends.smallest, exchanges)


def polynomial(graph: nx.Graph, exchanges: int) -> np.ndarray:
    """P(I - W) = T_K((high + low - 2 (I - W)) / (high - low)) / T_K((high + low) / (high - low)), by the recurrence of T."""
    w = dense(metropolis(graph), len(graph))
    values = 1 - np.linalg.eigvalsh(w)[:-1]
    low, high = (float(f"{end:.5g}") for end in (values.min() * (1 - 1e-4), values.max() * (1 + 1e-4)))
    one = np.eye(len(w))

    def t(x: np.ndarray) -> np.ndarray:
        before, now = np.eye(len(x)), x
        for _ in range(exchanges - 1):
            before, now = now, 2 * x @ now - before
        return now

    matrix: np.ndarray = t(((high + low) * one - 2 * (one - w)) / (high - low))
    return matrix / t(np.array([[(high + low) / (high - low)]]))


@pytest.mark.parametrize("spec", ["ring:16", "torus:4x4", "star:6", "line:9", "full:4", "ring:2", "tree:2:3"])
@pytest.mark.parametrize("exchanges", [1, 2, 3, 5, 12])
@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_a_round_is_the_chebyshev_polynomial_and_falls_as_its_bound_says(
    spec: str, exchanges: int, gamma: float
) -> None:
    graph = topology.load(spec)
    plan, x = of(graph, exchanges), start(len(graph))
    simulator = Simulator(Consensus(), None, static(metropolis(graph)), Mixing(gamma=gamma, steps=plan.steps))
    mixed = after(simulator, simulator.init(x), 1)[-1].state.x
    matrix = polynomial(graph, exchanges)
    expected = (1 - gamma) * x.numpy() + gamma * matrix @ x.numpy()
    np.testing.assert_allclose(mixed, expected, rtol=1e-12, atol=1e-13)
    values = np.linalg.eigvalsh(matrix)[:-1] if plan.left < 1 - 1e-9 else np.array([plan.left])
    assert np.abs(values).max() <= plan.left * (1 + 1e-9) + 1e-14
    if len(graph) > 4:  # with fewer eigenvalues W does not reach the bound
        assert np.abs(values).max() >= plan.left * 0.4 or exchanges > 3


@given(st.floats(1e-4, 1.9), st.floats(0.01, 1.0), st.integers(1, 40))
def test_the_exchanges_are_worth_the_root_of_the_condition_number(
    high: float, part: float, exchanges: int
) -> None:
    """left <= 2 ((sqrt(k) - 1) / (sqrt(k) + 1))^K, k = high / low; and more exchanges are never worse."""
    low = high * part
    plan = accelerated(1 - low, 1 - high, exchanges)
    root = math.sqrt(1 / part * 1.0003)
    assert len(plan.steps) == exchanges
    assert plan.left <= 2 * ((root - 1) / (root + 1)) ** exchanges * (1 + 1e-6) + 1e-300
    assert plan.left >= accelerated(1 - low, 1 - high, exchanges + 1).left


def test_partial_products_stay_small() -> None:
    """In Leja order a hundred exchanges on a long ring end at the mean, without loss of precision."""
    graph, x = topology.load("ring:64"), start(64)
    plan = of(graph, 250)
    simulator = Simulator(Consensus(), None, static(metropolis(graph)), Mixing(steps=plan.steps))
    mixed = after(simulator, simulator.init(x), 1)[-1].state.x
    assert (mixed - x.mean(0)).abs().max() < plan.left * 64 + 1e-12


def accelerate(instance: Instance, graph: nx.Graph, exchanges: int) -> Mixing:
    return instance.mixing._replace(steps=of(graph, exchanges).steps)


@pytest.mark.parametrize("instance", AVERAGED, ids=str)
@pytest.mark.parametrize("kind", ["memory", "tcp"])
def test_engine_law(instance: Instance, kind: str) -> None:
    """Both engines compute the same numbers, count the same messages, and stop in the same round."""
    schedule, x, mixing = every(static(metropolis(RING)), 2), start(), accelerate(instance, RING, 3)
    toy = Toy(range(PEERS), 3)
    simulator = Simulator(instance.make(toy), toy, schedule, mixing, diameter=2)
    expected, stopped = until_settled(simulator, simulator.init(x))

    def act(i: int, exchange: Exchange) -> tuple[Run, int, int, Tensor]:
        own = Toy([i], 3)
        peer = Peer(exchange, instance.make(own), own, schedule, mixing, diameter=2)
        run, round = until_settled(peer, peer.init(x[i : i + 1]))
        assert exchange.number == round * 3
        return run, round, peer.messages_sent, peer.disagreement(run)

    told = live(kind, RING, act)
    assert {round for _, round, _, _ in told} == {stopped} == {24}
    assert sum(sent for *_, sent, _ in told) == simulator.messages_sent == 12 * 3 * 2 * PEERS
    apart = torch.cat([distance for *_, distance in told])
    torch.testing.assert_close(apart, simulator.disagreement(expected), rtol=1e-9, atol=1e-11)
    for name, tensor in leaves(expected.state).items():
        found = torch.cat([leaves(run.state)[name] for run, *_ in told])
        assert ((found - tensor).abs() <= 1e-12 * tensor.abs().clamp(min=1)).all()


def until_settled(engine: Simulator | Peer, begin: Run) -> tuple[Run, int]:
    """Run until all peers are known to be converged. All are converged from round 20 on."""
    for run in engine.rounds(begin):
        converged = torch.full((len(run.state.x),), run.round >= 20)
        if run.round % 2 == 0 and engine.settled(converged):
            return run, run.round
    raise AssertionError


def test_disagreement_is_that_of_what_was_sent_first() -> None:
    mixing = Mixing(steps=of(RING, 3).steps)
    plain, several = (Simulator(Consensus(), None, static(metropolis(RING)), m) for m in (Mixing(), mixing))
    one, other = (after(each, each.init(start()), 1)[-1] for each in (plain, several))
    assert torch.equal(plain.disagreement(one), several.disagreement(other))


def rounds_to(
    eps: float, algorithm: Algorithm, problem: Toy, graph: nx.Graph, mixing: Mixing, most: int = 4000
) -> float:
    """Rounds until all peers are within this relative distance of the pooled optimum; inf if `most` are not enough."""
    optimum = ridge(problem)
    simulator = Simulator(algorithm, problem, static(metropolis(graph)), mixing)
    for run in islice(simulator.rounds(simulator.init(start(len(graph)))), most):
        if (run.state.x - optimum).norm(dim=1).max() < eps * optimum.norm():
            return run.round
    return math.inf


@pytest.mark.parametrize(
    ("name", "part"), [("gradient-tracking", 20), ("extra", 5), ("exact-diffusion", 2.5)]
)
def test_fewer_rounds_on_a_ring(name: str, part: float) -> None:
    """A case limited by the ring, not by the problem. With gradient tracking, exchanges are fewer too."""
    graph, problem = topology.load("ring:12"), Toy(range(12), loss="squares", l2=10.0, peers=12)
    algorithm = made(name, Ingredients(1 / float(problem.smoothness().max())))
    plain = Mixing(gamma=ALGORITHMS[name].gamma)
    slow = rounds_to(1e-8, algorithm, problem, graph, plain)
    fast = rounds_to(1e-8, algorithm, problem, graph, plain._replace(steps=of(graph, 4).steps))
    assert fast * part < slow


def test_opapc_takes_the_root_of_the_rounds_of_exact_diffusion_to_the_pooled_optimum() -> None:
    """A badly conditioned ridge problem on a ring, where more exchanges in a round help again."""
    graph, problem = topology.load("ring:12"), Toy(range(12), loss="squares", l2=0.05, peers=12)
    problem.a *= torch.tensor([1.0, 0.3, 0.1, 0.03], dtype=torch.float64)
    step, ends = 1 / float(problem.smoothness().max()), topology.extreme(metropolis(graph), 12)
    half, plan = Mixing(gamma=0.5), of(graph, 4)
    plain, *counts = (
        rounds_to(1e-10, made(name, Ingredients(step, mu=0.05, chi=2 / (1 - second))), problem, graph, mixing)
        for name, second, mixing in (
            ("exact-diffusion", 0.0, half),
            ("opapc", ends.second, half),
            ("opapc", plan.left, half._replace(steps=plan.steps)),
        )
    )
    assert 5 * counts[1] < 2 * counts[0] < plain


@pytest.mark.parametrize(("mu", "chi"), [(1.0, 1.0), (1e-3, 300.0)])
def test_opapc_with_wrong_constants_takes_longer_to_the_same_optimum(mu: float, chi: float) -> None:
    graph, problem = topology.load("ring:12"), Toy(range(12), loss="squares", l2=0.1, peers=12)
    step, second = 1 / float(problem.smoothness().max()), topology.extreme(metropolis(graph), 12).second
    right = Ingredients(step, mu=0.1, chi=2 / (1 - second))
    taken = [
        rounds_to(1e-10, made("opapc", of), problem, graph, Mixing(gamma=0.5))
        for of in (right, right._replace(mu=mu, chi=chi))
    ]
    assert taken[0] < taken[1] < math.inf
