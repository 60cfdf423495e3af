"""All there is of a gossip learning run; must not know how it goes on."""

from typing import NamedTuple

from torch import Tensor

from gossipfl.gossip.letters import Letters

SENT, LOST, RECEIVED, MISSED = range(
    4
)  # the tally's columns: the first two by sender, the others by receiver


class World(NamedTuple):
    """The world before tick number `tick`; saving it is the checkpoint. The peers are the rows.

    A live peer's run has one row, no letters, and for `tick` how many things have happened to the peer.
    """

    tick: int
    models: Tensor  # (n, cache, d), what each peer made of the last messages, the newest first
    ages: Tensor  # (n,) int64, of the newest
    last: Tensor  # (n, d), the model that arrived last, as it arrived
    last_ages: Tensor  # (n,) int64
    wake: Tensor  # (n,) int64, the tick of the next wake-up
    tokens: Tensor  # (n,) int64
    online: Tensor  # (n,) bool
    until: Tensor  # (n,) int64, the tick in which that changes
    letters: Letters  # on their way
    tally: Tensor  # (n, 4) int64, messages so far: SENT, of these LOST, RECEIVED, MISSED while offline

    @property
    def x(self) -> Tensor:
        """The peers' models, (n, d)."""
        return self.models[:, 0]


def copy(run: World) -> World:
    """A run that shares no memory with this one."""
    letters = Letters._make(column.clone() for column in run.letters)
    return World._make(v.clone() if isinstance(v, Tensor) else v for v in run._replace(letters=letters))
