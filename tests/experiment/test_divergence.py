"""A loss that is not a number is divergence, and ends with code 6: it does not run on in silence."""

import numpy as np
import pandas as pd
import pytest
from runs import carry_out, settings

from gossipfl.experiment.evaluation.verdict import NOT_REACHED, verdict


def huge(tmp_path, method, rows=range(3)):
    """Targets of 1e200, whose squares are infinite, at some of three peers."""
    rng = np.random.default_rng(2)
    for peer in range(3):
        frame = pd.DataFrame(rng.normal(size=(20, 2)), columns=["a", "y"])
        frame["y"] += 1e200 * (peer in rows)
        frame.to_csv(tmp_path / f"{peer}.csv", index=False)
    raw = settings(
        data__source=f"{tmp_path}/*.csv", data__target="y", topology__graph="ring:3", model__kind="linear",
        algorithm__kind=method, stop__rounds=100_000, stop__tolerance=1e-9,
    )  # fmt: skip
    raw["data"].pop("partition")
    return raw


@pytest.mark.parametrize("method", ["newton", "exact-diffusion", "d-psgd"])
@pytest.mark.parametrize("rows", [range(3), [1]], ids=["everywhere", "one"])
def test_an_infinite_loss_ends_a_simulation(method, rows, tmp_path):
    summary, lines = carry_out("simulator", huge(tmp_path, method, rows), tmp_path / "run")
    code, sentence = verdict(summary, 1e-9)
    assert (code, summary["stopped"]) == (NOT_REACHED, "diverged")
    assert "the loss is not finite before the first round" in sentence
    assert lines == []


@pytest.mark.parametrize(
    "rows", [[1], pytest.param(range(3), marks=pytest.mark.slow)], ids=["one", "everywhere"]
)
def test_an_infinite_loss_ends_real_peers(rows, tmp_path):
    summary, _ = carry_out("peers", huge(tmp_path, "newton", rows), tmp_path / "run")
    code, sentence = verdict(summary, 1e-9)
    assert code == NOT_REACHED
    assert "the loss is not finite before the first round" in sentence


MODULE = '''
import torch

def model():
    """The logarithm of a negative number is not one: there the loss is NaN, and the gradient is 0."""
    net = torch.nn.Linear(1, 1, dtype=torch.float64)
    def loss(output, y):
        low = output.mean() < 5
        return -output.mean() + torch.where(low, 0.0, torch.log(-torch.ones(())).double())
    return net, loss
'''


def test_a_loss_that_becomes_nan_while_the_model_stays_finite(tmp_path):
    (tmp_path / "net.py").write_text(MODULE)
    raw = huge(tmp_path, "d-psgd", [])
    raw["model"] = {"kind": "module", "module": f"{tmp_path}/net.py:model"}
    raw["algorithm"]["step"], raw["stop"] = 0.1, {"rounds": 1000}
    summary, lines = carry_out("simulator", raw, tmp_path / "run")
    assert verdict(summary, 0.0)[0] == NOT_REACHED
    assert "the loss is not finite in round" in summary["why"]
    assert len(lines) < 100
