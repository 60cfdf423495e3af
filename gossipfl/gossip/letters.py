"""Messages in transit, as rows of arrays; must not know who sends them, nor why."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gossipfl.topology.links import Mask, Numbers

CARRIES, ASKS = 1, 2  # the kind of a message: it brings a model, or asks for one


class Letters(NamedTuple):
    """m places for messages. A place is free when its `due` has passed: its message was delivered."""

    head: Numbers  # (m, 7): what follows, side by side, so that a choice of messages is two calls
    w: npt.NDArray[np.floating]  # (m, d), the model as it was when the message was sent

    @property
    def due(self) -> Numbers:
        """(m,), the tick of arrival."""
        return self.head[:, 0]

    @property
    def sent(self) -> Numbers:
        """(m,), the tick of sending."""
        return self.head[:, 1]

    @property
    def copy(self) -> Numbers:
        """(m,), its number among the messages of its sender in that tick."""
        return self.head[:, 2]

    @property
    def sender(self) -> Numbers:
        """(m,)."""
        return self.head[:, 3]

    @property
    def receiver(self) -> Numbers:
        """(m,)."""
        return self.head[:, 4]

    @property
    def kind(self) -> Numbers:
        """(m,), CARRIES | ASKS."""
        return self.head[:, 5]

    @property
    def age(self) -> Numbers:
        """(m,), of the model."""
        return self.head[:, 6]


def room(places: int, width: int, dtype: npt.DTypeLike) -> Letters:
    """Free places."""
    return Letters(np.full((places, 7), -1), np.zeros((places, width), dtype))


def take(letters: Letters, which: Numbers | Mask) -> Letters:
    """The messages selected by `which`, in that order."""
    return Letters(letters.head[which], letters.w[which])


def put(letters: Letters, more: Letters, now: int) -> Letters:
    """Add the messages `more`. They are written in place if there is room; otherwise the number of places grows."""
    free = np.flatnonzero(letters.due <= now)[: len(more.w)]
    if len(free) < len(more.w):
        wider = room(len(letters.w) + len(more.w), letters.w.shape[1], letters.w.dtype)
        grown = Letters._make(map(np.concatenate, zip(letters, wider, strict=True)))
        return put(grown, more, now)
    letters.head[free], letters.w[free] = more
    return letters


def arriving(letters: Letters, now: int) -> Letters:
    """The messages due now, in the order of delivery: by receiver, then by tick of sending, then by sender."""
    due = np.flatnonzero(letters.due == now)
    _, sent, copy, sender, receiver, _, _ = letters.head[due].T
    return take(letters, due[np.lexsort((copy, sender, sent, receiver))])


def ranks(groups: Numbers) -> Numbers:
    """The index of each entry in its group, (m,), from 0. Groups are in ascending order."""
    return np.arange(len(groups)) - np.searchsorted(groups, groups)
