"""The margins of one model on any rows, linear or not; must not know targets."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from gossipfl.models.linear import Linear, scores
from gossipfl.models.module import Module
from gossipfl.tensors import Tensor, torch


def scorer(problem: Linear | Module, x: Tensor) -> Callable[[Any], npt.NDArray[np.float64]]:
    """The function features (r, p) -> margins (r, outputs) of the model x (d,)."""
    if isinstance(problem, Linear):
        return lambda features: scores(x, features, problem.outputs).numpy().astype(np.float64)
    module = problem.module_from(x)

    def forward(features: Any) -> npt.NDArray[np.float64]:
        with torch.no_grad():
            out = module(torch.from_numpy(np.asarray(features)).to(x.dtype))
        margins: npt.NDArray[np.float64] = out.reshape(len(features), -1).numpy().astype(np.float64)
        return margins

    return forward
