"""The engine of one live peer, which talks to its neighbours; must not know the simulator, files or experiments."""

from gossipfl.peer.engine import Peer
from gossipfl.peer.exchange import Exchange
from gossipfl.peer.gossip_peer import GossipPeer, live
from gossipfl.peer.gossiper import Gossiper
from gossipfl.peer.inbox import Inbox
from gossipfl.peer.quorum import Quorum
from gossipfl.peer.transport import Chances, Memory, Transport, Unreliable
from gossipfl.peer.zeromq import ZeroMQ

__all__ = [
    "Chances", "Exchange", "GossipPeer", "Gossiper", "Inbox", "Memory", "Peer", "Quorum", "Transport", "Unreliable", "ZeroMQ",
    "live",
]  # fmt: skip
