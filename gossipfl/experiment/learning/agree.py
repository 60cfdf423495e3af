"""What peers agree on before they learn, by consensus on the engine that learns; must not know which engine that is.

Every function takes what each peer held here has to say, and returns what all peers hold afterwards: the same in
every peer, to the last bit.
"""

import json
from collections.abc import Callable, Iterable, Sequence

import networkx as nx
import torch
from torch import Tensor

from gossipfl.algorithms import Algorithm, Consensus, PushSum
from gossipfl.engine import Engine
from gossipfl.errors import NetworkError
from gossipfl.mixing import Average, Maximum, Mixing, Push, Union
from gossipfl.mixing.union import to_row, to_set
from gossipfl.topology import WEIGHTS, Averaging, Topology, static

Agree = Callable[[Algorithm, Topology, Mixing], Engine]
CONSENSUS = Consensus()


class Agreement:
    """Consensus among the peers of a graph.

    Args:
        graph: all peers.
        hops: its diameter.
        averaging: its exact averaging.
        make: the engine, which has no problem to learn: (algorithm, topology, mixing) -> Engine.
    """

    def __init__(self, graph: nx.Graph, hops: int, averaging: Averaging, make: Agree) -> None:
        self.peers, self.diameter = len(graph), hops
        self.messages_sent = self.bytes_sent = 0
        self._make = make
        self._schedule = averaging.rounds(graph)
        self._directed = graph.is_directed()
        self._flood = static(WEIGHTS["push" if self._directed else "metropolis"](graph))

    def mean(self, x: Tensor) -> Tensor:
        """The mean over all peers, (n, k) float64 -> (n, k), exact but for rounding."""
        how = (PushSum(Consensus()), Mixing(Push())) if self._directed else (Consensus(), Mixing(Average()))
        mixed = self._consensus(x, lambda k: self._schedule[k], how[1], len(self._schedule), how[0])
        return self.maximum(mixed)  # means that differ in their last bits become the largest of them

    def maximum(self, x: Tensor) -> Tensor:
        """The maximum over all peers, number by number, (n, k) -> (n, k)."""
        return self._consensus(x, self._flood, Mixing(Maximum()), self.diameter)

    def union(self, words: Sequence[Iterable[str]]) -> set[str]:
        """The union over all peers of the sets of words of the peers held here."""
        rows = [to_row(json.dumps(word) for word in own) for own in words]
        width = torch.tensor([[float(len(row) + 1)] for row in rows], dtype=torch.float64)
        most = self.peers * int(self.maximum(width)[0])
        wide = torch.stack([torch.nn.functional.pad(row, (0, most - len(row))) for row in rows])
        try:
            row = self._consensus(wide, self._flood, Mixing(Union()), self.diameter)[0]
            return {str(json.loads(word)) for word in to_set(row)}
        except ValueError as error:
            raise NetworkError(
                f"a peer sent classes or category levels that cannot be read: {error}"
            ) from error

    def _consensus(
        self, x: Tensor, topology: Topology, mixing: Mixing, rounds: int, algorithm: Algorithm = CONSENSUS
    ) -> Tensor:
        engine = self._make(algorithm, topology, mixing)
        before = engine.messages_sent, engine.bytes_sent
        run = engine.init(x)
        for _ in range(rounds):
            run = engine.step(run)
        self.messages_sent += engine.messages_sent - before[0]
        self.bytes_sent += engine.bytes_sent - before[1]
        result: Tensor = run.state.x
        return result
