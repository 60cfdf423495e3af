"""The engine that holds one row and talks to its neighbours; must not know the simulator, files or experiments."""

from gossipfl.peer.asynchronous import live
from gossipfl.peer.engine import Peer
from gossipfl.peer.exchange import Exchange
from gossipfl.peer.gossip_peer import GossipPeer
from gossipfl.peer.gossiper import Gossiper
from gossipfl.peer.inbox import Inbox
from gossipfl.peer.rumours import Quorum
from gossipfl.peer.transport import Memory, Transport
from gossipfl.peer.unreliable import Chances, Unreliable
from gossipfl.peer.zeromq import ZeroMQ

__all__ = [
    "Chances", "Exchange", "GossipPeer", "Gossiper", "Inbox", "Memory", "Peer", "Quorum", "Transport", "Unreliable", "ZeroMQ",
    "live",
]  # fmt: skip
