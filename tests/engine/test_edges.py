"""Edge accounts in the simulator: against a simple twin, with random losses, absences, cuts, kills and restarts."""

import numpy as np
import pytest
import torch
from edges_twin import Twin
from safetensors.torch import load, save
from worlds import Instance, Toy, after, graphs, instance, metropolis, soft, start

from gossipfl import topology
from gossipfl.algorithms import leaves, rebuilt
from gossipfl.engine import Run, give_back
from gossipfl.mixing import COMPRESSORS, Amount, Compressed, Mixing
from gossipfl.simulator import Simulator
from gossipfl.topology import Topology, cycle, static
from gossipfl.topology.preserves import select, without

HALF, RANDOM = Mixing(gamma=0.5), Compressed(COMPRESSORS["random-k"](Amount(0.5, seed=7)))
METHODS = [
    instance("exact-diffusion", HALF),
    instance("exact-diffusion", HALF, soft),
    instance("d2", Mixing()),
    instance("extra", HALF),
    instance("opapc", HALF),
    instance("gradient-tracking", Mixing()),
    instance("exact-diffusion", HALF, beta=0.5),
    instance("extra", HALF, beta=0.5),
    instance("gradient-tracking", Mixing(), beta=0.5),
    instance("exact-diffusion", Mixing(gamma=0.5, steps=(0.9, 0.6))),
    instance("gradient-tracking", Mixing(channel=RANDOM, gamma=0.3)),
]
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m} {len(m.mixing.steps)}")
ROUNDS = 48
GRAPHS = graphs()


def failing(spec: str, seed: int) -> Topology:
    """Links with all kinds of random faults: peers away or without memory, cuts, losses, and links left out."""
    draw, whole, peers = np.random.default_rng(seed), metropolis(GRAPHS[spec]), len(GRAPHS[spec])
    one = np.minimum(whole.receivers, whole.senders) * peers + np.maximum(whole.receivers, whole.senders)
    away, rounds = np.zeros(peers, bool), []
    for k in range(ROUNDS):
        away = away ^ (draw.random(peers) < 0.1)
        kept = (draw.random(peers * peers) >= 0.1)[one] & (k % 11 < 10)
        arrives = draw.random(len(one)) >= 0.2
        if 12 <= k < 20 or 28 <= k < 36:  # cut in both directions, then in one
            arrives &= (whole.receivers < 2) == (whole.senders < 2) if k < 20 else whole.receivers > 0
        links = select(whole._replace(arrives=arrives), kept)
        forgets = away & (draw.random(peers) < 0.3)
        links = without(links, away)._replace(present=~away, forgets=forgets if k % 3 else None)
        rounds.append(links._replace(arrives=None) if k % 7 == 0 else links)
    return cycle(rounds)


def pending(simulator: Simulator, run: Run) -> torch.Tensor:
    """For each peer, what only one end heard and that end does not know yet, (n, D)."""
    ledger = run.edges
    return torch.zeros(len(run.state.x), ledger.total.shape[1], dtype=torch.float64).index_add(
        0, ledger.ends >> 32, ledger.unmatched
    )


@each_method
@pytest.mark.parametrize(
    ("spec", "patience", "seed"), [("ring:5", 3, 1), ("full:4", 0, 2), ("tree:2:2", 5, 3)]
)
def test_the_ledger_is_what_diaries_at_each_end_come_to(
    method: Instance, spec: str, patience: int, seed: int
) -> None:
    peers, rounds, x = len(GRAPHS[spec]), failing(spec, seed), start(len(GRAPHS[spec]))
    toy = Toy(range(peers), 3, peers=peers)
    simulator = Simulator(method.make(toy), toy, rounds, method.mixing, patience=patience)
    problems = [Toy([i], 3, peers=peers) for i in range(peers)]
    twin = Twin(method.make(toy), problems, rounds, method.mixing, patience)
    twin.init(x)
    run = simulator.init(x)
    for _ in range(ROUNDS):
        run = simulator.step(run)
        twin.step()
        for name, found in leaves(run.state).items():
            expected = torch.cat([leaves(twin.states[i])[name] for i in range(peers)])
            assert ((found - expected).abs() <= 1e-12 * expected.abs().clamp(min=1)).all(), name


@each_method
@pytest.mark.parametrize("patience", [0, 4])
def test_the_accounts_of_those_that_are_there_sum_to_zero(method: Instance, patience: int) -> None:
    """Except for what only one end heard and that end does not know yet. Absent peers have no accounts."""
    rounds, toy = failing("ring:5", 4), Toy(range(5), 3)
    simulator = Simulator(method.make(toy), toy, rounds, method.mixing, patience=patience)
    owed = 0
    for run in after(simulator, simulator.init(start()), ROUNDS)[1:]:
        present = rounds(run.round - 1).present
        if not len(run.edges.ends):
            continue
        settled = leaves(
            give_back(simulator.algorithm, run.state, pending(simulator, run), run.edges.blocks.tolist())
        )
        for name in simulator.algorithm.accounts:
            assert settled[name][present].sum(0).abs().max() < 1e-12
            assert settled[name][~present].abs().sum() < 1e-12
        owed += bool(run.edges.unmatched.any())
    assert owed > 5 or not patience


def thawed(run: Run) -> Run:
    """A run after saving and loading."""
    parts = {"state": run.state, "edges": run.edges}
    flat = {f"{part} {name}": t.contiguous() for part, of in parts.items() for name, t in leaves(of).items()}
    tensors = load(save(flat | {"replicas": run.replicas.contiguous()}))
    state, edges = (
        rebuilt({name: tensors[f"{part} {name}"] for name in leaves(of)}, of) for part, of in parts.items()
    )
    return run._replace(state=state, replicas=tensors["replicas"], edges=edges)


@each_method
def test_resume_law(method: Instance) -> None:
    """A saved run continues exactly the same, also if something had to be given back and peers were away."""
    rounds = failing("ring:5", 5)
    one, other = (
        Simulator(method.make(toy), toy, rounds, method.mixing, patience=3)
        for toy in (Toy(range(5), 3), Toy(range(5), 3))
    )
    runs = after(one, one.init(start()), ROUNDS)
    stop = next(k for k in range(20, ROUNDS) if runs[k].edges.unmatched.any())
    for expected, found in zip(runs[stop:], after(other, thawed(runs[stop]), ROUNDS - stop), strict=True):
        for part in ("state", "edges"):
            for name, tensor in leaves(getattr(expected, part)).items():
                assert torch.equal(leaves(getattr(found, part))[name], tensor), name


def test_a_peer_that_is_away_stays_as_it_is_and_one_that_forgets_begins_anew() -> None:
    links, x = metropolis(GRAPHS["ring:5"]), start()
    everybody = np.ones(5, bool)
    away = everybody.copy()
    away[3] = False
    gone = without(links, ~away)._replace(present=away)
    rounds = [links._replace(present=everybody)] * 4 + [gone] * 3 + [gone._replace(forgets=~away)]
    toy = Toy(range(5))
    method = instance("gradient-tracking", Mixing(), beta=0.5)
    simulator = Simulator(method.make(toy), toy, cycle(rounds), method.mixing)
    runs = after(simulator, simulator.init(x), 8)
    before, first = leaves(runs[4].state), leaves(simulator.init(x).state)
    for k in (5, 6, 7):
        for name, tensor in leaves(runs[k].state).items():
            if name == "inner.c":
                assert tensor[3].abs().max() < 1e-15 < before[name][3].abs().max(), "its sessions have ended"
            else:
                assert torch.equal(tensor[3], before[name][3])
    for name, tensor in leaves(runs[8].state).items():
        assert torch.equal(tensor[3], first[name][3])


def test_what_cannot_fail_is_not_noted() -> None:
    links, toy = metropolis(GRAPHS["ring:5"]), Toy(range(5))
    for method in METHODS:
        simulator = Simulator(method.make(toy), toy, static(links), method.mixing)
        assert not len(after(simulator, simulator.init(start()), 3)[-1].edges.ends)


def test_links_that_lead_one_way_have_no_accounts() -> None:
    """The two ends do not pull the same amount, so giving it back would not help."""
    links = topology.schedule(topology.load("directed-ring:5"), "push")(0)
    losing, toy = links._replace(arrives=np.arange(5) != 2), Toy(range(5))
    method = instance("gradient-tracking", Mixing())
    simulator = Simulator(method.make(toy), toy, static(losing), method.mixing)
    assert not len(after(simulator, simulator.init(start()), 3)[-1].edges.ends)
    whole = metropolis(GRAPHS["ring:5"])
    uneven = whole.weights * (1 + (whole.receivers < whole.senders))
    heavier = whole._replace(weights=uneven, present=np.ones(5, bool))
    simulator = Simulator(method.make(toy), toy, static(heavier), method.mixing)
    assert not len(after(simulator, simulator.init(start()), 3)[-1].edges.ends)


def test_single_precision() -> None:
    toy, method = Toy(range(5)), instance("exact-diffusion", HALF)
    simulator = Simulator(method.make(toy), _single(toy), failing("ring:5", 6), HALF, patience=3)
    run = after(simulator, simulator.init(start().float()), ROUNDS)[-1]
    assert {t.dtype for t in leaves(run.state).values()} == {run.edges.total.dtype} == {torch.float32}
    double = Simulator(method.make(toy), toy, failing("ring:5", 6), HALF, patience=3)
    expected = after(double, double.init(start()), ROUNDS)[-1].state.x
    torch.testing.assert_close(run.state.x.double(), expected, rtol=1e-4, atol=1e-4)


def _single(toy: Toy) -> Toy:
    single = Toy(range(5))
    single.a, single.b = toy.a.float(), toy.b.float()
    return single
