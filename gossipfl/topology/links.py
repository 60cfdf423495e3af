"""One round's directed edges with their mixing weights; must not know where the graph came from."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gossipfl.errors import BadExperiment


class Links(NamedTuple):
    """The off-diagonal part of one round's mixing matrix W, as a list of directed edges.

    Peer `receivers[e]` weighs what `senders[e]` holds with `weights[e]` = w_ij, above 0 unless optimal weights or a
    file say otherwise. Peers are numbered from 0 in the order of the graph. Edges are sorted by receiver, then by
    sender. The diagonal is never stored: a peer keeps what its neighbours leave, w_ii = 1 - sum_j w_ij, so that a
    missing neighbour costs no code.

    `arrives[e]` is False where that message is lost on its way, of which the sender learns nothing; None: all arrive.
    `present[i]` is False where peer i is away: it has no links, computes nothing, and its sessions with others end; None: all
    are there. `forgets[i]` is True where a peer that is away loses all that it knows, to begin anew when it is back.

    What is known of the future: peers of unlike `sides[i]` will not hear of each other any more, directly or through others, as
    where one is gone or cut off for good; None: all may. `waits[i]` is True where somebody of peer i's side is away or cut off,
    and will be back: until then nobody of that side is to take what he holds for the end.

    Links that a schedule leaves out are awaited by nobody, and no session ends for that. Where messages may get lost or peers
    be away, `arrives` or `present` is given in every round with links: what an edge has done is noted from then on.
    """

    receivers: Tensor  # (e,) int64
    senders: Tensor  # (e,) int64
    weights: Tensor  # (e,) float64
    arrives: Tensor | None = None  # (e,) bool
    present: Tensor | None = None  # (n,) bool
    forgets: Tensor | None = None  # (n,) bool
    sides: Tensor | None = None  # (n,) int64
    waits: Tensor | None = None  # (n,) bool


# A schedule: round -> that round's links. Every peer computes the same without a word. A schedule that does
# not change returns the same object each time, so that an engine can keep what it derives from it.
Topology = Callable[[int], Links]


def arrange(
    receivers: npt.NDArray[np.int64], senders: npt.NDArray[np.int64], weights: npt.NDArray[np.float64] | float
) -> Links:
    """The `Links` of edges (e,) in any order; what two from the same sender to the same receiver weigh is added."""
    edges, place = np.unique(receivers << 32 | senders, return_inverse=True)
    total = np.bincount(place, np.broadcast_to(weights, receivers.shape)).astype(np.float64)  # int64 if empty
    return Links(*map(torch.from_numpy, (edges >> 32, edges & 0xFFFFFFFF, total)))


def silence() -> Links:
    """No links at all."""
    none = torch.empty(0, dtype=torch.int64)
    return Links(none, none, torch.empty(0, dtype=torch.float64))


def static(links: Links) -> Topology:
    """The same links, one and the same object, every round."""
    return lambda _: links


def cycle(rounds: Sequence[Links]) -> Topology:
    """These rounds' links again and again, the same objects each time; no links, if there are no rounds."""
    rounds = rounds or (silence(),)
    return lambda round: rounds[round % len(rounds)]


def every(topology: Topology, period: int) -> Topology:
    """`topology`'s rounds 0, 1, ... as rounds period - 1, 2 period - 1, ...; in between no links, one and the same object.

    So `period` local steps go between one exchange and the next, and a schedule leaves out none of its rounds.

    Raises:
        BadExperiment: the period is below 1.
    """
    if period < 1:
        raise BadExperiment(f"a period of {period} rounds between exchanges: make it 1 or more")
    none = silence()
    return lambda round: none if (round + 1) % period else topology(round // period)
