"""How fast a topology averages, measured by running it; must not know graphs or rules."""

import math
from typing import NamedTuple

import numpy as np

from gossipfl import rng
from gossipfl.topology.links import Topology
from gossipfl.topology.spectrum import laplacian

COLUMNS = 16  # vectors of random numbers that are averaged
EXACT = 1e-9  # a round that leaves less than this share of the disagreement ends it


class Pace(NamedTuple):
    """How fast disagreement falls.

    `exact`: the number of rounds, from round 0 on, after which all peers hold the mean; None if they only approach it.
    `rho`: the factor by which disagreement falls in each round, as a geometric mean; 0 if it ends.
    """

    exact: int | None
    rho: float


def pace(topology: Topology, peers: int, rounds: int = 240) -> Pace:
    """The pace of x -> W x over `rounds` rounds.

    `rho` is measured by |W_k ... W_1 x - mean| / |x - mean| over the second half of the rounds.
    """
    x = rng.generator(0, "pace").normal(size=(peers, min(COLUMNS, peers)))
    fallen = 0.0  # logarithm
    for round in range(rounds):
        x = x - x.mean(axis=0)
        size = np.linalg.norm(x)
        x = x / size if size else x
        x = x - laplacian(topology(round), peers) @ x
        left = float(np.linalg.norm(x - x.mean(axis=0)))
        if left <= EXACT:
            return Pace(round + 1 if size else 0, 0.0)
        fallen += math.log(left) if round >= rounds // 2 else 0.0
    return Pace(None, math.exp(fallen / (rounds - rounds // 2)))
