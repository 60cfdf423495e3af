"""Methods that say that they do nothing but arithmetic with rows: a row in numpy gives the same bits as a tensor."""

from typing import Any

import numpy as np
import pytest
import torch

from gossipfl.algorithms import ALGORITHMS, DPSGD, Ingredients, arithmetic, made

PLAIN = [kind for kind in ALGORITHMS if arithmetic(made(kind, Ingredients(0.1, local_steps=3)))]


def test_some_do() -> None:
    assert {"d-psgd", "exact-diffusion", "d2", "extra"} <= {*PLAIN}
    assert not arithmetic(made("d-psgd", Ingredients(0.1, prox=lambda x, _: x.clamp(-1, 1))))
    assert not arithmetic(type("Signed", (DPSGD,), {})(0.1)), "it may have a round of its own"


@pytest.mark.parametrize("kind", PLAIN)
def test_a_row_in_numpy_gives_the_same_bits(kind: str) -> None:
    algorithm = made(kind, Ingredients(0.1, local_steps=3))
    tensors = algorithm.init(torch.from_numpy(np.random.default_rng(0).normal(size=(1, 5))))
    arrays: Any = type(tensors)(*(field.numpy() for field in tensors))
    for _ in range(3):
        tensors = algorithm.round(tensors, lambda x: 0.3 * x * x - 1.0, lambda x: 0.7 * x + 0.1)
        arrays = algorithm.round(arrays, lambda x: 0.3 * x * x - 1.0, lambda x: 0.7 * x + 0.1)
        for tensor, array in zip(tensors, arrays, strict=True):
            assert np.array_equal(tensor.numpy(), array)
