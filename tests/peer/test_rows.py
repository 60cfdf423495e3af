"""What a live peer computes of rows in numpy, against the same in torch."""

import numpy as np
import pytest
import torch

from gossipfl.engine import relative_distance, within
from gossipfl.peer.engine import farthest

RANDOM = np.random.default_rng(0).normal(size=(4, 5))


@pytest.mark.parametrize(
    "rows", [RANDOM, 0 * RANDOM, RANDOM[:1].repeat(3, 0), RANDOM * np.array([[0.0], [1], [1], [1]])]
)
def test_the_farthest_neighbour_is_as_far_as_in_torch(rows):
    tensor = torch.from_numpy(rows)
    expected = relative_distance(tensor[1:], tensor[:1].expand_as(tensor[1:])).amax(0, keepdim=True)
    torch.testing.assert_close(farthest(rows), expected, rtol=1e-15, atol=0.0)


@pytest.mark.parametrize("factor", [0.0, 1 - 1e-9, 1 + 1e-9, np.inf, np.nan])
def test_one_row_is_within_a_tolerance_as_several_are(factor):
    x = torch.from_numpy(RANDOM[:1])
    y = x / (1 + 0.1 * factor)  # |x - y| = .1 factor |y|
    assert within(x, y, 0.1) == within(x.repeat(2, 1), y.repeat(2, 1), 0.1)
    if np.isfinite(factor):
        assert within(x, y, 0.1) == (factor <= 1)
