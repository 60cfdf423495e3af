"""The table of algorithms is true: what it says of each is what the code does."""

import json
import re

import pytest
import torch
from commands import gossipfl, small

from gossipfl.algorithms import ALGORITHMS, DPSGD, METHODS, GradientTracking, Ingredients, made
from gossipfl.config.algorithm import KEYS
from gossipfl.config.experiment import Experiment
from gossipfl.config.file import parse
from gossipfl.experiment.study.make import study
from gossipfl.experiment.study.method import composition
from gossipfl.gossip import GossipLearning, MergeUpdate, Pegasos
from gossipfl.mixing import COMPRESSORS, Feedback
from gossipfl.report.algorithms import AUTO, entries

ENTRIES = {entry.name: entry for entry in entries()}


def numbers_sent(name: str, d: int) -> int:
    """What one row gives to `mix` in a round."""
    sent = []

    def mix(*tensors):
        sent.append(sum(tensor.shape[1] for tensor in tensors))
        return tensors if len(tensors) > 1 else tensors[0]

    algorithm = made(
        name, Ingredients(0.1, hessian=lambda x: torch.eye(d, dtype=x.dtype).expand(len(x), -1, -1), cycle=3)
    )
    algorithm.round(algorithm.init(torch.zeros(1, d, dtype=torch.float64)), torch.zeros_like, mix)
    (count,) = sent
    return count


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("d", [1, 4, 7])
def test_what_is_sent_is_what_the_table_says(name, d):
    formula = re.sub(r"(\d)d", r"\1*d", ENTRIES[name].sends).replace("d(", "d*(").replace("/", "//")
    assert set(formula) <= set("d0123456789+*/() ")
    terms = (
        sum(_value(term, d) for term in formula.split(" + "))
        if "(" not in formula
        else 2 * d + d * (d + 1) // 2
    )
    assert numbers_sent(name, d) == terms


def _value(term, d):
    factor, _, rest = term.partition("*")
    return d if term == "d" else int(factor) * d if rest else int(term)


def test_every_algorithm_has_formula_and_papers():
    for entry in ENTRIES.values():
        assert "mix(" in entry.formula or "mean" in entry.formula
        assert re.search(r"(19|20)\d\d", entry.papers), entry.name
        assert entry.about


def test_the_list_and_one_of_it(capsys):
    told = gossipfl("algorithms")
    assert told.code == 0
    assert all(name in told.out for name in METHODS)
    told = gossipfl("algorithms", "push-diging")
    assert "SIAM" in told.out
    found = gossipfl("algorithms", "--format", "json").json
    assert set(found["algorithms"]) == {*METHODS}
    assert set(found["compressors"]) == set(COMPRESSORS)


def test_every_kind_that_an_experiment_may_name_is_explained():
    kinds = Experiment.model_json_schema()["$defs"]["AlgorithmSettings"]["properties"]["kind"]["anyOf"][0][
        "enum"
    ]
    assert {*kinds} == {*KEYS} == {*ENTRIES, "auto"} == {*METHODS, "auto"}
    assert AUTO[:30] in gossipfl("algorithms", "AUTO").out


@pytest.mark.parametrize("name", METHODS)
def test_what_is_listed_can_be_written(name, tmp_path):
    """With what its row says that it needs beside the kind."""
    method = METHODS[name]
    wanted = {"algorithm.kind": name}
    wanted |= {"channel.compress": "top-k"} if method.feedback else {}
    wanted |= {} if method.talks and method.rounds else {"stop.tolerance": 0}
    wanted |= {"model.l2": 0.1}
    if method.private:
        wanted |= {
            "privacy.sums": "private",
            "privacy.epsilon": 2.0,
            "data.standardise": "none",
            "stop.tolerance": 0,
        }
        wanted |= {"data.classes": ["0", "1"], "model.kind": method.models[0]}
        if method.deviations:
            wanted |= {"data.standardise": "gossip", "data.bounds.y": [0, 9]}
    wanted |= {"topology.graph": "full:4"} if name == "d2" else {}
    words = [word for key, value in wanted.items() for word in ("-s", f"{key}={json.dumps(value)}")]
    checked = gossipfl("config", "check", small(tmp_path), *words)
    assert checked.code == 0, checked.err


@pytest.mark.parametrize(("name", "inner"), [("beer", GradientTracking), ("choco-sgd", DPSGD)])
def test_methods_over_compressed_messages_are_others_with_error_feedback(name, inner):
    raw = {"data": {"source": "iris"}, "topology": {"graph": "ring:4"}}
    raw |= {"algorithm": {"kind": name}, "channel": {"compress": "top-k"}}
    parts = composition(study(parse(raw)), name)
    assert isinstance(parts.algorithm, inner)
    assert isinstance(parts.mixing.channel, Feedback)


def test_gossip_learning_is_told_by_its_parts():
    told = " ".join(gossipfl("algorithms", "gossip-learning").out.split())
    for part in (GossipLearning, MergeUpdate, Pegasos):
        formula = " ".join(part.__doc__.split("\n\n")[0].split())
        assert formula in told
    assert "Ormándi, Hegedűs, Jelasity" in told


def test_an_unknown_one_is_refused_with_the_known_ones():
    told = gossipfl("algorithms", "adam")
    assert told.code == 3
    assert "exact-diffusion" in told.err
    assert "beer" in told.err
