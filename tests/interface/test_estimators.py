"""The estimators against scikit-learn: its checks of an estimator, and its models of the pooled rows."""

import pickle
import warnings

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import gossipfl as gf
from gossipfl.experiment.evaluation.finish import conclude
from gossipfl.experiment.launch.simulate import simulate as simulation
from gossipfl.interface import fitting

PLACE = "D-PSGD ends beside the optimum, and where depends on who holds which rows: repeated rows are dealt otherwise"
BIASED = {
    "check_sample_weight_equivalence_on_dense_data": PLACE,
    "check_sample_weight_equivalence_on_sparse_data": PLACE,
    "check_class_weight_classifiers": "weights of 1000 and 0.0001 make a step 1/L that is too short for 1,000 rounds",
}  # the checks that D-PSGD fails, and why


@pytest.mark.slow
@pytest.mark.timeout(600)  # 64 checks, which take a dozen seconds of an idle processor
@pytest.mark.parametrize("kind", [gf.GossipClassifier, gf.GossipRegressor])
@pytest.mark.parametrize(("algorithm", "failing"), [("auto", {}), ("d-psgd", BIASED)])
def test_scikit_learn_takes_it_for_an_estimator(kind, algorithm, failing):
    found = check_estimator(kind(algorithm=algorithm), expected_failed_checks=failing, on_skip=None)
    ends = {each["check_name"]: each["status"] for each in found}
    assert {name for name, end in ends.items() if end == "skipped"} <= {"check_array_api_input"}
    assert {name for name, end in ends.items() if end == "xfail"} == failing.keys() & ends.keys()


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def same_logistic(model, X, y, weight=None):
    n = len(y) if weight is None else weight.sum()
    found = LogisticRegression(
        C=1 / (model.l2 * n), tol=1e-12, max_iter=10_000, solver="newton-cholesky"
    ).fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, found.coef_, atol=2e-6)
    np.testing.assert_allclose(model.intercept_, found.intercept_, atol=2e-6)
    np.testing.assert_allclose(model.predict_proba(X), found.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize(
    "topology",
    ["ring", "torus:2x3", nx.karate_club_graph(), nx.grid_2d_graph(3, 3), "directed-exp"],
    ids=["family", "shorthand", "karate", "grid", "directed"],
)
def test_the_model_is_that_of_the_pooled_rows(cancer, topology):
    model = gf.GossipClassifier(topology=topology, l2=0.01).fit(*cancer)
    same_logistic(model, *cancer)
    assert model.certificate_ < 1e-8
    assert model.history_.messages.is_monotonic_increasing
    assert model.history_.messages.iloc[-1] > 50


def test_words_several_classes_and_weights_of_classes(cancer):
    X, codes = load_iris(return_X_y=True)
    y = np.array(["setosa", "versicolor", "virginica"])[codes]
    model = gf.GossipClassifier(l2=0.01, peers=4).fit(X, y)
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    same_logistic(model, X, y)
    weighed = gf.GossipClassifier(l2=0.01, class_weight={"setosa": 3.0}).fit(X, y)
    same_logistic(weighed, X, y, np.where(codes == 0, 3.0, 1.0))


def test_sites_hold_the_rows_that_they_name(cancer):
    X, y = cancer
    sites = np.where(X[:, 0] < 0, "small", "large")  # nearly the classes
    model = gf.GossipClassifier(topology=nx.path_graph(["large", "small"]), l2=0.01).fit(X, y, sites=sites)
    assert model.peers_ == ["large", "small"]
    same_logistic(model, X, y)
    counted = gf.GossipClassifier(l2=0.01).fit(X, y, sites=np.arange(len(y)) % 7)
    assert counted.peers_ == list("0123456")
    named = gf.GossipClassifier(l2=0.01, topology="star").fit(
        X, y, sites=np.where(X[:, 0] < 0, "rome", "oslo")
    )
    assert named.peers_ == ["oslo", "rome"], "a family's peers have the names of the sites"
    strange = gf.GossipClassifier(l2=0.01).fit(X, y, sites=np.where(X[:, 0] < 0, "a/b", "c"))
    assert strange.peers_ == ["0", "1"], "which are no names of peers"
    with pytest.raises(ValueError, match="sites has a missing value in row 3"):
        gf.GossipClassifier().fit(X, y, sites=[None if i == 2 else "a" for i in range(len(y))])
    with pytest.raises(ValueError, match=r"the sites .* do not match the peers"):
        gf.GossipClassifier(topology="ring:5").fit(X, y, sites=sites)


def test_standardised_features_have_coefficients_in_the_units_of_x():
    X, y = load_breast_cancer(return_X_y=True)
    scaler = StandardScaler().fit(X)
    model = gf.GossipClassifier(standardise=True, l2=0.01).fit(X, y)
    plain = gf.GossipClassifier(l2=0.01).fit(scaler.transform(X), y)
    np.testing.assert_allclose(model.coef_ * scaler.scale_, plain.coef_, atol=1e-7)
    np.testing.assert_allclose(model.predict_proba(X), plain.predict_proba(scaler.transform(X)), atol=1e-8)


def test_sparse_rows_and_frames_keep_their_meaning(cancer):
    X, y = cancer
    sparse, frame = csr_array(np.where(X > 0, X, 0)), pd.DataFrame(X).rename(columns=str)
    same_logistic(gf.GossipClassifier(l2=0.01).fit(sparse, y), sparse, y)
    model = gf.GossipClassifier(l2=0.01).fit(frame, y)
    assert model.feature_names_in_.tolist() == list(frame.columns)
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict(frame) == model.predict(frame)).all()
    assert clone(model).get_params() == model.get_params()


def test_another_method_gives_another_model(cancer):
    newton, sgd = (
        gf.GossipClassifier(algorithm=name, rounds=300).fit(*cancer) for name in ("newton", "d-psgd")
    )
    assert abs(newton.coef_ - sgd.coef_).max() > 1e-3
    assert {*sgd.history_} >= {"round", "loss", "disagreement", "messages"}


def test_a_regression_of_several_outputs(cancer):
    X, y = load_diabetes(return_X_y=True)
    both = np.column_stack([y, y**2])
    model = gf.GossipRegressor(l2=0.5 / len(y)).fit(X, both)
    found = Ridge(0.5, tol=1e-12).fit(X, both)
    np.testing.assert_allclose(model.coef_, found.coef_, rtol=1e-6)
    np.testing.assert_allclose(model.predict(X), found.predict(X), rtol=1e-8)
    assert gf.GossipRegressor().fit(X, y).coef_.shape == (10,)
    TransformedTargetRegressor(gf.GossipRegressor(), func=np.log, inverse_func=np.exp).fit(X, y)


def test_cross_validation_is_within_half_a_point_of_scikit_learn():
    X, y = load_breast_cancer(return_X_y=True)
    ours, theirs = (
        cross_val_score(make_pipeline(StandardScaler(), model), X, y).mean()
        for model in (gf.GossipClassifier(), LogisticRegression())
    )
    assert abs(ours - theirs) < 0.005


def test_weights_and_sites_are_routed(cancer):
    X, y = cancer
    weight = np.linspace(0.0, 2.0, len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        model = gf.GossipClassifier(l2=0.01).set_fit_request(sample_weight=True, sites=True)
        pipe = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model).fit(
            X, y, sample_weight=weight, sites=np.arange(len(y)) % 3
        )
    same_logistic(pipe[-1], StandardScaler().fit_transform(X), y, weight)
    assert pipe[-1].peers_ == ["0", "1", "2"]


def test_what_cannot_be_learned_is_said(cancer):
    X, y = cancer
    with pytest.raises(ValueError, match=r'algorithm.kind = "nonsense"'):
        gf.GossipClassifier(algorithm="nonsense").fit(X, y)
    with pytest.raises(ValueError, match="is not a topology: did you mean ring:16"):
        gf.GossipClassifier(topology="rang:4").fit(X, y)
    with pytest.raises(ValueError, match='no "hypercube" of 12 peers'):
        gf.GossipClassifier(topology="hypercube", peers=12).fit(X, y)
    with pytest.raises(ValueError, match="one class only"):
        gf.GossipClassifier().fit(X, np.zeros(len(y)))
    with pytest.warns(ConvergenceWarning, match="there is no finite optimum"):
        gf.GossipClassifier(l2=0.0).fit(X, X[:, 0] > 0)
    with pytest.warns(ConvergenceWarning, match="3 rounds did not reach the tolerance"):
        gf.GossipClassifier(algorithm="exact-diffusion", rounds=3).fit(X, y)
    with pytest.raises(ValueError, match="engine = 'ray': should be one of 'simulator', 'peers'"):
        gf.GossipClassifier(engine="ray").fit(X, y)
    assert not hasattr(gf.GossipClassifier(loss="squared-svm"), "predict_proba")


CLASSES, NUMBERS = ("logistic", "softmax", "svm", "squared-svm"), ("linear", "huber", "poisson")


@pytest.mark.parametrize(
    ("kind", "loss", "allowed"),
    [(gf.GossipClassifier, loss, CLASSES) for loss in NUMBERS]
    + [(gf.GossipRegressor, loss, NUMBERS) for loss in CLASSES],
)
def test_a_loss_of_another_task_is_refused(cancer, kind, loss, allowed):
    named = ", ".join(map(repr, allowed))
    with pytest.raises(
        ValueError, match=f"loss = '{loss}' has the task '[a-z]+': set one of {named}, or a class"
    ):
        kind(loss=loss).fit(*cancer)


def test_a_loss_in_the_settings_has_to_fit_too(cancer):
    with pytest.raises(ValueError, match="loss = 'linear' has the task 'regression'"):
        gf.GossipClassifier(settings={"model.kind": "linear"}).fit(*cancer)


def test_models_of_the_peers_own_are_refused(cancer):
    with pytest.raises(
        ValueError, match="personal = true gives each peer a model of its own, and an estimator has one"
    ):
        gf.GossipClassifier(settings={"personal": True}).fit(*cancer)


def test_softmax_of_two_classes_is_the_logistic_model(cancer):
    X, y = cancer
    both = gf.GossipClassifier(loss="softmax", l2=0.02, peers=4).fit(X, y)
    one = gf.GossipClassifier(l2=0.01, peers=4).fit(X, y)
    np.testing.assert_allclose(both.decision_function(X), one.decision_function(X), rtol=1e-6)
    np.testing.assert_allclose(both.predict_proba(X), one.predict_proba(X), atol=1e-7)
    assert (both.predict(X) == one.predict(X)).all()


def test_sparse_rows_are_scaled_and_not_centred(cancer):
    X, y = cancer
    X = np.where(X > 0, X, 0) * 10.0 ** np.arange(X.shape[1])[None, ::-1] ** 0.5
    root = np.sqrt((X**2).mean(0))
    model = gf.GossipClassifier(l2=0.01, standardise=True).fit(csr_array(X), y)
    twin = LogisticRegression(C=1 / (0.01 * len(y)), tol=1e-12, max_iter=10**4).fit(X / root, y)
    assert np.linalg.norm(model.coef_ * root - twin.coef_) <= 1e-6 * np.linalg.norm(twin.coef_)


def test_few_rows_have_few_peers():
    X, y = load_diabetes(return_X_y=True)
    assert len(gf.GossipRegressor().fit(X[:23], y[:23]).peers_) == 4
    assert len(gf.GossipRegressor(topology="regular").fit(X[:4], y[:4]).peers_) == 1


@pytest.mark.parametrize("topology", ["regular", "hypercube", "equi", "directed-er"])
def test_few_rows_need_no_other_family(topology):
    X, y = load_diabetes(return_X_y=True)
    for rows in (10, 15, 24):
        model = gf.GossipRegressor(topology=topology, l2=0.1).fit(X[:rows], y[:rows])
        found = Ridge(0.1 * rows, tol=1e-12).fit(X[:rows], y[:rows])
        assert len(model.peers_) == rows // 5
        np.testing.assert_allclose(model.coef_, found.coef_, rtol=1e-6)
    with pytest.raises(ValueError, match="tree"):
        gf.GossipRegressor(topology="tree").fit(X[:24], y[:24])


def test_a_model_without_the_rows_of_dead_peers_is_refused(monkeypatch):
    """The files are those of a simulation; its summary then says that two peers died, as that of live peers does."""
    X, y = load_diabetes(return_X_y=True)
    dead: list[str] = []

    def learn_without(given, out, show):
        *_, end = simulation(given.study.experiment, out, given)
        status = end.summary["peer_status"] | dict.fromkeys(dead, "killed by SIGKILL")
        conclude(end.summary | {"lost": dead, "peer_status": status}, out)

    monkeypatch.setattr(fitting, "learn_live", learn_without)
    model = gf.GossipRegressor(peers=4, engine="peers")
    assert model.fit(X, y).peers_ == list("0123")
    dead += ["1", "3"]
    with pytest.raises(
        ValueError, match="peer 1 killed by SIGKILL; peer 3 killed by SIGKILL: the model of the"
    ):
        model.fit(X, y)


@pytest.fixture(autouse=True)
def _strict():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_the_penalty_that_the_peers_chose_is_an_attribute():
    X, y = load_diabetes(return_X_y=True)
    chosen = gf.GossipRegressor(l2="cv", peers=2).fit(X[:60], y[:60])
    again = gf.GossipRegressor(l2=chosen.l2_, peers=2).fit(X[:60], y[:60])
    assert chosen.l1_ == 0
    assert 0 < chosen.l2_ == again.l2_
    np.testing.assert_allclose(chosen.coef_, again.coef_, rtol=1e-8)
