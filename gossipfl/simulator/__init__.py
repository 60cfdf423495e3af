"""The engine that holds all peers at once; must not know any transport.

All N peers are the rows of one tensor, and `mix` is one sparse matrix product.
"""

from gossipfl.simulator.engine import PATIENCE, Simulator
from gossipfl.simulator.fallback import SimulatedFallback
from gossipfl.simulator.heard import HeardByAll

__all__ = ["PATIENCE", "HeardByAll", "SimulatedFallback", "Simulator"]
