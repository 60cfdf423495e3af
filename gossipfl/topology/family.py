"""What a named kind of graph consists of; must not know any of them."""

from collections.abc import Callable
from dataclasses import dataclass

import networkx as nx

from gossipfl.topology.links import Topology


@dataclass(frozen=True)
class Family:
    """One kind of graph.

    `signature` names the parameters, separated by colons. `make` takes their values, and also a seed if `random`. `links`
    estimates the number of edges before the graph is made, so that a typing error cannot use up the memory. If the links
    change, or have their own weights, `schedule` takes the values and a seed, and `make` gives the edges of all rounds.
    """

    signature: str
    example: str
    about: str
    make: Callable[..., nx.Graph]
    links: Callable[..., int]
    random: bool = False
    schedule: Callable[..., Topology] | None = None
