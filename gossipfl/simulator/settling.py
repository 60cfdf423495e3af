"""When all peers have settled, and know it; must not know what they learn."""

from collections import deque

from torch import Tensor

from gossipfl.engine import Lookback
from gossipfl.topology import Links, Topology


class Settling:
    """Who was converged, and how far word of it has come. One for all engines that take turns at a study.

    Who is gone for good is waited for by nobody, and the sides of a cut that is for good settle each for itself: the
    simulator's `stop.absent`, which needs no seconds, since it knows the future. While somebody will be back, nobody of its
    side is converged. Where peers are missing ways are longer: word is given more rounds then, up to one for each other peer,
    as live peers do.

    Args:
        topology, diameter, changing: as for the simulator.
    """

    def __init__(self, topology: Topology, diameter: int, changing: bool) -> None:
        self._converged: deque[bool] = deque(maxlen=diameter + 1)
        self._lookback = Lookback(topology, diameter, changing)

    def settled(self, round: int, links: Links, converged: Tensor, over: bool) -> bool:
        """As an engine promises it, after that round, which had these links."""
        peers = len(converged)
        if links.waits is not None:
            converged = converged & ~links.waits.to(converged.device)
        self._converged.append(over or bool(converged.all()))
        self._lookback.note(round)
        depth = len(self._converged) - 1
        if len(self._converged) < (self._converged.maxlen or 0) or not self._converged[0]:
            return False
        if over or self._lookback.reached(peers):  # the clock is one for all who are simulated
            return True
        if links.sides is not None and depth < peers - 1:
            self._converged = deque(self._converged, depth + 2)
            self._lookback.deepen(depth + 1)
        return False
