"""One definition, two engines: the same experiment, the same numbers."""

import pytest
from runs import carry_out, models, settings

from gossipfl.algorithms import ALGORITHMS


def apart(tmp_path, raw, peers):
    simulated, _ = carry_out("simulator", raw, tmp_path / "simulated")
    lived, _ = carry_out("peers", raw, tmp_path / "lived")
    names = [str(i) for i in range(peers)]
    a, b = models(tmp_path / "simulated", names), models(tmp_path / "lived", names)
    return float(((a - b).abs() / a.abs().clamp(min=1)).max()), simulated, lived


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "local"])
def test_sixteen_processes_equal_the_simulator_after_200_mini_batch_rounds(algorithm, tmp_path):
    raw = settings(
        topology__graph="ring:16", algorithm__kind=algorithm, stop__rounds=200,
        algorithm__batch="full" if algorithm == "newton" else 8,
        algorithm__step="auto" if algorithm == "newton" else 0.05,
        topology__weights="lazy" if algorithm == "d2" else "metropolis",
        peers__patience="wan",  # on a busy machine nobody is to be left out of an exchange
    )  # fmt: skip
    distance, simulated, lived = apart(tmp_path, raw, 16)
    assert distance <= 1e-12
    assert simulated["rounds"] == lived["rounds"] == 200
    goodbyes = lived["messages_sent"] - simulated["messages_sent"]
    assert goodbyes in (16 * 2, 16 * 2 * 3), (
        "to each neighbour one, or three where nobody need be there to hear them"
    )
    assert simulated["bytes_sent"] <= lived["bytes_sent"]  # the simulator counts payloads, without headers


def test_processes_over_ipc_with_local_steps_and_decay(tmp_path):
    raw = settings(
        topology__graph="star:4", algorithm__batch=4, algorithm__local_steps=3, algorithm__kind="d-psgd",
        algorithm__decay={"kind": "inverse-sqrt", "rounds": 10}, algorithm__step=0.1, stop__rounds=30,
        peers={"transport": "ipc", "patience": "wan"},
    )  # fmt: skip
    distance, simulated, lived = apart(tmp_path, raw, 4)
    assert distance <= 1e-12
    assert simulated["rounds"] == lived["rounds"] == 30


def test_links_may_rest_for_longer_than_headers_tell_of(tmp_path):
    raw = settings(
        topology__graph="line:3", algorithm__kind="exact-diffusion", algorithm__local_steps=70,
        stop__rounds=40, peers__patience="wan",
    )  # fmt: skip
    distance, simulated, lived = apart(tmp_path, raw, 3)
    assert distance <= 1e-12
    assert simulated["rounds"] == lived["rounds"] == 40


def test_all_stop_in_the_same_round_by_tolerance(tmp_path):
    raw = settings(topology__graph="line:4", stop__rounds=5000, stop__tolerance=1e-6, peers__patience="wan")
    distance, simulated, lived = apart(tmp_path, raw, 4)
    assert simulated["stopped"] == lived["stopped"] == "tolerance"
    assert simulated["rounds"] == lived["rounds"]
    assert simulated["agreed"]
    assert lived["agreed"]
    assert distance <= 1e-12
