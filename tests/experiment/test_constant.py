"""Columns, levels and classes that no training row tells anything about: coefficient 0, a warning, and the others are right."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from runs import ENGINES, settings
from scipy.sparse import csr_array

from gossipfl.algorithms import METHODS
from gossipfl.config.file import parse
from gossipfl.data import Table
from gossipfl.errors import BadData, GossipError
from gossipfl.experiment.evaluation.finish import judge
from gossipfl.experiment.evaluation.verdict import NOT_REACHED, verdict
from gossipfl.experiment.learning.simulated import Simulated
from gossipfl.experiment.learning.tables import ready
from gossipfl.experiment.learning.train import train, training
from gossipfl.experiment.study.make import study
from gossipfl.mixing import Average
from gossipfl.models import LOSSES, Linear, pooled_optimum
from gossipfl.runs.events import Warned

PEERS, ROWS = 4, 30
CONSTANT = {"zero": 0.0, "tenth": 0.1, "seven": 7.0, "year": 2022.0, "noisy": 0.3}
NAMES = ["age", *CONSTANT, "bmi", "site"]
KINDS = sorted(LOSSES.keys() - {"svm"})
STEPS = {"poisson": 0.02, "svm": 0.02}


def frames(kind):
    """A table for each peer: two columns that matter, five that are constant, one that is constant at each peer only."""
    rng = np.random.default_rng(5)
    for peer in range(PEERS):
        x, noise = rng.normal(size=(ROWS, 2)), rng.normal(size=ROWS)
        score = x @ [1.0, -0.5] + 0.3 * peer + noise
        target = {
            "binary": score > 0,
            "multiclass": np.digitize(score, [-0.5, 1.0]),
            "count": rng.poisson(np.exp(x[:, 0] / 3)),
        }
        frame = pd.DataFrame({"age": x[:, 0], **CONSTANT, "bmi": x[:, 1], "site": 1.0 + peer})
        frame["noisy"] = np.where(noise > 0, 0.1 + 0.2, 0.3)
        yield frame, np.asarray(target.get(LOSSES[kind]().task, score), dtype=float)


def tables(kind, gathered=False):
    parts = [*frames(kind)]
    if gathered:
        parts = [(pd.concat([frame for frame, _ in parts]), np.concatenate([y for _, y in parts]))]
    return [Table.of(frame, pd.Series(y, name="y"), f"peer {i}") for i, (frame, y) in enumerate(parts)]


def experiment(model, method, l2=0.0, standardise="gossip", rounds=60, **changes):
    graph = "ring:4" if isinstance(METHODS[method].aggregator, Average) else "directed-exp:4"
    raw = settings(
        data__source="nowhere", data__target="y", data__standardise=standardise, data__test=0.0, topology__graph=graph,
        model__kind=model, model__l2=l2, algorithm__kind=method, stop__rounds=rounds, stop__tolerance=1e-12, **changes,
    )  # fmt: skip
    raw["data"].pop("partition")
    if method in ("local", "gossip-learning"):
        raw["stop"].pop("tolerance")
    if METHODS[method].feedback:
        raw["channel"] = {"compress": "int8"}
    if model in STEPS and method not in ("newton", "gossip-learning"):
        raw["algorithm"]["step"] = STEPS[model]
    return parse(raw)


def coefficients(learned):
    """(peers, features, outputs), without the intercept."""
    features = len(learned.schema.features)
    return learned.models.view(len(learned.names), features + 1, -1)[:, :features]


def optimum(model, l2, standardise):
    """The pooled optimum of the columns that are not constant, and the names of these, from the raw rows."""
    shards = [(frame.copy(), y) for frame, y in frames(model)]
    kept = [name for name in NAMES if name not in CONSTANT and (name != "site" or standardise != "local")]
    everything = pd.concat([frame for frame, _ in shards])
    for frame, _ in shards:
        by = {"gossip": everything, "local": frame.copy(), "none": None}[standardise]
        if by is not None:
            frame[kept] = (frame[kept] - by[kept].mean()) / by[kept].std(ddof=0)
    loss = LOSSES[model]()
    problem = Linear([(f[kept].to_numpy(), y) for f, y in shards], loss, outputs=loss.outputs(3), l2=l2)
    return centred(pooled_optimum(problem).view(len(kept) + 1, -1)[:-1]), kept


def centred(weights):
    """Of several outputs only the differences count."""
    return weights - weights.mean(-1, keepdim=True) if weights.shape[-1] > 1 else weights


def check(model, method, l2, standardise, rounds):
    try:
        made = study(experiment(model, method, l2, standardise, rounds))
        learned = train(made, tables(model, METHODS[method].gathers))
    except GossipError as refused:
        pytest.skip(f"refused: {refused}")
    found, schema = coefficients(learned), learned.schema
    if METHODS[method].gathers:  # all rows are in one place, which standardises them by all
        standardise = "gossip" if standardise == "local" else standardise
    dead = [*CONSTANT, "site"] if standardise == "local" else [*CONSTANT]
    assert set(schema.constant) == set(dead)
    alive = [name not in dead for name in NAMES]
    assert torch.equal(
        found[:, [not one for one in alive]],
        torch.zeros(PEERS if method != "pooled" else 1, len(dead), found.shape[2]),
    )
    if METHODS[method].exact and learned.stopped == "tolerance":
        best, kept = optimum(model, l2, standardise)
        assert kept == [name for name, one in zip(NAMES, alive, strict=True) if one]
        np.testing.assert_allclose(
            centred(found[:, alive]),
            best.expand(len(found), -1, -1),
            rtol=0,
            atol=1e-6 * float(best.abs().max()),
        )
    return learned


@pytest.mark.parametrize("model", KINDS)
def test_every_loss(model):
    check(model, "newton", 0.0, "gossip", 400)


# a private method is told of no constant column
EVERY = sorted(kind for kind, method in METHODS.items() if not method.private)


@pytest.mark.parametrize("method", EVERY)
def test_every_method(method):
    check("logistic" if method != "gossip-learning" else "svm", method, 0.1, "gossip", 10)


@pytest.mark.parametrize("standardise", ["local", "none"])
def test_every_standardisation(standardise):
    check("logistic", "newton", 0.0, standardise, 400)


@pytest.mark.parametrize("method", ["exact-diffusion", "extra", "gradient-tracking"])
def test_methods_with_a_tolerance_end_at_the_pooled_optimum(method):
    assert check("linear", method, 0.1, "gossip", 4000).stopped == "tolerance"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "model", "penalty"),
    [
        (method, model, (i + j) % 3)
        for i, method in enumerate(EVERY)
        for j, model in enumerate(sorted(LOSSES))
    ],
)
def test_all_pairs_of_a_method_and_a_loss(method, model, penalty):
    l2, standardise = [(0.0, "gossip"), (0.1, "local"), (0.0, "none")][penalty]
    check(model, method, l2, standardise, 60 if METHODS[method].rounds else 10)


@pytest.mark.slow
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("model", KINDS)
@pytest.mark.parametrize("method", ["newton", "exact-diffusion", "extra", "gradient-tracking"])
def test_the_model_is_pooled_or_its_verdict_says_that_it_is_not(method, model, l2):
    try:
        made = study(experiment(model, method, l2, rounds=400 if method == "newton" else 3000))
    except GossipError as refused:
        pytest.skip(f"refused: {refused}")
    learned = train(made, tables(model))
    found, best = coefficients(learned), optimum(model, l2, "gossip")[0]
    dead = [name in CONSTANT for name in NAMES]
    assert not found[:, dead].any()
    off = (centred(found[:, [not one for one in dead]]) - best).abs().max() / best.abs().max()
    code, sentence = verdict(judge(made, learned).summary, 1e-12)
    assert off <= 1e-6 or code == NOT_REACHED, (off, sentence)
    assert off <= 1e-6 or method != "newton"


def test_it_is_named_once():
    made = study(experiment("logistic", "newton"))
    events = [*training(made, tables("logistic"), Simulated(made))]
    warned = [event.warning for event in events if isinstance(event, Warned)]
    assert warned == [
        "one value in all training rows: 'zero', 'tenth', 'seven', 'year', 'noisy'. The model has the coefficient 0 there"
    ]


def test_without_an_intercept_only_zeros_are_constant():
    """A column of ones is then the intercept."""
    learned = train(
        study(experiment("linear", "newton", standardise="none", model__intercept=False)), tables("linear")
    )
    assert learned.schema.constant == ("zero",)
    assert float(learned.models[:, 1].abs().max()) == 0


@pytest.mark.parametrize("standardise", ["gossip", "local", "none"])
@pytest.mark.parametrize("weighs", ["rows", "classes", "secure"])
def test_a_column_that_varies_only_in_rows_of_weight_0_is_constant(weighs, standardise):
    """Such rows count as if they were not there, and the model is that of the other columns."""
    given, model = [], "softmax" if weighs == "classes" else "linear"
    for i, (frame, y) in enumerate(frames(model)):
        idle = y == 2 if weighs == "classes" else np.arange(ROWS) % 3 == 0
        frame["year"] += 5.0 * idle * (frame["age"] > 0)
        if weighs != "classes":
            frame["w"] = np.where(idle, 0.0, 1.0 + frame["bmi"] ** 2)
        given.append(Table.of(frame.drop(columns=["noisy", "site"]), pd.Series(y, name="y"), f"peer {i}"))
    changes = {"model__class_weight": {"2": 0.0}} if weighs == "classes" else {"data__row_weights": "w"}
    raw = experiment(model, "newton", 0.1, standardise, **changes).model_dump(mode="json", exclude_unset=True)
    if weighs == "secure":
        raw["privacy"] = {"sums": "secure"}
    made = study(parse(raw))
    learned = train(made, [ready(made, table) for table in given])
    assert learned.schema.constant == ("zero", "tenth", "seven", "year")
    assert not coefficients(learned)[:, 1:5].any()
    assert coefficients(learned)[:, [0, 5]].abs().amax(-1).min() > 1e-3


def lonely(folder, engine, kind="softmax", **changes):
    """An experiment with the class "c", the level "third" and the level "a" in test rows only."""
    rng = np.random.default_rng(3)
    for peer in "pqr":
        frame = pd.DataFrame(
            {
                "age": rng.normal(size=40),
                "level": rng.choice(["first", "second"], 40),
                "first": rng.choice(["k", "l"], 40),
            }
        )
        frame["y"] = np.where(frame["age"] + rng.normal(size=40) > 0, "d", "e")
        frame["is_test"] = 0
        frame.loc[:3, ["level", "first", "y", "is_test"]] = [
            "third",
            "a",
            "c" if kind == "softmax" else "d",
            1,
        ]
        frame.to_csv(folder / f"{peer}.csv", index=False)
    edges = [["p", "q"], ["q", "r"]]
    (folder / "line.json").write_text(
        json.dumps(
            {
                "nodes": [{"id": name} for name in "pqr"],
                "links": [{"source": a, "target": b} for a, b in edges],
            }
        )
    )
    raw = settings(
        data__source=f"{folder}/*.csv", data__target="y", data__test="is_test", data__categorical=["level", "first"],
        topology__graph=str(folder / "line.json"), model__kind=kind, model__l2=0.01, algorithm__kind="newton",
        stop__rounds=400, stop__tolerance=1e-10, **changes,
    )  # fmt: skip
    raw["data"].pop("partition")
    return [*ENGINES[engine](parse(raw), folder / "run")]


@pytest.mark.parametrize("engine", ["simulator", pytest.param("peers", marks=pytest.mark.slow)])
def test_levels_and_classes_that_only_test_rows_have(engine, tmp_path):
    events = lonely(tmp_path, engine)
    model, summary = json.loads((tmp_path / "run" / "model.json").read_text()), events[-1].summary
    assert model["classes"] == ["d", "e", "c"]
    assert model["levels"] == {"level": ["first", "second", "third"], "first": ["k", "l", "a"]}
    assert model["coefficients"]["level=third"] == model["coefficients"]["first=a"] == [0, 0, 0]
    assert model["coefficients"]["age"][2] == model["intercept"][2] == 0
    assert model["coefficients"]["age"][0] > 0.3
    assert summary["stopped"] == "tolerance"
    assert all(np.isfinite(value) for value in summary["test"]["all"].values() if value is not None)
    assert [event.warning for event in events if isinstance(event, Warned)] == [
        "no training row with the level: 'level=third', 'first=a'; no training row of the class: 'c'. The model has the "
        "coefficient 0 there"
    ]


def test_a_model_of_two_classes_needs_training_rows_of_both(tmp_path):
    with pytest.raises(BadData, match="'d' in all training rows"):
        train(study(experiment("logistic", "newton")), [
            table.__class__(table.features, pd.Series(["d"] * 29 + ["e"], name="y"), np.arange(30) == 29, "peer")
            for table in tables("logistic")
        ])  # fmt: skip


LIVE = [
    ("linear", "exact-diffusion", 0.1, "gossip"), ("softmax", "newton", 0.0, "none"), ("logistic", "beer", 0.1, "gossip"),
    ("squared-svm", "extra", 0.1, "gossip"), ("poisson", "newton", 0.0, "gossip"), ("logistic", "newton", 0.0, "local"),
    ("huber", "gradient-tracking", 0.1, "local"), ("logistic", "newton", 0.0, "none"), ("linear", "nids", 0.1, "none"),
    ("logistic", "d-psgd", 0.0, "gossip"), ("squared-svm", "newton", 0.1, "none"), ("softmax", "push-pull", 0.1, "gossip"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("model", "method", "l2", "standardise"), LIVE)
def test_real_peers(model, method, l2, standardise, tmp_path):
    for i, (frame, y) in enumerate(frames(model)):
        frame.assign(y=y if LOSSES[model]().task == "regression" else y.astype(int)).to_csv(
            tmp_path / f"{i}.csv", index=False
        )
    given = experiment(model, method, l2, standardise, 200)
    given = given.model_copy(update={"data": given.data.model_copy(update={"source": f"{tmp_path}/*.csv"})})
    events = [*ENGINES["peers"](given, tmp_path / "run")]
    found = json.loads((tmp_path / "run" / "model.json").read_text())["coefficients"]
    dead = [*CONSTANT, "site"] if standardise == "local" else [*CONSTANT]
    assert all(not np.any(found[name]) for name in dead)
    assert len([event for event in events if isinstance(event, Warned)]) == 1
    if events[-1].summary["stopped"] == "tolerance" and METHODS[method].exact:
        best, kept = optimum(model, l2, standardise)
        own = centred(torch.tensor([found[name] for name in kept], dtype=torch.float64).view(len(kept), -1))
        np.testing.assert_allclose(own, best, rtol=0, atol=1e-6 * float(best.abs().max()))


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("exact-diffusion", {"algorithm__precondition": 4}),
        ("newton", {"model__dtype": "float32"}),
        ("gradient-tracking", {"algorithm__batch": 4}),
        ("nids", {"model__l1": 0.01}),
        ("beer", {"channel__compress": "low-rank", "model__kind": "softmax"}),
        ("extra", {"data__standardise": "none", "algorithm__step": 1e-4}),
    ],
    ids=str,
)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_all_that_a_method_is_combined_with(method, changes, sparse):
    """Exactly 0 also where coordinates change, where numbers are rounded, and where columns are sparse."""
    if sparse and (METHODS[method].averages or "model__dtype" in changes):
        pytest.skip("Hessians are dense")
    raw = experiment("logistic", method, 0.1, "gossip", 20).model_dump(mode="json", exclude_unset=True)
    for key, value in (changes | ({"data__standardise": "none"} if sparse else {})).items():
        section, _, name = key.partition("__")
        raw.setdefault(section, {})[name] = value
    if sparse and "step" not in raw["algorithm"]:
        raw["algorithm"]["step"] = 1e-4
    kind = raw["model"]["kind"]
    given = tables(kind)
    if sparse:
        given = [Table.of(csr_array(t.features.to_numpy()), t.target, t.where, NAMES) for t in given]
    learned = train(study(parse(raw)), given)
    assert set(learned.schema.constant) == {*CONSTANT}
    found = coefficients(learned)
    assert not found[:, [name in CONSTANT for name in NAMES]].any()
    assert found[:, [name not in CONSTANT for name in NAMES]].any()
