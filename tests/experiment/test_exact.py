"""The mission: all peers reach the very model that pooling all data would have given."""

import numpy as np
import pytest
from runs import carry_out, settings
from sparing import sparing

PROBLEMS = {"ridge": ("diabetes", "linear"), "logistic": ("breast_cancer", "logistic")}
GRAPHS = ["ring:16", "torus:4x4", "regular:16:4"]
EXACT = ["exact-diffusion", "extra", "gradient-tracking"]
# each method on two graphs, each graph and problem with each method
LIVE = [
    ([*PROBLEMS][(i + j) % 2], graph, algorithm)
    for i, graph in enumerate(GRAPHS)
    for j, algorithm in enumerate(EXACT)
    if i != j
]


def exact(problem, graph, algorithm, rounds=5000):
    source, kind = PROBLEMS[problem]
    return settings(
        reference=True, data__source=source, model__kind=kind, topology__graph=graph, algorithm__kind=algorithm,
        stop__rounds=rounds,
    )  # fmt: skip


@pytest.mark.parametrize("algorithm", EXACT)
@pytest.mark.parametrize("graph", sparing(GRAPHS))
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_simulator_reaches_the_pooled_optimum(problem, graph, algorithm, tmp_path):
    summary, _ = carry_out("simulator", exact(problem, graph, algorithm), tmp_path / "run")
    assert summary["distance_to_optimum"] <= 1e-8
    assert summary["agreed"]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("problem", "graph", "algorithm"), LIVE)
def test_real_peers_reach_the_pooled_optimum(problem, graph, algorithm, tmp_path):
    summary, _ = carry_out("peers", exact(problem, graph, algorithm, rounds=3000), tmp_path / "run")
    assert summary["distance_to_optimum"] <= 1e-8
    assert summary["agreed"]
    assert summary["engine"] == "peers"
    assert set(summary["peer_status"].values()) == {"rounds"}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_d_psgd_shows_its_known_bias(problem, tmp_path):
    summary, _ = carry_out("simulator", exact(problem, "ring:16", "d-psgd"), tmp_path / "run")
    assert summary["distance_to_optimum"] > 1e-3
    assert not summary["agreed"]


def test_the_closed_form_says_the_same(tmp_path):
    """Ridge by the normal equations, from the run folder's own row numbers: nothing of ours in between."""
    import json

    from sklearn.datasets import load_diabetes

    raw = exact("ridge", "ring:16", "exact-diffusion")
    carry_out("simulator", raw, tmp_path / "run")
    train = [
        i
        for peer in sorted((tmp_path / "run" / "peers").iterdir())
        for i in json.loads((peer / "rows.json").read_text())["train"]
    ]
    X, y = load_diabetes(return_X_y=True)
    X, y = X[train], y[train]
    X = (X - X.mean(0)) / X.std(0)
    w = np.linalg.solve(X.T @ X / len(X) + 0.1 * np.eye(10), X.T @ (y - y.mean()) / len(X))
    model = json.loads((tmp_path / "run" / "model.json").read_text())
    np.testing.assert_allclose(list(model["coefficients"].values()), w, rtol=1e-7)
    assert model["intercept"] == pytest.approx(y.mean(), rel=1e-9)


@pytest.mark.parametrize("baseline", ["local", "pooled"])
def test_baselines(baseline, tmp_path):
    raw = settings(reference=True, algorithm__kind=baseline, stop__rounds=3000)
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    if baseline == "pooled":
        assert summary["peers"] == 1
        assert summary["distance_to_optimum"] <= 1e-8
    else:
        assert summary["messages_sent"] < 8 * 2 * 100  # what agreeing takes, and nothing for learning
        assert summary["distance_to_optimum"] > 0.1
        assert not summary["agreed"]


def test_l1_reaches_the_pooled_optimum(tmp_path):
    raw = settings(reference=True, algorithm__kind="nids", model__l1=0.02, model__l2=0.05, stop__rounds=4000)
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    assert summary["distance_to_optimum"] <= 1e-8


def test_softmax_intercepts_sum_to_zero(tmp_path):
    import json

    raw = settings(
        reference=True, data__source="wine", data__partition={"scheme": "dirichlet", "alpha": 1.0},
        model__kind="softmax", topology__graph="ring:4", stop__rounds=4000,
    )  # fmt: skip
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    model = json.loads((tmp_path / "run" / "model.json").read_text())
    assert summary["distance_to_optimum"] <= 1e-8
    assert abs(sum(model["intercept"])) < 1e-9
    assert len(model["classes"]) == 3


@pytest.mark.parametrize("local_steps", sparing([5, 20]))
@pytest.mark.parametrize("algorithm", sparing([*EXACT, "d2"]))
def test_local_steps_keep_exact_methods_exact(algorithm, local_steps, tmp_path):
    raw = settings(
        reference=True, algorithm__kind=algorithm, algorithm__local_steps=local_steps, stop__rounds=1500,
        topology__weights="lazy" if algorithm == "d2" else "metropolis",
    )  # fmt: skip
    if algorithm == "gradient-tracking":
        raw["algorithm"]["step"], raw["stop"]["rounds"] = (
            0.3 / local_steps,
            3000,
        )  # it tracks one step an exchange
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    assert summary["distance_to_optimum"] <= 1e-8
