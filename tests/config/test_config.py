"""The experiment file: everything wrong is said at once, with its key; what is right can be repeated."""

import contextlib
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import carry_out, settings

from gossipfl.config.file import Experiment, dump, load, parse, schema
from gossipfl.errors import BadData, BadExperiment, GossipError, Incompatible
from gossipfl.experiment.study.make import study

GOOD = {"data": {"source": "iris"}}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({}, ["data is missing", "source ="]),
        (GOOD | {"algoritm": {}}, ["unknown key algoritm", "did you mean algorithm?"]),
        ({"data": {"source": "iris", "tset": 0.1}}, ["unknown key data.tset", "did you mean test?"]),
        (GOOD | {"model": {"kind": "logistik"}}, ['model.kind = "logistik"', 'did you mean "logistic"?']),
        (GOOD | {"model": {"l2": -1}}, ["model.l2 = -1", "greater than or equal to 0"]),
        (GOOD | {"stop": {"rounds": "many"}}, ['stop.rounds = "many"', "integer"]),
        (GOOD | {"algorithm": {"step": "fast"}}, ['algorithm.step = "fast"', '"auto"']),
        (GOOD | {"algorithm": {"step": float("inf")}}, ["algorithm.step = Infinity", "finite"]),
        (GOOD | {"peers": {"wait": float("inf")}}, ["peers.wait = Infinity", "1000000"]),
        (GOOD | {"algorithm": {"batch": 0}}, ["algorithm.batch = 0", "greater than 0"]),
        (GOOD | {"algorithm": {"decay": {"kin": 1}}}, ["unknown key algorithm.decay.kin", "kind"]),
        (GOOD | {"model": {"kind": "module"}}, ['"file.py:function"']),
        (GOOD | {"name": "a/b"}, ["name"]),
        (GOOD | {"seed": -1, "stop": {"tolerance": float("nan")}}, ["seed = -1", "stop.tolerance"]),
    ],
)
def test_what_is_wrong_is_said(raw, words):
    with pytest.raises(BadExperiment) as caught:
        parse(raw)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model__kind": "svm"}, ['step = "auto"', "svm loss has no L", "squared-svm"]),
        ({"model__kind": "poisson"}, ['step = "auto"', "no L"]),
        ({"algorithm__kind": "d2"}, ["d2 needs every eigenvalue", 'weights = "lazy"']),
        ({"model__kind": "svm", "algorithm__step": 0.1, "reference": True}, ["reference", "squared-svm"]),
        ({"algorithm__kind": "local", "stop__tolerance": 1e-3}, ["never communicate", "tolerance = 0"]),
        ({"model__l1": 0.1, "algorithm__decay": {}}, ["l1 needs a constant step"]),
        ({"topology__graph": "rnig:8"}, ["rnig", "ring"]),
    ],
)
def test_what_does_not_fit_together_is_refused(changes, words):
    with pytest.raises(BadExperiment) as caught:
        study(parse(settings(**changes)))
    for word in words:
        assert word in str(caught.value)


def test_d2_runs_with_lazy_weights():
    study(parse(settings(algorithm__kind="d2", topology__weights="lazy")))
    assert issubclass(Incompatible, BadExperiment)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model__kind": "logistic", "data__source": "wine"}, ["two classes", "softmax"]),
        (
            {
                "data__source": "diabetes",
                "model__kind": "poisson",
                "algorithm__step": 0.1,
                "data__target": "s1",
            },
            ["counts"],
        ),
    ],
)
def test_targets_that_do_not_suit_the_model_are_refused(changes, words, tmp_path):
    with pytest.raises(BadData) as caught:
        carry_out("simulator", settings(**changes), tmp_path / "run")
    for word in words:
        assert word in str(caught.value)


def test_overrides(tmp_path):
    file = tmp_path / "e.toml"
    file.write_text('[data]\nsource = "iris"\n')
    e = load(
        file, ["stop.rounds=7", "algorithm.kind=extra", 'topology.graph="star:4"', "algorithm.decay.rounds=3"]
    )
    assert (e.stop.rounds, e.algorithm.kind, e.topology.graph) == (7, "extra", "star:4")
    assert e.algorithm.decay
    assert e.algorithm.decay.rounds == 3
    e = load(
        file, ["algorithm=extra", "topology=star:4", "rounds=7", "seed=3", "partition=sorted", "data=wine"]
    )
    assert (e.stop.rounds, e.algorithm.kind, e.topology.graph) == (7, "extra", "star:4")
    assert (e.seed, e.data.partition, e.data.source) == (3, {"scheme": "sorted"}, "wine")
    e = load(file, ["partition.scheme=dirichlet", "partition.alpha=0.1"])
    assert e.data.partition == {"scheme": "dirichlet", "alpha": 0.1}
    for bad, words in {
        "stop.rounds": "section.key=value",
        "drop=x": "write data.drop or topology.drop",
        "stpe=1": "no section has this key",
        "=3": "section.key=value",
        "stop.round=3": "did you mean rounds",
        "partition={scheme=dirichlet}": "write words in double quotes",
        "data.drop=[ward]": "write words in double quotes",
    }.items():
        with pytest.raises(BadExperiment, match=words):
            load(file, [bad])


def test_files_are_found_from_the_experiment_file_and_stay_found(tmp_path):
    (tmp_path / "d.csv").write_text("a,b\n1,2\n")
    file = tmp_path / "e.toml"
    file.write_text('[data]\nsource = "d.csv"\ntarget = "b"\n')
    e = load(file)
    assert e.data.source == str(tmp_path / "d.csv")
    again = tmp_path / "deep" / "er"
    again.mkdir(parents=True)
    (again / "config.toml").write_text(dump(e))
    assert load(again / "config.toml") == e


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[data", b"x = "])
def test_what_is_no_toml_is_refused(content, tmp_path):
    (tmp_path / "e.toml").write_bytes(content)
    with pytest.raises(BadExperiment, match="not a TOML file"):
        load(tmp_path / "e.toml")


def test_a_missing_file_suggests_its_neighbour(tmp_path):
    (tmp_path / "exact.toml").touch()
    with pytest.raises(BadExperiment, match=r"did you mean .*exact\.toml"):
        load(tmp_path / "exat.toml")


def test_everything_resolved_is_read_back():
    e = parse(settings(model__l1=0.25, algorithm__batch=8, stop__tolerance=1e-9))
    assert parse(tomllib.loads(dump(e))) == e


def test_the_schema_names_every_section():
    assert set(schema()["properties"]) == set(Experiment.model_fields)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*Experiment.model_fields, "x"]), json, max_size=4), json)
def test_any_tables_are_an_experiment_or_a_sentence(raw, value):
    with contextlib.suppress(GossipError):  # nothing else may come out
        assert isinstance(parse(raw | {"data": {"source": "iris", "test": value}}), Experiment)


def test_a_run_can_be_repeated_from_its_folder(tmp_path):
    first, _ = carry_out("simulator", settings(algorithm__batch=4, algorithm__step=0.1), tmp_path / "a")
    again = load(tmp_path / "a" / "config.toml")
    second, _ = carry_out("simulator", again.model_dump(mode="json", exclude_none=True), tmp_path / "b")
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (
        tmp_path / "b" / "model.safetensors"
    ).read_bytes()
    assert first["loss"] == second["loss"]


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path):
    carry_out("simulator", settings(stop__rounds=2), tmp_path / "run")
    with pytest.raises(BadExperiment, match="has a run already"):
        carry_out("simulator", settings(stop__rounds=2), tmp_path / "run")


def test_a_start_that_failed_does_not_block_its_folder(tmp_path):
    with pytest.raises(BadData, match="training rows"):
        carry_out("simulator", settings(data__source="iris", topology__graph="ring:40"), tmp_path / "run")
    assert (tmp_path / "run" / "config.toml").exists()
    summary, _ = carry_out("simulator", settings(stop__rounds=2), tmp_path / "run")
    assert summary["rounds"] == 2


def test_a_scheme_alone_is_enough_and_a_section_is_no_value():
    assert parse({"data": {"source": "iris", "partition": "sorted"}}).data.partition == {"scheme": "sorted"}
    with pytest.raises(BadExperiment, match=r"stop is a section, not a key: write -s stop\.rounds=3"):
        parse({"data": {"source": "iris"}, "stop": 3})
    with pytest.raises(BadExperiment, match=r"the topology has the peers: write -s topology\.graph=ring:3"):
        parse({"data": {"source": "iris"}, "peers": 3})


def test_a_folder_is_told_from_a_file(tmp_path):
    (tmp_path / "one.toml").write_text("")
    with pytest.raises(
        BadExperiment, match=r"is a folder: give the experiment file in it \(it has: one\.toml\)"
    ):
        load(tmp_path)
