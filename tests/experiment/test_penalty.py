"""An l1 penalty counts like the rows of each peer: any set of peers ends at scikit-learn's elastic net of their data."""

import json

import numpy as np
import pytest
from runs import models, settings
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet
from sparing import sparing

from gossipfl.config.file import parse
from gossipfl.experiment.launch.launch import run
from gossipfl.experiment.launch.simulate import simulate
from gossipfl.runs.events import Finished

L1, L2 = 4.0, 0.1


def experiment(kind, **changes):
    """Peers of different sizes."""
    return settings(
        reference=True, data={"source": "diabetes", "partition": {"scheme": "quantity", "alpha": 1.5}, "test": 0.0},
        model={"kind": "linear", "l1": L1, "l2": L2}, algorithm__kind=kind, topology__graph="torus:3x3",
        stop={"rounds": 6000, "absent": 1.0}, seed=3, **changes,
    )  # fmt: skip


def ended(events):
    *_, last = events
    assert isinstance(last, Finished)
    return last.summary


def check(folder, summary, present):
    """All that are there hold the elastic net of their rows, on the standardised scale that was agreed at the start."""
    assert list(summary["rows"]) == present
    train = [i for n in present for i in json.loads((folder / f"peers/{n}/rows.json").read_text())["train"]]
    model = json.loads((folder / "model.json").read_text())
    scale = {key: np.array(list(model["standardisation"][key].values())) for key in ("mean", "deviation")}
    features, y = load_diabetes(return_X_y=True)
    net = ElasticNet(alpha=L1 + L2, l1_ratio=L1 / (L1 + L2), tol=1e-14, max_iter=1_000_000)
    net.fit((features[train] - scale["mean"]) / scale["deviation"], y[train])
    assert 0 < (net.coef_ == 0).sum() < 10, "a case that shows something has some zeros"
    optimum = np.append(net.coef_, net.intercept_)
    for x in models(folder, present):
        assert np.linalg.norm(x.numpy() - optimum) <= 1e-8 * np.linalg.norm(optimum)
    assert summary["distance_to_optimum"] <= 1e-8
    return len(train) / len(present)


ALL = [str(peer) for peer in range(9)]


@pytest.mark.parametrize("kind", sparing(["nids", "push-pull", "d2", "extra", "gradient-tracking"], 2))
def test_all_peers_end_at_the_elastic_net(kind, tmp_path):
    raw = experiment(kind, topology__weights="lazy" if kind in ("d2", "push-pull") else "metropolis")
    if kind == "d2":  # with a penalty it is NIDS with raw weights
        raw["algorithm"] = {"kind": "nids", "gamma": 1.0}
    if kind == "push-pull":
        raw["topology"] = {"graph": "directed-exp:9"}
    check(tmp_path / "run", ended(simulate(parse(raw), tmp_path / "run")), ALL)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sparing(["nids", "extra", "gradient-tracking"]))
def test_survivors_end_at_the_elastic_net_of_their_own_data(kind, tmp_path):
    raw = experiment(kind, faults=[{"do": "kill", "round": 200, "peers": ["2", "6"]}])
    left = [name for name in ALL if name not in ("2", "6")]
    summary = ended(simulate(parse(raw), tmp_path / "run"))
    mean = check(tmp_path / "run", summary, left)
    assert abs(mean / (442 / 9) - 1) > 0.05, "else a penalty that does not count like rows would do as well"


@pytest.mark.slow
def test_real_survivors_do_too(tmp_path):
    raw = experiment("nids", faults=[{"do": "kill", "at": 2.0, "peers": ["2", "6"]}])
    raw["stop"] |= {"rounds": 2**40, "seconds": 40.0}
    summary = ended(run(parse(raw), tmp_path / "run"))
    check(tmp_path / "run", summary, [name for name in ALL if name not in ("2", "6")])
