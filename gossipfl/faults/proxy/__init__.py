"""A TCP proxy between peers on one machine, whose links can be cut, slowed and reset; must not know what passes."""

from gossipfl.faults.proxy.control import Pair, Proxy
from gossipfl.faults.proxy.relay import Weather

__all__ = ["Pair", "Proxy", "Weather"]
