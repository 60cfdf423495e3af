"""One round's messages as one sparse matrix; must not know who sent them, nor how they are used."""

import warnings
from functools import cached_property

import torch
from torch import Tensor

from gossipfl.topology import Links

DENSE = 8  # a matrix is faster dense than sparse if at least one in so many entries is not zero


class HeardByAll:
    """One round's messages to all rows (a `Received`): the replicas, and the links along which they were heard."""

    def __init__(self, links: Links, like: Tensor) -> None:
        self._links = links._replace(weights=links.weights.to(like.dtype))
        self._links = Links(*(None if t is None else t.to(like.device) for t in self._links))  # type: ignore[arg-type]
        arrived = slice(None) if self._links.arrives is None else self._links.arrives
        self.rows, self.senders = self._links.receivers[arrived], self._links.senders[arrived]
        self._weights = self._links.weights[arrived]
        self.own = like
        self.held: Tensor | None = None  # (e, d): the last message of each link, if messages get lost

    def average(self, own: Tensor) -> Tensor:
        return self._averaging @ own

    def push(self, own: Tensor) -> Tensor:
        if self.held is None:
            return self._pushing @ own
        kept = self._less(self._links.senders, self._links.weights)
        return (kept[:, None] * own).index_add_(
            0, self._links.receivers, self._links.weights[:, None] * self.held
        )

    def pull(self, own: Tensor) -> Tensor:
        return self._pulling @ own

    def total(self, own: Tensor) -> Tensor:
        kept = self._less(self.rows, self._weights)
        total = own.masked_fill(kept[:, None] == 0, 0) if (kept == 0).any() else own.clone()
        for rows, senders in self._turns:
            total[rows] += self.own[senders]
        return total + 0.0 if total.is_floating_point() else total

    def stack(self) -> tuple[Tensor, Tensor]:
        return self.own[self.senders], self.rows

    @cached_property
    def _turns(self) -> list[tuple[Tensor, Tensor]]:
        """(rows, senders) of the first message to each row, of the second, and so on."""
        count = torch.bincount(self.rows, minlength=len(self.own))
        turn = torch.arange(len(self.rows), device=self.rows.device) - (count.cumsum(0) - count)[self.rows]
        order = turn.argsort(stable=True)
        sizes = torch.bincount(turn).tolist()
        turns = torch.split(self.rows[order], sizes), torch.split(self.senders[order], sizes)
        return list(zip(*turns, strict=True))

    @cached_property
    def _averaging(self) -> Tensor:
        return self._matrix(self._weights, self._less(self.rows, self._weights))

    @cached_property
    def _pushing(self) -> Tensor:
        return self._matrix(self._weights, self._less(self._links.senders, self._links.weights))

    @cached_property
    def _pulling(self) -> Tensor:
        share = 1 / self.own.new_ones(len(self.own)).index_add_(0, self.rows, torch.ones_like(self._weights))
        return self._matrix(share[self.rows], share)

    def _less(self, rows: Tensor, weights: Tensor) -> Tensor:
        """1 minus the sum of the weights of each row."""
        return self.own.new_ones(len(self.own)).index_add_(0, rows, -weights)

    def _matrix(self, weights: Tensor, diagonal: Tensor) -> Tensor:
        peers = len(diagonal)
        each = torch.arange(peers, device=diagonal.device)
        places = torch.stack((torch.cat((self.rows, each)), torch.cat((self.senders, each))))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse", category=UserWarning)
            entries = torch.sparse_coo_tensor(places, torch.cat((weights, diagonal)), (peers, peers))
            return entries.to_dense() if peers * peers <= DENSE * len(places[0]) else entries.to_sparse_csr()
