"""The whole state of a gossip learning run; must not know how it continues."""

from typing import NamedTuple

import numpy as np

from gossipfl.gossip.letters import Letters
from gossipfl.tensors import Tensor
from gossipfl.topology.links import Mask, Numbers

# The tally's columns: the first two by sender, the others by receiver.
SENT, LOST, RECEIVED, MISSED = range(4)


class World(NamedTuple):
    """The world before tick number `tick`. The peers are the rows. Saving it makes a checkpoint.

    Models are tensors, for rules and losses; all else is numpy, whose calls on a few numbers take a fraction of the time.

    The run of a live peer has one row and no letters, and `tick` is the number of events so far.
    """

    tick: int
    models: Tensor  # (n, cache, d), the models that each peer made from the last messages, the newest first
    ages: Numbers  # (n,), of the newest model
    last: Tensor  # (n, d), the model that arrived last, unchanged
    last_ages: Numbers  # (n,)
    wake: Numbers  # (n,), the tick of the next wake-up
    tokens: Numbers  # (n,)
    online: Mask  # (n,)
    until: Numbers  # (n,), the tick in which `online` changes
    letters: Letters  # in transit
    tally: Numbers  # (n, 4), messages so far: SENT, LOST of these, RECEIVED, MISSED while offline

    @property
    def x(self) -> Tensor:
        """The peers' models, (n, d)."""
        return self.models[:, 0]


def copy(run: World) -> World:
    """A run that shares no memory with this one."""
    letters = Letters._make(column.copy() for column in run.letters)
    return World._make(
        v.clone() if isinstance(v, Tensor) else v.copy() if isinstance(v, np.ndarray) else v
        for v in run._replace(letters=letters)
    )
