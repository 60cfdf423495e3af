"""Accelerated learning as an experiment asks for it: exchanges, mu, and what does not go with them."""

from typing import Any

import pytest
from runs import carry_out, settings

from gossipfl.algorithms import OPAPC
from gossipfl.config.file import parse
from gossipfl.errors import BadExperiment, Incompatible
from gossipfl.experiment.study.make import study
from gossipfl.experiment.study.method import composition


def accelerated(**changes: Any) -> dict[str, Any]:
    base = {"model__l2": 1e-3} | ({} if "algorithm" in changes else {"algorithm__exchanges": 3})
    return settings(**(base | changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"algorithm__kind": "newton"}, 'algorithm.exchanges = [0-9]*: is not used by kind = "newton"'),
        (
            {"topology__drop": 0.1},
            '"exact-diffusion" needs links that are the same in each round, and do not fail',
        ),
        ({"topology__graph": "one-peer-exp:8"}, "needs links that are the same in each round"),
        ({"topology__graph": "directed-ring:8", "algorithm__kind": "d-psgd"}, "needs undirected links"),
        ({"algorithm__kind": "push-pull"}, 'is not used by kind = "push-pull"'),
        ({"algorithm__kind": "qg-dsgdm", "channel__compress": "top-k"}, "would amplify their errors"),
        (
            {"algorithm__kind": "choco-sgd", "channel__compress": "top-k"},
            'is not used by kind = "choco-sgd"',
        ),
        ({"algorithm__kind": "local"}, 'is not used by kind = "local"'),
        ({"algorithm__kind": "opapc", "model__l2": 0.0}, "set model.l2 or algorithm.mu above 0"),
        (
            {"algorithm__kind": "opapc", "algorithm__momentum": 0.5},
            "algorithm.momentum = 0.5: is not used",
        ),
        (
            {"algorithm__kind": "opapc", "algorithm__local_steps": 2},
            "algorithm.local_steps = 2: is not used",
        ),
        (
            {"algorithm__kind": "opapc", "algorithm__exchanges": 1, "topology__graph": "matching:8"},
            "spectrum",
        ),
        ({"algorithm__kind": "opapc", "model__l1": 0.1}, "no proximal step"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_way_out(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadExperiment, match=sentence):
        study(parse(accelerated(**changes)))


def test_several_exchanges_lift_the_bound_on_eigenvalues() -> None:
    """D2 needs all above -1/3, which raw weights of a torus do not give, and Chebyshev's exchanges do."""
    torus = {"topology__graph": "torus:4x4", "algorithm__kind": "d2"}
    with pytest.raises(Incompatible, match="needs every eigenvalue"):
        study(parse(accelerated(**torus, algorithm__exchanges=1)))
    study(parse(accelerated(**torus)))


def test_auto_takes_no_exchanges_which_not_every_method_has() -> None:
    with pytest.raises(BadExperiment, match='is not used by kind = "auto"'):
        study(parse(accelerated(algorithm__kind="auto")))


def opapc(**algorithm: Any) -> OPAPC:
    made = composition(study(parse(accelerated(algorithm={"kind": "opapc"} | algorithm))), "opapc").algorithm
    assert isinstance(made, OPAPC)
    return made


def test_opapc_takes_its_constants_from_the_experiment() -> None:
    """mu is l2 unless told; chi shrinks with the exchanges of a round."""
    assert (opapc().mu, opapc(mu=0.5).mu) == (1e-3, 0.5)
    assert opapc(exchanges=4).chi < opapc().chi / 2


@pytest.mark.parametrize("engine", ["simulator", "peers"])
def test_both_engines_count_rounds_and_send_several_messages_in_each(engine: str, tmp_path: Any) -> None:
    raw = accelerated(algorithm__kind="opapc", topology__graph="ring:4", stop__rounds=20)
    raw["stop"]["certificate"] = False  # which takes as many sums as it needs
    three, _ = carry_out(engine, raw, tmp_path / "three")
    raw["algorithm"]["exchanges"] = 1
    one, _ = carry_out(engine, raw, tmp_path / "one")
    assert three["rounds"] == one["rounds"] == 20
    assert three["messages_sent"] - one["messages_sent"] == 2 * 20 * 8


def test_opapc_reaches_the_optimum_with_a_free_intercept_where_exact_diffusion_needs_far_more(
    tmp_path: Any,
) -> None:
    raw = accelerated(reference=True, algorithm__kind="opapc", stop__rounds=2500, model__l2=1e-2)
    summary, _ = carry_out("simulator", raw, tmp_path / "opapc")
    assert summary["distance_to_optimum"] < 1e-9
    raw["algorithm"] = {"kind": "exact-diffusion"}
    summary, _ = carry_out("simulator", raw, tmp_path / "plain")
    assert summary["distance_to_optimum"] > 1e-4
