"""How good the peers' models are; must not know how they came about.

Test rows are x (m, p) and labels y (m,) in {0, 1}; a margin above 0 says 1. Errors are shares of the test rows that are told
wrong, peer by peer, (k,) of the k `peers` asked for (all of them, where that is None).
"""

import torch
from torch import Tensor

from gossipfl.gossip.world import World


def error(run: World, x: Tensor, y: Tensor, peers: Tensor | None = None) -> Tensor:
    """Of the newest models."""
    w = run.x if peers is None else run.x[peers]
    return wrong(w, x, y)


def voted_error(run: World, x: Tensor, y: Tensor, peers: Tensor | None = None) -> Tensor:
    """Of the majority of the models that a peer keeps; one that says nothing (w = 0) and a draw say 0.

    Ormándi, Hegedűs, Jelasity 2013, alg. 4, votedPredict.
    """
    return voted_wrong(run.models if peers is None else run.models[peers], x, y)


def voted_wrong(models: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The error of the majorities of models (k, cache, p + 1), the intercept last."""
    votes = (x @ models[..., :-1].mT + models[..., -1:].mT).sign().sum(-1)  # (k, m)
    return ((votes > 0) != (y > 0)).double().mean(1)


def wrong(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The error of models (k, p + 1), the intercept last."""
    return (((w[:, :-1] @ x.T + w[:, -1:]) > 0) != (y > 0)).double().mean(1)


def similarity(run: World) -> float:
    """Mean cosine of the angle between two different peers' models: |sum u|^2 less its n squares, u = w / |w|.

    1 where all agree in direction. A model that has learned nothing counts as orthogonal to all others.
    """
    u = torch.nn.functional.normalize(run.x.double(), dim=1)
    n = len(u)
    return float((u.sum(0).square().sum() - u.square().sum()) / (n * (n - 1)))
