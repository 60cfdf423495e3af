"""Several exchanges that together average as fast as possible; must not know what is averaged, nor which peers mix."""

import math
from typing import NamedTuple

import numpy as np

from gossipfl.topology.averaging import leja

MARGIN = 1e-4  # relative: the spectrum is assumed to be wider than computed by this much


class Accelerated(NamedTuple):
    """The step of each exchange, and the largest share of a disagreement that all of them leave."""

    steps: tuple[float, ...]
    left: float


def accelerated(second: float, smallest: float, exchanges: int) -> Accelerated:
    """Steps 1 / z_k with which x -> x + (W x - x) / z_k, one after the other, leave the least disagreement.

    Together they are P(I - W), where P is the polynomial of degree K with P(0) = 1 that is smallest on [low, high] =
    [1 - second, 1 - smallest]: |P| <= 1 / T_K((high + low) / (high - low)) there. Its zeros z_k are the K Chebyshev nodes, in
    Leja order, which keeps the partial products small. About sqrt(high / low) exchanges do what high / low plain ones do.

    Scaman, Bach, Bubeck, Lee, Massoulie, "Optimal algorithms for smooth and strongly convex distributed optimization in
    networks", ICML 2017, section 4.

    Args:
        second, smallest: all eigenvalues of W but the mean's lie between them.
        exchanges: K, 1 or more.
    """
    low, high = (1 - second) * (1 - MARGIN), (1 - smallest) * (1 + MARGIN)
    low, high = float(f"{low:.5g}"), float(f"{high:.5g}")  # the same on all machines, whatever their rounding
    angles = (np.arange(exchanges) + 0.5) * (math.pi / exchanges)
    nodes = leja((high + low) / 2 + (high - low) / 2 * np.cos(angles))
    size = exchanges * math.acosh((high + low) / (high - low))
    left = 2 * math.exp(-size) / (1 + math.exp(-2 * size))  # 1 / cosh, which would overflow
    return Accelerated(tuple((1 / nodes).tolist()), left)
