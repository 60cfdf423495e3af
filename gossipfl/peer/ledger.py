"""What each neighbour has contributed to what a method remembers; must not know messages, clocks or algorithms.

For each neighbour j, an exchange adds gamma w_ij (r_j - r_i) to the fields that a method keeps accounts of. At j the same term
has the opposite sign. So over all peers the terms cancel, as long as both ends have them. See `engine.give_back`.
"""

import torch
from torch import Tensor

from gossipfl.peer.edge import Edge


class EdgeAccounts:
    """The running sums of one peer, one row for each edge.

    Args:
        edges: my ends of my edges, by neighbour.
    """

    def __init__(self, edges: dict[int, Edge]) -> None:
        self._edges = edges
        self._order = list(edges)
        self._place = {peer: place for place, peer in enumerate(edges)}
        self._total = torch.empty(0)
        # exchange -> the row of each peer that may not have used my message, and what each row pulled
        self._open: dict[int, tuple[dict[int, int], Tensor]] = {}
        for edge in edges.values():
            edge.ended = False
            edge.told.clear()

    def news(self) -> Tensor | None:
        """What to give back, (1, D): of sessions that ended, and of exchanges that only I used. None: nothing."""
        back: Tensor | None = None
        for peer, edge in self._edges.items():
            if edge.ended:
                back = plus(back, self._close(peer))
                edge.ended = False
            for number, matched in edge.told:
                back = plus(back, self._resolve(peer, number, matched))
            edge.told.clear()
        return back

    def add(self, number: int, peers: list[int], pulled: Tensor) -> None:
        """In exchange `number` the peers pulled so much, (e, D)."""
        if self._total.shape[-1] != pulled.shape[1]:
            self._total = pulled.new_zeros(len(self._place), pulled.shape[1])
        if not peers:
            return
        if peers == self._order:
            self._total += pulled
        else:
            self._total.index_add_(0, torch.tensor([self._place[peer] for peer in peers]), pulled)
        self._open[number] = ({peer: row for row, peer in enumerate(peers)}, pulled)

    def _resolve(self, peer: int, number: int, matched: bool) -> Tensor | None:
        rows, pulled = self._open.get(number, ({}, self._total))
        row = rows.pop(peer, None)
        if not rows:
            self._open.pop(number, None)
        if row is None or matched:
            return None
        self._total[self._place[peer]] -= pulled[row]
        return pulled[row : row + 1]

    def _close(self, peer: int) -> Tensor | None:
        for number, (rows, _) in list(self._open.items()):
            rows.pop(peer, None)
            if not rows:
                del self._open[number]
        if not self._total.numel():
            return None
        place = self._place[peer]
        back = self._total[place : place + 1].clone()
        self._total[place] = 0.0
        return back


def plus(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """a + b, None being nothing."""
    return b if a is None else a if b is None else a + b
