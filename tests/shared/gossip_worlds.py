"""Small worlds for gossip learning."""

import numpy as np
import torch

from gossipfl import rng
from gossipfl.gossip import Gossip, GossipLearning, Network, Pegasos, Shards
from gossipfl.models import LOSSES

SVM = Pegasos(LOSSES["svm"](), l2=0.1)


class Still:
    """A rule that learns nothing, so that only the effect of gossip is visible."""

    def __call__(self, w, age, x, y):
        return w


def rows(peers, features=4, one_hot=False, seed=0, most=4):
    """Each peer's (x, y), 1 to `most` rows. One-hot rows have only two non-zero numbers, so sums are exact."""
    draw = rng.generator(seed, "world")
    truth = draw.normal(size=features)
    made = []
    for _ in range(peers):
        x = draw.normal(size=(int(draw.integers(1, most + 1)), features))
        if one_hot:
            x = np.eye(features)[draw.integers(0, features, len(x))] * x
        made.append((x, (x @ truth > 0).astype(float)))
    return made


def world(peers=6, learning=None, seed=0, ticks=5, links=None, dtype=torch.float64, **network):
    return Gossip(
        learning or GossipLearning(SVM),
        Shards.of(rows(peers), dtype),
        Network(**network),
        links,
        seed=seed,
        ticks=ticks,
    )


def after(engine, cycles, run=None):
    run = run or engine.init()
    for _ in range(cycles):
        run = engine.cycle(run)
    return run
