"""Messages in transit, as rows of tensors; must not know who sends them, nor why."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

CARRIES, ASKS = 1, 2  # the kind of a message: it brings a model, or asks for one


class Letters(NamedTuple):
    """m places for messages. A place is free when its `due` has passed: its message was delivered."""

    head: Tensor  # (m, 7) int64: what follows, side by side, so that a choice of messages is two calls
    w: Tensor  # (m, d), the model as it was when the message was sent

    @property
    def due(self) -> Tensor:
        """(m,) int64, the tick of arrival."""
        return self.head[:, 0]

    @property
    def sent(self) -> Tensor:
        """(m,) int64, the tick of sending."""
        return self.head[:, 1]

    @property
    def copy(self) -> Tensor:
        """(m,) int64, its number among the messages of its sender in that tick."""
        return self.head[:, 2]

    @property
    def sender(self) -> Tensor:
        """(m,) int64."""
        return self.head[:, 3]

    @property
    def receiver(self) -> Tensor:
        """(m,) int64."""
        return self.head[:, 4]

    @property
    def kind(self) -> Tensor:
        """(m,) int64, CARRIES | ASKS."""
        return self.head[:, 5]

    @property
    def age(self) -> Tensor:
        """(m,) int64, of the model."""
        return self.head[:, 6]


def room(places: int, width: int, dtype: torch.dtype) -> Letters:
    """Free places."""
    return Letters(torch.full((places, 7), -1), torch.zeros(places, width, dtype=dtype))


def take(letters: Letters, which: Tensor) -> Letters:
    """The messages selected by `which`, in that order."""
    return Letters(letters.head[which], letters.w[which])


def put(letters: Letters, more: Letters, now: int) -> Letters:
    """Add the messages `more`. They are written in place if there is room; otherwise the number of places grows."""
    free = (letters.due <= now).nonzero()[: len(more.w), 0]
    if len(free) < len(more.w):
        wider = room(len(letters.w) + len(more.w), letters.w.shape[1], letters.w.dtype)
        grown = Letters._make(map(torch.cat, zip(letters, wider, strict=True)))
        return put(grown, more, now)
    for column, values in zip(letters, more, strict=True):
        column[free] = values
    return letters


def arriving(letters: Letters, now: int) -> Letters:
    """The messages due now, in the order of delivery: by receiver, then by tick of sending, then by sender."""
    due = (letters.due == now).nonzero()[:, 0]
    _, sent, copy, sender, receiver, _, _ = letters.head[due].numpy().T
    return take(letters, due[torch.from_numpy(np.lexsort((copy, sender, sent, receiver)))])


def ranks(groups: Tensor) -> Tensor:
    """The index of each entry in its group, (m,), from 0. Entries of a group are adjacent."""
    if not bool((groups[1:] == groups[:-1]).any()):
        return torch.zeros_like(groups)
    counts = torch.unique_consecutive(groups, return_counts=True)[1]
    firsts: Tensor = (counts.cumsum(0) - counts).repeat_interleave(counts)
    return torch.arange(len(groups)) - firsts
