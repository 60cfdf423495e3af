"""What holds for each method, whatever it does: a failed law is an AssertionError that says which and where.

A law takes an `Instance`: a method over some problem, with its exchange.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from gossipfl import topology
from gossipfl.algorithms import Ingredients, leaves, rebuilt
from gossipfl.algorithms.methods import Method
from gossipfl.engine import Run
from gossipfl.experiment.study.own import method, resolved
from gossipfl.mixing import Average, Mixing
from gossipfl.simulator import Simulator
from gossipfl.testing.worlds import (
    PEERS,
    STEP,
    Instance,
    Toy,
    act_live,
    after,
    in_memory,
    runner,
    simulate,
    spied,
    start,
    timetable,
)

RING = f"ring:{PEERS}"


@dataclass(frozen=True)
class Law:
    """A law, ready to be called for one method."""

    holds: Callable[[Instance], None]
    instance: Instance

    def __call__(self) -> None:
        self.holds(self.instance)

    def __str__(self) -> str:
        return self.holds.__name__.replace("_", " ")


def laws(kind: Any, step: float = STEP, gamma: float | None = None, **options: Any) -> list[Law]:
    """All laws for a method: "file.py:Class" or the class itself.

    Args:
        kind: as in `algorithm.kind` of an experiment file, or a class.
        step: its learning rate, on a problem whose gradients change by at most 3 a unit.
        gamma: the mixing step; the default is that of the method's `traits`, else 1.
        options: further arguments of the method.

    Raises:
        BadExperiment: it is no method.
    """
    found = resolved("kind", "algorithms", str(Path(kind))) if isinstance(kind, str) else kind
    row, name = method(found, f"the method {kind}"), getattr(found, "__name__", str(kind))

    def make(toy: Toy) -> Any:
        assert row.make is not None
        return row.make(Ingredients(step, hessian=toy.hessian, options=options))

    instance = Instance(name, make, Mixing(row.aggregator, gamma=row.gamma if gamma is None else gamma))
    return [Law(law, instance) for law in ALL if law is not mean_law or _averages(row)]


def _averages(row: Method) -> bool:
    return isinstance(row.aggregator, Average)


def row_law(instance: Instance) -> None:
    """Without mixing, a row depends only on itself: the other rows may have any values."""
    problem, x = Toy(range(PEERS), batch=3), start()
    for i in range(PEERS):
        others = torch.arange(PEERS) != i
        stirred = x.clone()
        stirred[others] = stirred[others] * 7 - 3
        algorithm = instance.make(problem)
        plain, wild = algorithm.init(x), algorithm.init(stirred)
        for k in range(4):
            plain = algorithm.round(plain, problem.grad(k), identity)
            wild = algorithm.round(wild, problem.grad(k), identity)
        for a, b in zip(leaves(plain).values(), leaves(wild).values(), strict=True):
            torch.testing.assert_close(a[i], b[i], rtol=1e-13, atol=1e-13)


def mix_law(instance: Instance) -> None:
    """A round mixes exactly once, also in rounds without links."""
    for period in (1, 3):
        exchanges, spying = spied(instance)
        simulate(spying, 7, topology.load(RING), period=period)
        assert len(exchanges) == 7, f"{len(exchanges)} exchanges in 7 rounds"


def mean_law(instance: Instance, spec: str = RING, blocks: slice = slice(None)) -> None:
    """Symmetric weights preserve the average over peers of everything that is exchanged (of these blocks of a message)."""
    exchanges, spying = spied(instance)
    simulate(spying, 6, topology.load(spec))
    for sent, mixed in exchanges:
        for before, now in list(zip(sent, mixed, strict=True))[blocks]:
            torch.testing.assert_close(now.mean(0), before.mean(0), rtol=1e-13, atol=1e-14)


def account_law(instance: Instance) -> None:
    """field_new - field_old == factor (mixed - sent) of its block, and the accounts of all peers sum to zero."""
    exchanges, spying = spied(instance)
    runs = simulate(spying, 12, topology.load(RING), batch=3)
    for name, account in instance.make(Toy(range(PEERS))).accounts.items():
        for before, now, (sent, mixed) in zip(runs, runs[1:], exchanges, strict=False):
            added = leaves(now.state)[name] - leaves(before.state)[name]
            expected = account.factor * (mixed[account.block] - sent[account.block])
            torch.testing.assert_close(added, expected, rtol=1e-12, atol=1e-13)
            assert leaves(now.state)[name].sum(0).abs().max() < 1e-12, (
                f"the accounts {name} do not sum to zero"
            )


def resume_law(instance: Instance, stop: int = 7) -> None:
    """The state holds all: a run that goes on from its tensors is the run that was not interrupted, bit for bit."""
    runs, toy = simulate(instance, 12, topology.load(RING), batch=3, period=2), Toy(range(PEERS), 3)
    again = Simulator(instance.make(toy), toy, timetable(topology.load(RING), 2), instance.mixing)
    resumed = after(again, thawed(frozen(runs[stop]), runs[stop]), 12 - stop)
    for one, other in zip(runs[stop:], resumed, strict=True):
        identical(one, other)


def engine_law(instance: Instance, spec: str = RING, batch: int = 3, period: int = 1) -> None:
    """The simulator and live peers have the same numbers after 60 rounds of mini-batches."""
    graph = topology.load(spec)
    expected = simulate(instance, 60, graph, batch, period)[-1]
    runs = act_live(graph, in_memory(graph), runner(instance, 60, graph, batch, period))
    for name, tensor in leaves(expected.state).items():
        close(torch.cat([leaves(run[-1].state)[name] for run in runs]), tensor)


ALL: tuple[Callable[[Instance], None], ...] = (
    row_law,
    mix_law,
    mean_law,
    account_law,
    resume_law,
    engine_law,
)


def identity(*tensors: Tensor) -> Any:
    """An exchange in which nobody hears anything."""
    return tensors if len(tensors) > 1 else tensors[0]


def close(x: Tensor, y: Tensor) -> None:
    assert ((x - y).abs() <= 1e-12 * y.abs().clamp(min=1)).all(), f"they differ by {(x - y).abs().max():.1e}"


def frozen(run: Run) -> bytes:
    """A run's tensors as the bytes of a checkpoint."""
    tensors = {f"state {name}": tensor.clone().contiguous() for name, tensor in leaves(run.state).items()}
    tensors |= {} if run.replicas is None else {"replicas": run.replicas.contiguous()}
    return save(tensors, {"round": str(run.round)})


def thawed(data: bytes, like: Run) -> Run:
    """The run of these bytes."""
    tensors = load(data)
    state = rebuilt({name: tensors[f"state {name}"] for name in leaves(like.state)}, like.state)
    return like._replace(state=state, replicas=tensors.get("replicas"))


def identical(one: Run, other: Run) -> None:
    assert one.round == other.round
    for (name, a), b in zip(leaves(one.state).items(), leaves(other.state).values(), strict=True):
        assert torch.equal(a, b), f"{name} differs in round {one.round}"
