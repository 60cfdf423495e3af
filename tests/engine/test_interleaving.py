"""A run contains everything that its future depends on: runs that share an engine do not affect each other."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from worlds import Toy, instance, metropolis

from gossipfl import topology
from gossipfl.algorithms import Ingredients, leaves, made
from gossipfl.engine import Engine, Run
from gossipfl.mixing import COMPRESSORS, Amount, Feedback, Mixing
from gossipfl.simulator import SimulatedFallback, Simulator
from gossipfl.topology import Fault, Topology, afflicted, averaging, cycle, every, lossy, static

PEERS, ROUNDS, STEP = 8, 60, 0.3
GRAPH = topology.load("ring:8")
LINKS = metropolis(GRAPH)
SCHEDULE = averaging(GRAPH).rounds(GRAPH)
TROUBLE = [
    Fault(5, "stop", (3,)),
    Fault(6, "continue", (3,)),
    Fault(30, "kill", (1,)),
    Fault(31, "restart", (1,), fresh=True),
]  # fmt: skip


def simulator(name: str, whole: Topology, mixing: Mixing, **more: float) -> Simulator:
    toy = Toy(range(PEERS), peers=PEERS)
    method = instance(name, mixing, step=STEP, **more)
    return Simulator(method.make(toy), toy, whole, mixing, diameter=4, changing=True, patience=3)


def matchings(round: int) -> topology.Links:
    """Links that change in each round and are created at each call; every fifth round has none."""
    lowest = np.minimum(LINKS.receivers, LINKS.senders)
    kept = (lowest % 2 == round % 2) & (round % 5 < 4)
    return LINKS._replace(
        receivers=LINKS.receivers[kept], senders=LINKS.senders[kept], weights=LINKS.weights[kept]
    )


def fallback() -> SimulatedFallback:
    toy, turn = Toy(range(PEERS), loss="logistic", peers=PEERS), len(SCHEDULE)
    fast, robust = (afflicted(whole, PEERS, TROUBLE) for whole in (cycle(SCHEDULE), static(LINKS)))
    swift = made("newton", Ingredients(1.0, hessian=toy.hessian, cycle=turn))
    steady = made("exact-diffusion", Ingredients(1 / float(toy.smoothness().max())))
    return SimulatedFallback(
        Simulator(swift, toy, fast, Mixing(), 4, True),
        Simulator(steady, toy, robust, Mixing(gamma=0.5), 4, True),
        turn,
    )


HALF = Mixing(gamma=0.5)
ENGINES: dict[str, Callable[[], Engine]] = {
    "static": lambda: simulator("exact-diffusion", static(LINKS), HALF),
    "local steps": lambda: simulator("d-psgd", every(static(LINKS), 3), Mixing()),
    "changing links": lambda: simulator("gradient-tracking", matchings, Mixing()),
    "faults": lambda: simulator("extra", afflicted(lossy(static(LINKS), 0.2, 4), PEERS, TROUBLE), HALF),
    "error feedback": lambda: simulator(
        "gradient-tracking", static(LINKS), Mixing(channel=Feedback(COMPRESSORS["top-k"](Amount(0.5))), gamma=0.3)
    ),
    "fallback": fallback,
}  # fmt: skip


def begun(engine: Engine, seed: int) -> Run:
    return engine.init(torch.randn(PEERS, 4, generator=torch.Generator().manual_seed(seed)).double())


def alone(make: Callable[[], Engine], seed: int, rounds: int) -> list[Run]:
    """A run with an engine of its own."""
    engine = make()
    runs = [begun(engine, seed)]
    for _ in range(rounds):
        runs.append(engine.step(runs[-1]))
    return runs


def identical(one: Run, other: Run) -> None:
    assert (one.round, one.linked, one.turn) == (other.round, other.linked, other.turn)
    for mine, its in ((one.state, other.state), (one.edges, other.edges)):
        assert mine is not None
        assert its is not None
        found = leaves(its)
        assert leaves(mine).keys() == found.keys()
        for name, tensor in leaves(mine).items():
            assert torch.equal(tensor, found[name]), name
    assert (one.replicas is None) == (other.replicas is None)
    if one.replicas is not None and other.replicas is not None:
        assert torch.equal(one.replicas, other.replicas)


def apart(engine: Engine, run: Run) -> Tensor:
    return torch.zeros(0) if run.replicas is None else engine.disagreement(run)


@pytest.mark.parametrize("name", ENGINES)
def test_runs_that_share_an_engine_do_not_disturb_each_other(name: str) -> None:
    """Two runs, stepped in a random order."""
    make = ENGINES[name]
    expected, shared = [alone(make, seed, ROUNDS) for seed in (1, 2)], make()
    runs = [begun(shared, seed) for seed in (1, 2)]
    order: Sequence[int] = torch.randperm(2 * ROUNDS, generator=torch.Generator().manual_seed(3)).tolist()
    for turn in order:
        which = turn % 2
        runs[which] = shared.step(runs[which])
        for mine, its in zip(runs, expected, strict=True):
            identical(mine, its[mine.round])
    assert [run.round for run in runs] == [ROUNDS, ROUNDS]


@pytest.mark.parametrize("name", ENGINES)
def test_disagreement_follows_from_the_run_alone(name: str) -> None:
    """For any run, in any order, from the engine that made it and from one that has never made a step."""
    engine = ENGINES[name]()
    runs, asked = [begun(engine, 1)], []
    for _ in range(ROUNDS):
        runs.append(engine.step(runs[-1]))
        asked.append(apart(engine, runs[-1]))
    for run, expected in reversed(list(zip(runs[1:], asked, strict=True))):
        assert torch.equal(apart(engine, run), expected)
        assert torch.equal(apart(ENGINES[name](), run), expected)


def test_the_fallback_takes_turns_in_these_runs() -> None:
    turns = [run.turn for run in alone(fallback, 1, ROUNDS)]
    assert {turn.robust for turn in turns if turn} == {False, True}
    assert {turn.apart for turn in turns if turn} == {False, True}
