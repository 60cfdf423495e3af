"""When all peers have converged and know it; must not know what they learn."""

from collections import deque

import torch
from torch import Tensor

from gossipfl.engine import Lookback
from gossipfl.topology import Links, Topology


class Settling:
    """When the peers were converged, and how far the news of it has spread. Engines that take turns share one.

    This replaces `stop.absent`: the simulator knows the future, so it needs no seconds. No peer waits for a peer that never
    comes back, and the sides of a permanent cut settle separately. While a peer will come back, no peer on its side counts
    as converged. While peers are missing, paths are longer: then news gets more rounds, up to one for each other peer, as
    with live peers.

    Args:
        topology, diameter, changing: as for the simulator.
    """

    def __init__(self, topology: Topology, diameter: int, changing: bool) -> None:
        self._converged: deque[bool] = deque(maxlen=diameter + 1)
        self._lookback = Lookback(topology, diameter, changing)

    def forget(self) -> None:
        """No peer had converged so far."""
        self._converged.clear()

    def settled(self, round: int, links: Links, converged: Tensor, over: bool) -> bool:
        """`Engine.settled` after the round `round`, which had these links."""
        peers = len(converged)
        if links.waits is not None:
            converged = converged & torch.from_numpy(~links.waits).to(converged.device)
        self._converged.append(over or bool(converged.all()))
        self._lookback.note(round)
        depth = len(self._converged) - 1
        if len(self._converged) < (self._converged.maxlen or 0) or not self._converged[0]:
            return False
        if over or self._lookback.reached(peers):  # all simulated peers share one clock
            return True
        if links.sides is not None and depth < peers - 1:
            self._converged = deque(self._converged, depth + 2)
            self._lookback.deepen(depth + 1)
        return False
