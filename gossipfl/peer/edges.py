"""One peer's edges in one round, and what comes along them; must not know messages, sessions or time."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from gossipfl.topology import Links

Row = npt.NDArray[Any]


class Edges:
    """My edges in one round: e edges lead to me, from `sources`. A message that is to be lost is neither sent nor awaited.

    Args:
        links: of all peers.
        peers: what messages call them, by number.
        me: my number.
        dtype: of the rows that are mixed.
        agreed: the weights of the edges, by peer; None: those of the links.
    """

    def __init__(
        self,
        links: Links,
        peers: Sequence[int],
        me: int,
        dtype: torch.dtype,
        agreed: Mapping[int, float] | None,
    ) -> None:
        self._mine, self._given = links.receivers == me, links.senders == me
        self.sources = [peers[i] for i in links.senders[self._mine].tolist()]
        self._targets = [peers[i] for i in links.receivers[self._given].tolist()]
        self.renew(links, dtype, agreed)

    def renew(self, links: Links, dtype: torch.dtype, agreed: Mapping[int, float] | None) -> None:
        """Take over the weights and losses of other links along the same edges."""
        self._weights = torch.from_numpy(links.weights[self._mine])
        self._shares = torch.from_numpy(links.weights[self._given]).sum()
        self.to, self.lost, self._dtype = self._targets, 0, dtype
        if agreed is not None:
            self._weights = self._weights.new_tensor([agreed[peer] for peer in self.sources])
        self._show(None if links.arrives is None else torch.from_numpy(links.arrives[self._mine]))
        if links.arrives is not None:
            there = links.arrives[self._given].tolist()
            self.to = [peer for peer, arrives in zip(self._targets, there, strict=True) if arrives]
            self.lost = len(self._targets) - len(self.to)
        self.limited = False

    def limit(self, heard: Collection[int]) -> None:
        """In this round only these of the awaited peers were heard."""
        self._show(torch.tensor([peer in heard for peer in self.sources], dtype=torch.bool))
        self.limited = True

    def _show(self, arrives: Tensor | None) -> None:
        weights, dtype = self._weights, self._dtype
        self.awaited = self.sources
        self.places: Tensor | None = None  # the rows of the replicas that change; None: all
        shown = torch.ones_like(weights)
        if arrives is not None:
            self.places = torch.cat((torch.tensor([True]), arrives)).nonzero().flatten()
            self.awaited = [self.sources[place - 1] for place in self.places[1:].tolist()]
            shown = arrives.to(weights)
        heard = weights * shown
        share = 1 / (1 + shown.sum())
        self._pull: tuple[float, Row] | None = None
        self.averaging = _row(1.0 - heard.sum(), heard, dtype)
        self.pushing = _row(1.0 - self._shares, weights, dtype)
        self.pulling = _row(share, share * shown, dtype)

    def pulled(self, rows: Row, part: float) -> Tensor:
        """What each of the heard peers pulls me by: part w_ij (r_j - r_i), (e, D), from the replicas (1 + e, D)."""
        if self._pull is None or self._pull[0] != part:
            self._pull = part, self.averaging[0, 1:, None] * part
        pulled = torch.from_numpy((rows[1:] - rows[:1]) * self._pull[1])
        return pulled if self.places is None else pulled[self.places[1:] - 1]


def _row(own: Tensor, others: Tensor, dtype: torch.dtype) -> Row:
    """A row of a mixing matrix, (1, 1 + e), my own weight first."""
    return torch.cat((own[None], others))[None, :].to(dtype).numpy()


class Heard:
    """One round's messages to my row (a `Received`): replicas (1 + e, D), my own first. A lost one stays as it was."""

    def __init__(self, edges: Edges, replicas: Tensor) -> None:
        self._edges, self._replicas = edges, replicas

    def average(self, own: Tensor) -> Tensor:
        return self._product(self._edges.averaging)

    def push(self, own: Tensor) -> Tensor:
        return self._product(self._edges.pushing)

    def pull(self, own: Tensor) -> Tensor:
        return self._product(self._edges.pulling)

    def total(self, own: Tensor) -> Tensor:
        total = torch.zeros_like(own) if self._edges.averaging[0, 0] == 0 else own
        for message in self.stack()[0]:
            total = total + message
        return total + 0.0 if total.is_floating_point() else total

    def _product(self, row: Row) -> Tensor:
        """`row` times the replicas, (1, D). For so few numbers a call to torch costs more than the product."""
        return torch.from_numpy(row.dot(self._replicas.numpy()))

    def stack(self) -> tuple[Tensor, Tensor]:
        places = self._edges.places
        heard = self._replicas[1:] if places is None else self._replicas[places[1:]]
        return heard, torch.zeros(len(heard), dtype=torch.int64)
