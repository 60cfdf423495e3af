"""Messages in transit, as rows of tensors; must not know who sends them, nor why."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

CARRIES, ASKS = 1, 2  # the kind of a message: it brings a model, or asks for one


class Letters(NamedTuple):
    """m places for messages. A place is free when its `due` has passed: its message was delivered."""

    due: Tensor  # (m,) int64, the tick of arrival
    sent: Tensor  # (m,) int64, the tick of sending
    copy: Tensor  # (m,) int64, its number among the messages of its sender in that tick
    sender: Tensor  # (m,) int64
    receiver: Tensor  # (m,) int64
    kind: Tensor  # (m,) int64, CARRIES | ASKS
    age: Tensor  # (m,) int64
    w: Tensor  # (m, d), the model as it was when the message was sent


def room(places: int, width: int, dtype: torch.dtype) -> Letters:
    """Free places."""
    free = [torch.full((places,), -1) for _ in Letters._fields[:-1]]
    return Letters._make([*free, torch.zeros(places, width, dtype=dtype)])


def take(letters: Letters, which: Tensor) -> Letters:
    """The messages selected by `which`, in that order."""
    return Letters._make(column[which] for column in letters)


def put(letters: Letters, more: Letters, now: int) -> Letters:
    """Add the messages `more`. They are written in place if there is room; otherwise the number of places grows."""
    free = (letters.due <= now).nonzero()[: len(more.due), 0]
    if len(free) < len(more.due):
        wider = room(len(letters.due) + len(more.due), letters.w.shape[1], letters.w.dtype)
        grown = Letters._make(map(torch.cat, zip(letters, wider, strict=True)))
        return put(grown, more, now)
    for column, values in zip(letters, more, strict=True):
        column[free] = values
    return letters


def arriving(letters: Letters, now: int) -> Letters:
    """The messages due now, in the order of delivery: by receiver, then by tick of sending, then by sender."""
    due = take(letters, (letters.due == now).nonzero()[:, 0])
    keys = (due.copy, due.sender, due.sent, due.receiver)
    return take(due, torch.from_numpy(np.lexsort([key.numpy() for key in keys])))


def ranks(groups: Tensor) -> Tensor:
    """The index of each entry in its group, (m,), from 0. Entries of a group are adjacent."""
    if not len(groups):
        return groups
    counts = torch.unique_consecutive(groups, return_counts=True)[1]
    firsts: Tensor = (counts.cumsum(0) - counts).repeat_interleave(counts)
    return torch.arange(len(groups)) - firsts
