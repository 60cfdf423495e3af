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
        device = like.device
        self._to, self._from = (
            torch.from_numpy(ends).to(device) for ends in (links.receivers, links.senders)
        )
        self._shares = torch.from_numpy(links.weights).to(device, like.dtype)  # of all links
        self.rows, self.senders, self._weights = self._to, self._from, self._shares  # of those that arrive
        if links.arrives is not None:
            arrived = torch.from_numpy(links.arrives).to(device)
            self.rows, self.senders = self._to[arrived], self._from[arrived]
            self._weights = self._shares[arrived]
        self.own = like
        self.held: Tensor | None = None  # (e, d): the last message of each link, if messages get lost

    def average(self, own: Tensor) -> Tensor:
        return self._averaging @ own

    def push(self, own: Tensor) -> Tensor:
        if self.held is None:
            return self._pushing @ own
        kept = self._less(self._from, self._shares)
        return (kept[:, None] * own).index_add_(0, self._to, self._shares[:, None] * self.held)

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
        return self._matrix(self._weights, self._less(self._from, self._shares))

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
