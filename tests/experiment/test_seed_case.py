"""The seed case: two peers with nn.Linear as any torch user writes it, ten local steps, then averaging."""

import numpy as np
import pytest
import torch
from runs import carry_out, models, settings

MODULE = """
import torch

def make():
    torch.manual_seed(7)
    return torch.nn.Linear(10, 1), torch.nn.MSELoss()
"""


@pytest.fixture
def seed_case(tmp_path):
    draw = np.random.default_rng(3)
    folder = tmp_path / "data"
    folder.mkdir()
    shards = []
    for name in ("0", "1"):
        X = draw.normal(size=(100, 10))
        y = X @ draw.normal(size=10) + 0.1 * draw.normal(size=100)
        np.savez(folder / f"{name}.npz", X=X, y=y)
        shards.append((torch.tensor(X, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)[:, None]))
    (tmp_path / "model.py").write_text(MODULE)
    raw = settings(
        data={"source": str(folder), "test": 0.0, "standardise": "none"},
        topology={"graph": "full:2"},
        model={"kind": "module", "module": f"{tmp_path / 'model.py'}:make", "dtype": "float32"},
        algorithm={"kind": "d-psgd", "step": 0.01, "local_steps": 10},
    )
    return raw, shards


def plain_torch(shards, rounds):
    """What a torch user would write."""
    nets = []
    for _ in shards:
        torch.manual_seed(7)
        nets.append(torch.nn.Linear(10, 1))
    for _ in range(rounds):
        for net, (X, y) in zip(nets, shards, strict=True):
            sgd = torch.optim.SGD(net.parameters(), lr=0.01)
            for _ in range(10):
                sgd.zero_grad()
                torch.nn.MSELoss()(net(X), y).backward()
                sgd.step()
        with torch.no_grad():
            for mine, theirs in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
                mean = (mine + theirs) / 2
                mine.copy_(mean)
                theirs.copy_(mean)
    return [torch.nn.utils.parameters_to_vector(net.parameters()).detach() for net in nets]


@pytest.mark.parametrize("rounds", [1, 50])
@pytest.mark.parametrize("engine", ["simulator", "peers"])
def test_two_peers_do_what_plain_torch_does(seed_case, engine, rounds, tmp_path):
    raw, shards = seed_case
    raw["stop"] = {"rounds": rounds}
    summary, _ = carry_out(engine, raw, tmp_path / "run")
    expected = plain_torch(shards, rounds)
    for mine, theirs in zip(models(tmp_path / "run", ["0", "1"]), expected, strict=True):
        assert mine.dtype == torch.float32
        assert float((mine - theirs).norm() / theirs.norm()) < 1e-6
    assert summary["rounds"] == rounds
    assert summary["parameters"] == 11
