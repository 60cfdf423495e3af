"""What an experiment may ask for: what is chosen where it does not say, what is refused, and that what is accepted is right."""

import json
import re
from dataclasses import asdict

import numpy as np
import pytest
from runs import carry_out, settings
from sparing import sparing

from gossipfl.config.file import parse
from gossipfl.errors import BadExperiment, Incompatible
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.learning.simulated import Simulated
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.study.make import study
from gossipfl.report.topology import costs
from gossipfl.topology import describe


def simulated(tmp_path, **changes):
    return carry_out("simulator", settings(reference=True, **changes), tmp_path / "run")[0]


@pytest.mark.parametrize(
    ("changes", "chosen"),
    [
        ({}, "newton"),
        ({"algorithm__step": 0.1}, "exact-diffusion"),
        ({"model__l1": 0.01}, "newton"),
        ({"model__l1": 0.01, "topology__drop": 0.1}, "gradient-tracking"),
        ({"model__l1": 0.01, "topology__graph": "base:3:8"}, "nids"),
        ({"stop__rounds": 3}, "exact-diffusion"),
        ({"data__source": "digits", "model__kind": "softmax"}, "newton"),
        ({"data__source": "digits", "model__kind": "softmax", "topology__graph": "directed-exp:8"}, "newton"),
        ({"topology__graph": "base:3:8"}, "newton"),
        ({"topology__graph": "matching:8"}, "gradient-tracking"),
        ({"topology__drop": 0.1}, "gradient-tracking"),
        ({"topology__loss": 0.1}, "exact-diffusion"),
        ({"topology__loss": 0.1, "topology__drop": 0.1}, "exact-diffusion"),
        ({"topology__loss": 0.1, "topology__graph": "base:3:8"}, "gradient-tracking"),
        ({"topology__loss": 0.1, "topology__graph": "directed-exp:8"}, "push-pull"),
        ({"topology__graph": "directed-exp:8"}, "newton"),
        ({"topology__graph": "directed-exp:8", "algorithm__step": 0.1}, "push-diging"),
        ({"topology__graph": "directed-exp:8", "model__l1": 0.01}, "newton"),
        ({"topology__graph": "directed-exp:8", "model__l1": 0.01, "algorithm__step": 0.1}, "push-pull"),
        ({"channel__compress": "int8"}, "beer"),
        ({"model__kind": "huber", "data__source": "diabetes"}, "newton"),
    ],
    ids=str,
)
def test_what_auto_chooses(changes, chosen, tmp_path):
    summary = simulated(tmp_path, algorithm__kind="auto", **{"stop__rounds": 20, **changes})
    assert summary["algorithm"] == chosen


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"algorithm__kind": "newton", "algorithm__gamma": 0.5}, "algorithm.gamma = 0.5: is not used by"),
        ({"algorithm__kind": "newton", "algorithm__step": 0.5}, 'is not used by kind = "newton"'),
        ({"algorithm__kind": "extra", "algorithm__mu": 0.5}, "algorithm.mu = 0.5: .* one of opapc"),
        ({"algorithm__kind": "d-psgd", "algorithm__mu": 0.5}, "algorithm.mu = 0.5: is not used"),
        (
            {"algorithm__kind": "newton", "algorithm__momentum": 0.5},
            "algorithm.momentum = 0.5: is not used",
        ),
        (
            {"algorithm__kind": "opapc", "algorithm__momentum": 0.5},
            "algorithm.momentum = 0.5: is not used",
        ),
        ({"algorithm__kind": "auto", "algorithm__gamma": 0.5}, "algorithm.gamma = 0.5: is not used"),
        ({"algorithm__kind": "d-psgd", "channel__compress": "top-k"}, 'set algorithm.kind = "choco-sgd"'),
        (
            {"algorithm__kind": "gradient-tracking", "channel__compress": "int8"},
            'set algorithm.kind = "beer"',
        ),
        ({"algorithm__kind": "exact-diffusion", "model__l1": 0.1}, 'algorithm.kind = "nids"'),
        ({"algorithm__kind": "beer"}, 'channel.compress = "top-k"'),
        (
            {"algorithm__kind": "choco-sgd", "channel__compress": "int8", "channel__feedback": False},
            "channel.feedback = true",
        ),
        (
            {"algorithm__kind": "newton", "algorithm__averaging": "exact", "model__kind": "huber"},
            "needs a second derivative",
        ),
        ({"algorithm__kind": "newton", "topology__drop": 0.1}, "needs exact averages"),
        ({"algorithm__kind": "push-pull", "algorithm__local_steps": 5}, "requires FIXED"),
        ({"algorithm__kind": "push-pull", "topology__graph": "matching:8"}, "requires FIXED"),
        ({"algorithm__kind": "exact-diffusion", "topology__graph": "directed-ring:8"}, "requires SYMMETRIC"),
        ({"algorithm__kind": "gradient-tracking", "topology__graph": "directed-er:8:0.4"}, "requires MEAN"),
        ({"channel__compress": "low-rank", "algorithm__kind": "beer"}, 'is for model.kind = "softmax" only'),
        (
            {"algorithm__kind": "extra", "algorithm__exchanges": 900},
            "algorithm.exchanges = 900 is more than these links need",
        ),
        (
            {"algorithm__kind": "push-diging", "topology__graph": "directed-exp:8", "model__l1": 0.1},
            "push-pull",
        ),
        (
            {"topology__loss": 0.1, "topology__graph": "epidemic:8:2", "algorithm__kind": "auto"},
            "requires RELIABLE",
        ),
    ],
    ids=str,
)
def test_what_is_refused_before_any_data_are_read(changes, sentence):
    with pytest.raises(BadExperiment, match=sentence):
        study(parse(settings(**changes)))


@pytest.mark.parametrize(
    ("changes", "way"),
    [
        ({"algorithm__kind": "exact-diffusion", "channel__compress": "top-k"}, {"algorithm__kind": "beer"}),
        ({"algorithm__kind": "gradient-tracking", "channel__compress": "top-k"}, {"algorithm__kind": "beer"}),
        ({"algorithm__kind": "exact-diffusion", "model__l1": 0.1}, {"algorithm__kind": "nids"}),
        ({"algorithm__kind": "exact-diffusion", "channel__compress": "top-k"}, {"channel__compress": "none"}),
        (
            {"algorithm__kind": "gradient-tracking", "channel__compress": "int8", "channel__feedback": False},
            {"channel__feedback": True, "algorithm__kind": "beer"},
        ),
        ({"algorithm__kind": "gradient-tracking", "topology__graph": "directed-er:8:0.4"}, {"algorithm__kind": "push-diging"}),
        (
            {"algorithm__kind": "exact-diffusion", "topology__graph": "directed-ring:8"},
            {"algorithm__kind": "gradient-tracking"},
        ),
        ({"algorithm__kind": "push-pull", "algorithm__local_steps": 5}, {"algorithm__local_steps": 1}),
        ({"algorithm__kind": "push-diging", "topology__loss": 0.1}, {"topology__loss": 0}),
        ({"algorithm__kind": "d-psgd", "channel__compress": "int8", "topology__loss": 0.1}, {"channel__compress": "none"}),
        ({"algorithm__kind": "choco-sgd"}, {"channel__compress": "top-k"}),
        ({"algorithm__kind": "d2", "topology__graph": "torus:4x4"}, {"topology__weights": "lazy"}),
        ({"algorithm__kind": "newton", "algorithm__averaging": "exact", "model__l1": 0.1}, {"algorithm__averaging": "tree"}),
        ({"algorithm__kind": "newton", "topology__drop": 0.1}, {"algorithm__kind": "auto"}),
        ({"channel__compress": "low-rank", "algorithm__kind": "choco-sgd"}, {"channel__compress": "top-k"}),
    ],
    ids=str,
)  # fmt: skip
def test_the_way_out_is_a_key_of_the_file_and_leads_out(changes, way):
    with pytest.raises(Incompatible) as refused:
        study(parse(settings(**changes)))
    for place, value in way.items():
        key = place.replace("__", ".")
        assert re.search(rf"{key} = .*{json.dumps(value)}", str(refused.value)), refused.value
    study(parse(settings(**changes | way)))


@pytest.mark.parametrize(
    ("graph", "along_a_tree"),
    [("star:50", True), ("line:4", True), ("er:20:0.2", True), ("ring:8", False), ("full:50", False), ("torus:4x4", False)],
)  # fmt: skip
def test_newton_sums_along_a_tree_unless_averages_take_fewer_exchanges(graph, along_a_tree):
    made = study(parse(settings(topology__graph=graph, algorithm__kind="newton")))
    assert (made.tree.exchanges <= made.cycle) == along_a_tree == made.sums("newton")


@pytest.mark.parametrize("graph", ["ring:8", "star:12", "directed-exp:8"])
def test_a_whole_run_costs_what_the_command_says(graph):
    how = {"kind": "newton", "averaging": "tree"}
    made = study(parse(settings(
        topology__graph=graph, algorithm=how, model__l2=1e-3, data__test=0.0, stop={"rounds": 400, "tolerance": 1e-12},
    )))  # fmt: skip
    session = Session(made, tables(made), range(len(made.names)), Simulated(made))
    assert [*session]
    told = costs(asdict(describe(made.graph)), 31)["newton, 11 sums"]
    assert session.agreement.exchanges + session.outcome.rounds == told["exchanges"]
    assert session.bytes_sent / len(made.names) == pytest.approx(told["bytes"], rel=0.01)


def test_newton_takes_no_fewer_rounds_than_a_step(tmp_path):
    with pytest.raises(BadExperiment, match="needs 4 exchanges for a step"):
        simulated(tmp_path, algorithm__kind="newton", stop__rounds=3)


def test_a_loss_that_does_not_curve_cannot_be_preconditioned(tmp_path):
    with pytest.raises(BadExperiment, match="nothing to precondition"):
        simulated(
            tmp_path, algorithm__kind="extra", algorithm__precondition=3, model__kind="huber", model__l2=0.0,
            data__source="diabetes",
        )  # fmt: skip


def test_features_of_any_size_are_fine_with_newton(tmp_path):
    """A scale of 1e8 beside one of 1, not standardised, is no singular Hessian."""
    draw = np.random.default_rng(0)
    a, b = 1e8 * draw.normal(size=200), draw.normal(size=200)
    rows = "\n".join(
        f"{x!r},{z!r},{3 * x / 1e8 + 2 * z + 5!r}" for x, z in zip(a.tolist(), b.tolist(), strict=True)
    )
    (tmp_path / "rows.csv").write_text("a,b,y\n" + rows + "\n")
    summary = simulated(
        tmp_path, data={"source": str(tmp_path / "rows.csv"), "target": "y", "standardise": "none", "test": 0.0},
        model={"kind": "linear", "l2": 0.0}, algorithm__kind="newton", stop={"rounds": 100, "tolerance": 1e-9},
    )  # fmt: skip
    assert summary["stopped"] == "tolerance"
    assert summary["distance_to_optimum"] < 1e-8


def test_newton_recovers_from_a_step_that_overflows(tmp_path):
    """Counts of some thousand: the first step of a Poisson model goes far too far."""
    draw = np.random.default_rng(1)
    x = draw.normal(size=160)
    y = draw.poisson(np.exp(7 + 0.5 * x))
    (tmp_path / "rows.csv").write_text(
        "x,y\n" + "\n".join(f"{a},{b}" for a, b in zip(x, y, strict=True)) + "\n"
    )
    summary = simulated(
        tmp_path, data={"source": str(tmp_path / "rows.csv"), "target": "y", "test": 0.0},
        model={"kind": "poisson", "l2": 1e-3}, algorithm__kind="auto", stop={"rounds": 4000, "tolerance": 1e-10},
    )  # fmt: skip
    assert summary["algorithm"] == "newton"
    assert summary["stopped"] == "tolerance"
    assert summary["distance_to_optimum"] < 1e-8


@pytest.mark.parametrize("graph", ["directed-exp:8", "equi-directed:8:3"])
def test_gradient_tracking_learns_on_balanced_directed_links(graph, tmp_path):
    summary = simulated(
        tmp_path, algorithm__kind="gradient-tracking", topology__graph=graph, stop__rounds=3000
    )
    assert summary["distance_to_optimum"] < 1e-6


@pytest.mark.parametrize("kind", sparing(["auto", "extra", "gradient-tracking"]))
def test_lost_messages_leave_the_optimum_where_it_is(kind, tmp_path):
    summary = simulated(tmp_path, algorithm__kind=kind, topology__loss=0.1, stop__rounds=3000)
    assert summary["distance_to_optimum"] < 1e-6


def test_one_peer_has_no_direction(tmp_path):
    summary = simulated(tmp_path, topology__graph="directed-ring:1", algorithm__kind="auto", stop__rounds=40)
    assert summary["distance_to_optimum"] < 1e-8
