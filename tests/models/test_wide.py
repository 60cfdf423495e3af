"""Rows too wide to copy give the same products as copied rows."""

import numpy as np
import pytest
import torch

from gossipfl.models import LOSSES, Linear, dense
from gossipfl.models.dense import Block, Wide


@pytest.mark.parametrize("peers", [1, 3])
@pytest.mark.parametrize("outputs", [1, 4])
def test_both_products_are_those_of_the_copied_rows(peers: int, outputs: int) -> None:
    generator = torch.Generator().manual_seed(peers + 10 * outputs)
    features, target = (torch.randn(20, 7, generator=generator).double() for _ in range(2))
    places = torch.randint(20, (peers, 5), generator=generator)
    x, slopes = (torch.randn(peers, *k, generator=generator).double() for k in ((7 * outputs,), (5, outputs)))
    left, copied = Wide(features, places, target[places, -1]), Block(features[places], target[places, -1])
    torch.testing.assert_close(left.times(x), copied.times(x), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(left.back(slopes), copied.back(slopes), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("kind", ["logistic", "softmax"])
def test_a_model_does_not_tell_whether_its_rows_are_copied(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = np.random.default_rng(1)
    shards = [(draws.standard_normal((n, 6)), draws.integers(0, 2, n) * 1.0) for n in (4, 9)]
    gradients = []
    for wide in (0, 2**15):
        monkeypatch.setattr(dense, "WIDE", wide)
        loss = LOSSES[kind]()
        problem = Linear(shards, loss, outputs=loss.outputs(2), l2=0.1, batch=3, seed=5)
        x = torch.linspace(-1, 1, 2 * problem.width).double().view(2, -1)
        gradients.append(torch.stack([problem.grad(round)(x) for round in range(4)]))
    torch.testing.assert_close(*gradients, rtol=1e-13, atol=1e-13)
