"""Who may talk to whom, and with which weight; must not know data, models, algorithms or sockets.

A topology's graph is a simple, undirected, connected `networkx.Graph` whose nodes are the peers' names in
natural order: peer number i is the i-th node.
"""

from gossipfl.topology.averaging import Averaging, averaging
from gossipfl.topology.check import check
from gossipfl.topology.describe import Description, Speed, describe
from gossipfl.topology.families import FAMILIES
from gossipfl.topology.files import load, read, write
from gossipfl.topology.formats import FORMATS
from gossipfl.topology.links import Links, Topology
from gossipfl.topology.schedule import every, static
from gossipfl.topology.shorthand import generate, shorthands
from gossipfl.topology.spectrum import Spectrum, dense, diameter, eigenvalues, extreme, rounds_per_tenfold
from gossipfl.topology.weights import WEIGHTS

__all__ = [
    "FAMILIES", "FORMATS", "WEIGHTS", "Averaging", "Description", "Links", "Spectrum", "Speed", "Topology", "averaging",
    "check", "dense", "describe", "diameter", "eigenvalues", "every", "extreme", "generate", "load", "read",
    "rounds_per_tenfold", "shorthands", "static", "write",
]  # fmt: skip
