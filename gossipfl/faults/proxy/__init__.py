"""A TCP proxy between peers on one machine; it can cut, delay and reset links, and must not know what passes."""

from gossipfl.faults.proxy.control import Pair, Proxy
from gossipfl.faults.proxy.relay import Weather

__all__ = ["Pair", "Proxy", "Weather"]
