"""How fast a topology averages, measured by carrying it out; must not know graphs or rules."""

import math
from typing import NamedTuple

import numpy as np

from gossipfl import rng
from gossipfl.topology.links import Topology
from gossipfl.topology.spectrum import laplacian

COLUMNS = 16  # of random numbers that are averaged
EXACT = 1e-9  # a single round that leaves less than this of the disagreement ends it


class Pace(NamedTuple):
    """`exact`: the rounds after which all peers hold the mean, from round 0 on; None where they only come nearer to each other.

    `rho`: the factor by which disagreement falls each round, as a geometric mean; 0 where it ends.
    """

    exact: int | None
    rho: float


def pace(topology: Topology, peers: int, rounds: int = 240) -> Pace:
    """The pace of x -> W x over so many rounds, the first half not counted for `rho`: |W_k ... W_1 x - mean| / |x - mean|."""
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
