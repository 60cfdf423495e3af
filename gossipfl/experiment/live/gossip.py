"""A live peer's engine of gossip, as an experiment asks for it; must not know the peer's life around it."""

from gossipfl.experiment.study.gossip import MakeGossip
from gossipfl.experiment.study.study import Study
from gossipfl.gossip import GossipLearning, Shards
from gossipfl.peer import Gossiper, GossipPeer, Transport
from gossipfl.peer.wire import ident


def gossiping(study: Study, me: int, transport: Transport) -> MakeGossip:
    """The engine of real time for peer number `me`, over a transport that is connected to its neighbours."""
    e, names = study.experiment, {ident(name): name for name in study.names}

    def make(learning: GossipLearning, shard: Shards) -> GossipPeer:
        gossiper = Gossiper(
            me,
            [ident(name) for name in study.names],
            learning,
            shard,
            study.fingerprint,
            study.links,
            e.seed,
            loss=e.topology.loss,
        )
        return GossipPeer(gossiper, transport, e.gossip.period, names=names)

    return make
