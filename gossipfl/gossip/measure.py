"""How good the peers' models are; must not know how they were made.

Test rows are x (m, p) with labels y (m,) in {0, 1}. A margin above 0 predicts 1. An error is the share of test rows that are
predicted wrongly: (k,) for the k peers in `peers`, or for all peers if it is None.
"""

from gossipfl.gossip.world import World
from gossipfl.tensors import Tensor, torch


def error(run: World, x: Tensor, y: Tensor, peers: Tensor | None = None) -> Tensor:
    """The errors of the newest models."""
    w = run.x if peers is None else run.x[peers]
    return wrong(w, x, y)


def voted_error(run: World, x: Tensor, y: Tensor, peers: Tensor | None = None) -> Tensor:
    """The errors of majority votes of the models that each peer keeps. A draw predicts 0; a model w = 0 does not vote.

    Ormándi, Hegedűs, Jelasity 2013, alg. 4, votedPredict.
    """
    return voted_wrong(run.models if peers is None else run.models[peers], x, y)


def voted_wrong(models: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The errors of majority votes of models (k, cache, p + 1), the intercept last."""
    votes = (x @ models[..., :-1].mT + models[..., -1:].mT).sign().sum(-1)  # (k, m)
    return ((votes > 0) != (y > 0)).double().mean(1)


def wrong(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The errors of models (k, p + 1), the intercept last."""
    return (((w[:, :-1] @ x.T + w[:, -1:]) > 0) != (y > 0)).double().mean(1)


def similarity(run: World) -> float:
    """The mean cosine of the angle between the models of two peers: (|sum u|^2 - sum |u|^2) / (n (n - 1)), u = w / |w|.

    It is 1 if all models have the same direction. A model w = 0 counts as orthogonal to all others.
    """
    u = torch.nn.functional.normalize(run.x.double(), dim=1)
    n = len(u)
    return float((u.sum(0).square().sum() - u.square().sum()) / (n * (n - 1)))
