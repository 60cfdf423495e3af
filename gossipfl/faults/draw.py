"""Whom chance strikes; must not know with what."""

from collections.abc import Sequence
from typing import TypeVar

import networkx as nx
import torch

from gossipfl import rng

T = TypeVar("T")
NOBODY = torch.zeros(1, dtype=torch.int64)


class Draw:
    """Draws from a seed, one after the other."""

    def __init__(self, seed: int) -> None:
        self._seed, self._count = seed, 0

    def uniform(self) -> float:
        """In [0, 1)."""
        self._count += 1
        return float(rng.uniform(self._seed, "faults", NOBODY, self._count, 1))

    def one(self, of: Sequence[T]) -> T:
        return of[int(self.uniform() * len(of))]

    def removable(self, graph: nx.Graph) -> int | None:
        """A node without which the others are still connected, and are some; None where there is none."""
        candidates = list(graph) if len(graph) > 1 else []
        while candidates:
            node: int = candidates.pop(int(self.uniform() * len(candidates)))
            if connected(graph.subgraph(set(graph) - {node})):
                return node
        return None

    def group(self, graph: nx.Graph, size: int) -> tuple[int, ...]:
        """Nodes that hang together, fewer than `size` where no more do."""
        whole = graph.to_undirected(as_view=True)
        group = {self.one(list(whole))}
        while len(group) < size and (
            around := sorted({near for node in group for near in whole[node]} - group)
        ):
            group.add(self.one(around))
        return tuple(sorted(group))


def connected(graph: nx.Graph) -> bool:
    """Whether word from everybody reaches everybody; not where nobody is there."""
    if not len(graph):
        return False
    return bool(nx.is_strongly_connected(graph) if graph.is_directed() else nx.is_connected(graph))
