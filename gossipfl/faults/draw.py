"""Random choices of peers; must not know which faults they are for."""

from collections.abc import Sequence
from typing import TypeVar

import networkx as nx
import numpy as np

from gossipfl import rng

T = TypeVar("T")
NOBODY = np.zeros(1, np.int64)


class Draw:
    """A sequence of draws from a seed."""

    def __init__(self, seed: int) -> None:
        self._seed, self._count = seed, 0

    def uniform(self) -> float:
        """A number in [0, 1)."""
        self._count += 1
        return rng.uniform(self._seed, "faults", NOBODY, self._count, 1).item()

    def one(self, of: Sequence[T]) -> T:
        return of[int(self.uniform() * len(of))]

    def removable(self, graph: nx.Graph) -> int | None:
        """A node whose removal leaves a connected, non-empty graph; None if there is none."""
        candidates = list(graph) if len(graph) > 1 else []
        while candidates:
            node: int = candidates.pop(int(self.uniform() * len(candidates)))
            if connected(graph.subgraph(set(graph) - {node})):
                return node
        return None

    def group(self, graph: nx.Graph, size: int) -> tuple[int, ...]:
        """`size` nodes that are connected with each other, or fewer if their component is smaller."""
        whole = graph.to_undirected(as_view=True)
        group = {self.one(list(whole))}
        while len(group) < size and (
            neighbours := sorted({near for node in group for near in whole[node]} - group)
        ):
            group.add(self.one(neighbours))
        return tuple(sorted(group))


def connected(graph: nx.Graph) -> bool:
    """Whether every node can reach every other one; False for an empty graph."""
    if not len(graph):
        return False
    return bool(nx.is_strongly_connected(graph) if graph.is_directed() else nx.is_connected(graph))
