"""With step = "auto", methods for directed links are stable on any of them, and reach the pooled optimum."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import carry_out, settings
from worlds import after, start

from gossipfl.algorithms import METHODS
from gossipfl.config.file import parse
from gossipfl.experiment.study.make import study
from gossipfl.experiment.study.method import composition
from gossipfl.experiment.study.network import stride
from gossipfl.simulator import Simulator

KINDS = ["push-diging", "push-pull"]


@pytest.fixture
def rows(tmp_path: Path) -> str:
    """480 rows of a logistic model of three features."""
    chance = np.random.default_rng(0)
    x = chance.normal(size=(480, 3))
    y = x @ [1.0, -1.0, 0.5] + chance.normal(size=480) > 0
    lines = [f"{a:.6f},{b:.6f},{c:.6f},{'yes' if t else 'no'}" for (a, b, c), t in zip(x, y, strict=True)]
    (tmp_path / "rows.csv").write_text("a,b,c,y\n" + "\n".join(lines) + "\n")
    return str(tmp_path / "rows.csv")


def learned(engine: str, rows: str, graph: str, kind: str, rounds: int) -> dict[str, Any]:
    raw = settings(
        reference=True, data__source=rows, data__target="y", data__partition={"scheme": "sorted"}, data__test=0.0,
        topology__graph=graph, algorithm__kind=kind, model__l2=0.1, stop__rounds=rounds,
    )  # fmt: skip
    return carry_out(engine, raw, Path(rows).parent / "run")[0]


@pytest.mark.parametrize(
    ("n", "rounds", "kind"),
    [
        (8, 2500, "push-diging"),
        (8, 2500, "push-pull"),
        pytest.param(12, 8000, "push-diging", marks=pytest.mark.slow),
        pytest.param(12, 8000, "push-pull", marks=pytest.mark.slow),
        pytest.param(16, 20_000, "push-diging", marks=pytest.mark.slow),
        pytest.param(16, 20_000, "push-pull", marks=pytest.mark.slow),
    ],
)
def test_directed_rings_reach_the_optimum(n: int, rounds: int, kind: str, rows: str) -> None:
    summary = learned("simulator", rows, f"directed-ring:{n}", kind, rounds)
    assert summary["distance_to_optimum"] <= 1e-8


@pytest.mark.slow
def test_real_peers_on_a_directed_ring_reach_the_optimum(rows: str) -> None:
    summary = learned("peers", rows, "directed-ring:8", "push-pull", 2500)
    assert summary["distance_to_optimum"] <= 1e-8


def safe(graph: str, kind: str, **changes: Any) -> float:
    """The safe step in units of 1/L."""
    return stride(study(parse(settings(topology__graph=graph, algorithm__kind=kind, **changes))), kind)


@pytest.mark.parametrize(
    ("graph", "kind"),
    [
        ("directed-ring:8", "push-diging"),
        ("directed-ring:8", "push-pull"),
        ("directed-ring:8", "gradient-tracking"),
        ("directed-er:7:0.3", "push-diging"),
        ("directed-er:7:0.3", "sgp"),
    ],
)
def test_the_step_is_near_the_bound(kind: str, graph: str) -> None:
    """Quadratics with curvature 1: with the safe step errors decay, and with one 1.7 times as long they grow."""
    made = study(parse(settings(topology__graph=graph, algorithm__kind=kind)))
    h, peers = stride(made, kind), len(made.names)

    class Quadratic:
        def grad(self, round: int) -> Any:
            return lambda x: x

    def size(step: float) -> float:
        parts = composition(made, kind, step=step)
        simulator = Simulator(parts.algorithm, Quadratic(), parts.topology, parts.mixing)  # type: ignore[arg-type]
        return float(after(simulator, simulator.init(start(peers)), 1500)[-1].state.x.norm())

    assert size(h) < 1e-5
    assert not size(1.7 * h) < 1.0  # it may be nan


def test_the_step_shrinks_as_the_ring_grows() -> None:
    steps = [safe(f"directed-ring:{n}", "push-diging") for n in range(3, 21)]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] == METHODS["push-diging"].stride
    assert 0.7 < steps[17] * 20**3 / (steps[5] * 8**3) < 1.4


@pytest.mark.parametrize("graph", ["ring:20", "star:12", "line:12"])
def test_links_both_ways_keep_the_steps_of_other_methods(graph: str) -> None:
    assert safe(graph, "exact-diffusion") == safe(graph, "gradient-tracking") == 1.0
    assert safe(graph, "gradient-tracking", algorithm__local_steps=4) == 0.25
