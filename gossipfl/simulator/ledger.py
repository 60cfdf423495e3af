"""What each end of an edge has pulled in its session, and when it gives that back; must not know what is learned.

An exchange pulls peer i by c_ij = gamma * w_ij (r_j - r_i) towards its neighbour j. The account fields of an exact method
(`Algorithm.accounts`) are sums of these terms. As c_ij = -c_ji, such a field sums to zero over the peers if the two ends of
each edge have pulled in the same rounds. Two rules ensure this:

    take-back     a message says which rounds of the other end it answers. What an end pulled in a round in which the other end
                  did not hear it, it gives back with the next message that it hears from there in a later round
    session end   when a peer is away, or one end has heard nothing for more than `patience` rounds with that link, both ends
                  give back all that they have pulled and start again; only the accounts of peers that are present remain
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gossipfl.engine import Run
from gossipfl.mixing import Mixing
from gossipfl.topology import Links
from gossipfl.topology.links import Mask, Numbers

LOW = 0xFFFFFFFF
TOLERANCE = 1e-9  # weights that differ by no more than this count as equal


class Ledger(NamedTuple):
    """All ends of all edges that were used so far, sorted. Each end has its mirror image, the other end of the edge."""

    start: Tensor  # (n, d), the starting points of the peers
    ends: Tensor  # (e,) int64, receiver << 32 | sender
    total: Tensor  # (e, D), the sum that the exchanges of this session have pulled
    unmatched: Tensor  # (e, D), the part of it without a counterpart at the other end, which this end does not know yet
    silent: Tensor  # (e,) int64, rounds with this link since the last message arrived along it
    blocks: Tensor  # (l,) int64, widths of the tensors that lie side by side; they sum to D


class Tally:
    """What the exchanges of one round pull at each link's receiver; `mates` are the positions of the reverse links."""

    def __init__(self, links: Links, mates: Numbers, mixing: Mixing) -> None:
        self.links, self.mates, self._mixing = links, mates, mixing
        self.pulled: Tensor | None = None  # (e, D)
        self.blocks: Sequence[int] = ()

    def add(self, k: int, replicas: Tensor, blocks: Sequence[int]) -> None:
        """Add exchange k of the round, with these replicas (n, D)."""
        links, device = self.links, replicas.device
        weights = self._mixing.part(k) * torch.from_numpy(links.weights).to(replicas)[:, None]
        to, come = (torch.from_numpy(ends).to(device) for ends in (links.receivers, links.senders))
        pulled = weights * (replicas[come] - replicas[to])
        self.pulled = pulled if self.pulled is None else self.pulled + pulled
        self.blocks = blocks


def opened(start: Tensor) -> Ledger:
    """The empty ledger of peers that start at `start` (n, d)."""
    nobody = torch.empty(0, dtype=torch.int64, device=start.device)
    nothing = start.new_empty(0, 0)
    return Ledger(start, nobody, nothing, nothing, nobody, nobody)


def ledger_of(run: Run) -> Ledger:
    """The ledger that a run holds, or an empty one."""
    return run.edges if isinstance(run.edges, Ledger) else opened(run.state.x)


def mates(links: Links) -> Numbers | None:
    """The position of each link's reverse link, (e,); None if one is missing or has another weight."""
    ends, back = _ends(links), links.senders << 32 | links.receivers
    place = np.searchsorted(ends, back).clip(max=max(0, len(ends) - 1))
    if (
        np.array_equal(ends[place], back)
        and (np.abs(links.weights[place] - links.weights) <= TOLERANCE).all()
    ):
        return place
    return None


def noted(ledger: Ledger, tally: Tally) -> tuple[Ledger, Tensor]:
    """The ledger with one round's exchanges, and what each peer must give back (n, D) because it now knows it is unmatched."""
    assert tally.pulled is not None
    links, pulled = tally.links, tally.pulled
    arrives = np.ones(len(links.receivers), bool) if links.arrives is None else links.arrives
    receivers, ends, heard, lone = (
        torch.from_numpy(each).to(pulled.device)
        for each in (links.receivers, _ends(links), arrives, (arrives & ~arrives[tally.mates])[:, None])
    )
    ledger, place = _grown(ledger, ends, pulled, tally.blocks)
    came, owed = heard[:, None], ledger.unmatched[place]
    told, new = torch.where(came, owed, 0.0), torch.where(came, pulled, 0.0)
    after = ledger._replace(
        total=ledger.total.index_add(0, place, new - told),
        unmatched=ledger.unmatched.index_copy(0, place, torch.where(lone, new, owed - told)),
        silent=ledger.silent.index_copy(0, place, torch.where(heard, 0, ledger.silent[place] + 1)),
    )
    return after, _by_peer(ledger, receivers, told)


def closed(ledger: Ledger, present: Mask | None, patience: int) -> tuple[Ledger, Tensor]:
    """The ledger without the sessions that end now, and what each peer must give back (n, D). `present` is (n,) bool."""
    receivers, senders = ledger.ends >> 32, ledger.ends & LOW
    gone = ledger.silent > patience
    gone = gone | gone[torch.searchsorted(ledger.ends, _mirrored(ledger.ends))]
    silent = ledger.silent
    if present is not None:
        there = torch.from_numpy(present).to(gone.device)
        apart = ~(there[receivers] & there[senders])
        gone, silent = gone | apart, torch.where(apart, 0, silent)
    returned = _by_peer(ledger, receivers[gone], ledger.total[gone])
    kept = ~gone[:, None]
    total, unmatched = torch.where(kept, ledger.total, 0.0), torch.where(kept, ledger.unmatched, 0.0)
    return ledger._replace(total=total, unmatched=unmatched, silent=silent), returned


def _ends(links: Links) -> Numbers:
    return links.receivers << 32 | links.senders


def _mirrored(ends: Tensor) -> Tensor:
    return (ends & LOW) << 32 | ends >> 32


def _by_peer(ledger: Ledger, rows: Tensor, pulled: Tensor) -> Tensor:
    """The sums (n, D), for each peer, of what was pulled (e, D) at ends that belong to these rows (e,)."""
    return ledger.start.new_zeros(len(ledger.start), ledger.total.shape[1]).index_add(0, rows, pulled)


def _grown(ledger: Ledger, ends: Tensor, like: Tensor, blocks: Sequence[int]) -> tuple[Ledger, Tensor]:
    """The ledger with space for these ends too, and their positions in it."""
    place = torch.searchsorted(ledger.ends, ends)
    if len(ledger.ends) and torch.equal(ledger.ends[place.clamp(max=len(ledger.ends) - 1)], ends):
        return ledger, place
    whole: Tensor = torch.cat((ledger.ends, ends)).unique()  # type: ignore[no-untyped-call]
    known, width = torch.searchsorted(whole, ledger.ends), like.shape[1]
    room = like.new_zeros(len(whole), width)
    ledger = ledger._replace(
        ends=whole,
        total=room.index_copy(0, known, ledger.total.reshape(-1, width)),
        unmatched=room.index_copy(0, known, ledger.unmatched.reshape(-1, width)),
        silent=torch.zeros_like(whole).index_copy(0, known, ledger.silent),
        blocks=torch.tensor(list(blocks), device=whole.device),
    )
    return ledger, torch.searchsorted(whole, ends)
