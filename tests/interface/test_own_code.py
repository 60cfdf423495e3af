"""Methods, losses, aggregators and graphs from a user's own file, in both engines, and the laws on them."""

import sys
import textwrap
from importlib import util

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes

import gossipfl as gf
from gossipfl.algorithms import METHODS, Iterate
from gossipfl.config import code
from gossipfl.errors import BadExperiment, Incompatible
from gossipfl.experiment.study.make import study
from gossipfl.models import LOSSES
from gossipfl.models.losses import Squared
from gossipfl.testing import laws

CODE = '''
"""Own code."""
from dataclasses import dataclass

import networkx
import torch

from gossipfl.algorithms import Iterate


@dataclass(frozen=True)
class Damped:
    """x' = mix(x - damping step grad(x)), which is D-PSGD with another step."""

    step: float
    damping: float = 0.5

    def round(self, s, grad, mix):
        return Iterate(mix(s.x - self.damping * self.step * grad(s.x)))


class Forgetful(Damped):
    """Mixes twice, and takes the mean over the peers."""

    def round(self, s, grad, mix):
        return Iterate(mix(mix(s.x) + 1e-3 * s.x.mean(0)))


class Square:
    """(z - y)^2 / 2."""

    task, curvature = "regression", 1.0

    def value(self, z, y):
        return (z.squeeze(-1) - y).square() / 2

    def slope(self, z, y):
        return z - y.unsqueeze(-1)

    def curve(self, z, y):
        return torch.ones_like(z).unsqueeze(-1)


class Mean:
    """The mean of a peer and all that it hears."""

    def __call__(self, own, received):
        return received.pull(own)


def make(seed):
    return networkx.grid_2d_graph(2, 2)

'''


@pytest.fixture(autouse=True)
def tables():
    """What a test enlists is taken out again: other tests look at the whole tables."""
    before = [(table, dict(table)) for table in (METHODS, LOSSES)]
    yield
    for table, built_in in before:
        table.clear()
        table.update(built_in)


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "own.py"


def first_order(**changes):
    return {"l2": 0.1, "topology": "ring:4", "rounds": 40, "tolerance": 0.0} | changes


def same(one, other):
    np.testing.assert_allclose(one.summary_frame(), other.summary_frame(), rtol=1e-12, atol=1e-12)


def test_a_method_of_ones_own(own):
    plain = gf.simulate("breast_cancer", **first_order(algorithm="d-psgd", step=0.3))
    mine = {"kind": "own.py:Damped", "step": 1.2, "options": {"damping": 0.25}}
    result = gf.simulate("breast_cancer", **first_order(algorithm=mine))
    same(result, plain)
    assert result.verdict.endswith(": own.py:Damped has that bias"), "without its folder"
    assert f"algorithm.kind runs code that is not of gossipfl: {own}:Damped" in result.notes
    own.write_text(CODE.replace("self.damping * self.step", "0 * self.step"))
    changed = gf.simulate("breast_cancer", **first_order(algorithm=mine))
    assert np.abs(changed.summary_frame()).max().max() == 0, "a file that has changed is read again"


def test_a_loss_of_ones_own_has_to_fit_the_estimator():
    X, y = load_diabetes(return_X_y=True)
    numbers, classes = (type("Own", (Squared,), {"task": task}) for task in ("regression", "binary"))
    with pytest.raises(
        ValueError, match=r"Own' has the task 'regression': .* of your own with the task 'binary'"
    ):
        gf.GossipClassifier(loss=numbers).fit(X, y > 100)
    with pytest.raises(
        ValueError, match=r"Own' has the task 'binary': .* of your own with the task 'regression'"
    ):
        gf.GossipRegressor(loss=classes).fit(X, y)
    assert gf.GossipClassifier(loss=classes, peers=3).fit(X, y > 100).coef_.shape == (1, 10)


def test_a_loss_a_graph_and_an_aggregator_of_ones_own(own):
    mine = gf.simulate("diabetes", model="own.py:Square", l2=0.1, topology="own.py:make")
    theirs = gf.simulate("diabetes", l2=0.1, topology="torus:2x2")
    np.testing.assert_allclose(mine.summary_frame(), theirs.summary_frame(), rtol=1e-6)
    assert mine.test["r2"] == pytest.approx(theirs.test["r2"])
    assert [*mine.summary["rows"]] == ["0-0", "0-1", "1-0", "1-1"]
    weights = {"topology": "full:3", "algorithm": "d-psgd", "l2": 0.1, "rounds": 20}
    pulled = gf.simulate("breast_cancer", aggregator="own.py:Mean", **weights)
    same(pulled, gf.simulate("breast_cancer", **weights))  # on a full graph Metropolis weights are 1/n


def test_peers_with_other_code_are_peers_of_another_study(own, tmp_path):
    def fingerprint():
        return study(gf.load(tmp_path / "e.toml")).fingerprint

    (tmp_path / "e.toml").write_text(
        'data.source = "iris"\nmodel.kind = "softmax"\nalgorithm.kind = "own.py:Damped"\n'
    )
    before = fingerprint()
    own.write_text(CODE + "\n# another line\n")
    assert fingerprint() != before
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (elsewhere / "own.py").write_text(CODE)
    (tmp_path / "e.toml").replace(elsewhere / "e.toml")
    assert study(gf.load(elsewhere / "e.toml")).fingerprint == before


POINTS = """
[gossipfl.algorithms]
damped = own_package:Damped
[gossipfl.losses]
square = own_package:Square
[gossipfl.aggregators]
mean = own_package:Mean
[gossipfl.topologies]
four = own_package:make
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with an entry point of each group, as pip leaves it."""
    (tmp_path / "own_package.py").write_text(CODE)
    (info := tmp_path / "own_package-1.0.dist-info").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    code.entry_point.cache_clear()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield
    code.entry_point.cache_clear()


def from_package(**changes):
    mine = {"kind": "damped", "step": 0.6, "aggregator": "mean"}
    return first_order(algorithm=mine, topology="full:4") | changes


def test_entry_points_of_a_package(package):
    result = gf.simulate("breast_cancer", **from_package())
    same(result, gf.simulate("breast_cancer", **first_order(algorithm="d-psgd", step=0.3, topology="full:4")))
    assert "algorithm.kind runs code that is not of gossipfl: damped" in result.notes
    mine = gf.simulate("diabetes", model="square", l2=0.1, topology="four")
    np.testing.assert_allclose(
        mine.summary_frame(),
        gf.simulate("diabetes", l2=0.1, topology="torus:2x2").summary_frame(),
        rtol=1e-6,
    )
    with pytest.raises(BadExperiment, match=r'or one of your own, "file\.py:Name"'):
        gf.simulate("breast_cancer", algorithm="clamped")


@pytest.mark.slow
def test_live_peers_find_the_entry_points_of_a_package(package):
    same(gf.run("breast_cancer", **from_package()), gf.simulate("breast_cancer", **from_package()))


def objects(own):
    """The classes and the function of the file, as a program imports them."""
    spec = util.spec_from_file_location("own_of_a_program", own)
    spec.loader.exec_module(module := util.module_from_spec(spec))
    return module


def test_classes_and_functions_are_taken_as_they_are(own):
    module = objects(own)
    mine = {"kind": module.Damped, "step": 1.2, "options": {"damping": 0.25}, "aggregator": module.Mean}
    result = gf.simulate("breast_cancer", **first_order(algorithm=mine, topology=module.make))
    assert [*result.summary["rows"]] == ["0-0", "0-1", "1-0", "1-1"]
    same(
        result,
        gf.simulate(
            "breast_cancer",
            **first_order(
                topology="own.py:make",
                algorithm={"kind": "own.py:Damped", "step": 0.6, "aggregator": "own.py:Mean"},
            ),
        ),
    )

    class Damped(module.Damped):  # another class of that name
        def round(self, s, grad, mix):
            return Iterate(mix(s.x))

    still = gf.simulate("breast_cancer", **first_order(algorithm=Damped))
    assert np.abs(still.summary_frame()).max().max() == 0
    X, y = load_diabetes(return_X_y=True)
    y = (y - y.mean()) / y.std()
    theirs = gf.GossipRegressor(peers=4, l2=0.1).fit(X, y)
    np.testing.assert_allclose(
        gf.GossipRegressor(peers=4, l2=0.1, loss=module.Square).fit(X, y).coef_, theirs.coef_, rtol=1e-6
    )
    first = {"peers": 4, "rounds": 20, "step": 0.1}
    model = clone(
        gf.GossipRegressor(algorithm=module.Damped, settings={"algorithm.options": {"damping": 1.0}}, **first)
    )
    plain = gf.GossipRegressor(algorithm="d-psgd", **first)
    np.testing.assert_allclose(model.fit(X, y).coef_, plain.fit(X, y).coef_, rtol=1e-12)


def test_other_processes_and_run_folders_need_a_file(own, tmp_path):
    class Here:
        def round(self, s, grad, mix):
            return Iterate(mix(s.x))

    for call, more in ((gf.run, {}), (gf.simulate, {"out": tmp_path / "run"})):
        with pytest.raises(
            BadExperiment, match=r"algorithm.kind: .* cannot find .*Here, .*: write it into a file of its own"
        ):
            call("breast_cancer", algorithm=Here, **more)
    with pytest.raises(ValueError, match="cannot find"):
        gf.GossipClassifier(algorithm=Here, engine="peers").fit(np.ones((20, 1)), np.arange(20) % 2)


@pytest.mark.slow
def test_peers_load_a_class_from_its_file(own, monkeypatch):
    monkeypatch.setitem(sys.modules, "own_of_a_program", module := objects(own))
    mine = first_order(algorithm={"kind": module.Damped, "step": 0.5}, topology=module.make)
    live = gf.run("breast_cancer", **mine)
    same(live, gf.simulate("breast_cancer", **mine))
    assert live.experiment.algorithm.kind == f"{own}:Damped"


MISTAKES = {
    "no file": ({"algorithm": "none.py:Damped"}, "there is no file .*none.py"),
    "no name": ({"algorithm": "own.py:Dumped"}, "has no attribute 'Dumped'"),
    "no method": ({"algorithm": "own.py:Mean"}, r"should be a class with round\(self, s, grad, mix\)"),
    "no loss": ({"model": "own.py:Mean"}, "lacks task, curvature, value, slope, curve"),
    "no graph": ({"topology": "own.py:Mean"}, "should return a graph of networkx, and returns Mean"),
    "no option": ({"algorithm": {"kind": "own.py:Damped", "options": {"dumping": 1}}}, "unexpected keyword.*algorithm.options"),
    "no kind": ({"algorithm": "dpsgd"}, 'did you mean "d-psgd"'),
    "a rule for an exact method": (
        {"algorithm": "exact-diffusion", "aggregator": "own.py:Mean", "topology": "star:4"}, "requires MEAN",
    ),
    "a rule for sums": ({"algorithm": "newton", "aggregator": "own.py:Mean"}, 'is not used by kind = "newton"'),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_said(own, settings, sentence):
    with pytest.raises((BadExperiment, Incompatible), match=sentence):
        gf.simulate("breast_cancer", **settings)


def test_the_laws_of_a_strangers_method(own):
    for law in laws("own.py:Damped", damping=0.2):
        law()
    found = {str(law): law for law in laws("own.py:Forgetful")}
    assert [*found] == ["row law", "mix law", "mean law", "account law", "resume law", "engine law"]
    with pytest.raises(RuntimeError, match="mixed 2 times in one round"):
        found["mix law"]()
    with pytest.raises(AssertionError):
        found["row law"]()


@pytest.mark.slow
def test_the_five_lines_of_the_documents_are_a_test(own, tmp_path):
    import subprocess
    import sys

    import gossipfl.testing

    lines = textwrap.dedent(gossipfl.testing.__doc__.split("\n", 1)[1]).replace(
        "my_file.py:Signed", "own.py:Damped"
    )
    (tmp_path / "test_own.py").write_text(lines)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_own.py"], capture_output=True, text=True, check=False
    )
    assert "6 passed" in done.stdout, done.stdout
