"""Which peers exchange messages, and with which weights; must not know data, models, algorithms or sockets.

A topology's graph is a simple, connected `networkx.Graph`, or a strongly connected `networkx.DiGraph` in which an edge u -> v
says that u sends to v. Its nodes are the peers' names in natural order: peer number i is the i-th node. Its attribute
`schedule` names the links that change from round to round: see `schedule`.
"""

from gossipfl.topology.averaging import Averaging, averaging
from gossipfl.topology.check import check
from gossipfl.topology.conditions import churn, dropping, lossy, partition, stragglers
from gossipfl.topology.describe import Changes, Speed, TopologyDescription, describe
from gossipfl.topology.families import FAMILIES
from gossipfl.topology.faults import afflicted
from gossipfl.topology.files import load, read, write
from gossipfl.topology.formats import FORMATS
from gossipfl.topology.links import Links, Topology, cycle, every, static
from gossipfl.topology.pace import Pace, pace
from gossipfl.topology.plan import WEIGHTS, schedule
from gossipfl.topology.preserves import stochastic, symmetric
from gossipfl.topology.reach import horizon, period, spreads
from gossipfl.topology.shorthand import generate, shorthands
from gossipfl.topology.spans import Fault
from gossipfl.topology.spectrum import Spectrum, dense, diameter, eigenvalues, extreme, rounds_per_tenfold
from gossipfl.topology.tree import Tree, among, subgraph, tree

__all__ = [
    "FAMILIES",
    "FORMATS",
    "WEIGHTS",
    "Averaging",
    "Changes",
    "Fault",
    "Links",
    "Pace",
    "Spectrum",
    "Speed",
    "Topology",
    "TopologyDescription",
    "Tree",
    "afflicted",
    "among",
    "averaging",
    "check",
    "churn",
    "cycle",
    "dense",
    "describe",
    "diameter",
    "dropping",
    "eigenvalues",
    "every",
    "extreme",
    "generate",
    "horizon",
    "load",
    "lossy",
    "pace",
    "partition",
    "period",
    "read",
    "rounds_per_tenfold",
    "schedule",
    "shorthands",
    "spreads",
    "static",
    "stochastic",
    "stragglers",
    "subgraph",
    "symmetric",
    "tree",
    "write",
]  # fmt: skip
