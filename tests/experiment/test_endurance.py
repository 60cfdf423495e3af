"""Many rounds leave nothing behind in real peers; benchmarks/endurance.py shows it over 200,000."""

import importlib.util
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "endurance.py"


@pytest.fixture(scope="module")
def endurance():
    spec = importlib.util.spec_from_file_location("endurance", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_descriptors_and_threads_stay_as_they_are(endurance):
    shown = endurance.endure(rounds=15_000, peers=3)
    assert max(shown.grown) <= endurance.LIMIT, endurance.table(shown)
    assert shown.descriptors <= endurance.LOG
    assert shown.threads == 0
    assert shown.distance <= 1e-8


def test_what_grows_is_seen(endurance):
    def look(round, memory, descriptors=20, threads=3):
        sample = endurance.Sample(float(round), memory, descriptors, threads)
        return endurance.Look(round, [sample, sample._replace(memory=50)], 0)

    flat = [look(round, 100 + round % 2, 20 + round % 3) for round in range(1, 101)]
    assert endurance.endured(flat, 100, 0.0).flat
    leaking = [look(round, round * (endurance.LIMIT // 60)) for round in range(1, 101)]
    shown = endurance.endured(leaking, 100, 0.0)
    assert shown.grown[0] > endurance.LIMIT
    assert shown.grown[1] == 0
    assert not shown.flat
    assert not endurance.endured([look(r, 100, 20 + r // 40) for r in range(1, 101)], 100, 0.0).flat
    assert not endurance.endured([look(r, 100, 20, 3 + r // 90) for r in range(1, 101)], 100, 0.0).flat
