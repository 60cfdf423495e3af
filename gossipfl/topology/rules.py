"""The rules of weights under the names that an experiment calls them by; must not know how any of them works."""

from collections.abc import Callable

import networkx as nx

from gossipfl.topology import optimal, weights
from gossipfl.topology.links import Links

WEIGHTS: dict[str, Callable[[nx.Graph], Links]] = {
    "metropolis": weights.metropolis,
    "uniform": weights.uniform,
    "best-constant": weights.best_constant,
    "lazy": weights.lazy,
    "file": weights.from_file,
    "push": weights.push,
    "pull": weights.pull,
    "fdla": optimal.fdla,
    "fastest-mixing": optimal.fastest_mixing,
}
ONE_WAY = ("push", "pull")  # for directed graphs, where the others cannot be
SOLVED = ("fdla", "fastest-mixing")  # by semidefinite programming: nothing to be done in passing
