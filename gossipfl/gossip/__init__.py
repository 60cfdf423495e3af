"""Gossip learning: models travel, merge and learn, and each peer wakes on its own clock; must not know sockets.

The peers are the rows of one tensor. Time is simulated in ticks. A run depends only on its seed:

    learning = GossipLearning(Pegasos(LOSSES["svm"](), l2=1e-4), MergeUpdate())
    engine = Gossip(learning, Shards.of(rows), EXTREME, seed=0)
    for run in islice(engine.cycles(engine.init()), 400):
        print(run.tick, error(run, x, y))
"""

from gossipfl.gossip.control import Control, Generalised, Proactive, Randomised, Simple
from gossipfl.gossip.create import Create, Fresh, Mean, MergeUpdate, Model, UpdateMerge, Walk, by_age, equal
from gossipfl.gossip.cycles import Cycles
from gossipfl.gossip.engine import Gossip
from gossipfl.gossip.learning import GossipLearning
from gossipfl.gossip.letters import Letters
from gossipfl.gossip.measure import error, similarity, voted_error
from gossipfl.gossip.network import EXTREME, PERFECT, Network
from gossipfl.gossip.rule import Descent, Pegasos, Rule
from gossipfl.gossip.shards import Shards
from gossipfl.gossip.world import LOST, MISSED, RECEIVED, SENT, World

__all__ = [
    "EXTREME",
    "LOST",
    "MISSED",
    "PERFECT",
    "RECEIVED",
    "SENT",
    "Control",
    "Create",
    "Cycles",
    "Descent",
    "Fresh",
    "Generalised",
    "Gossip",
    "GossipLearning",
    "Letters",
    "Mean",
    "MergeUpdate",
    "Model",
    "Network",
    "Pegasos",
    "Proactive",
    "Randomised",
    "Rule",
    "Shards",
    "Simple",
    "UpdateMerge",
    "Walk",
    "World",
    "by_age",
    "equal",
    "error",
    "similarity",
    "voted_error",
]  # fmt: skip
