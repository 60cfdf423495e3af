"""The engine that holds all peers at once; must not know any transport.

All N peers are the rows of one tensor, and `mix` is one sparse product over them.
"""

from gossipfl.simulator.engine import PATIENCE, Simulator
from gossipfl.simulator.fallback import Fallback
from gossipfl.simulator.heard import Heard

__all__ = ["PATIENCE", "Fallback", "Heard", "Simulator"]
