"""The links of one round with their mixing weights, and simple schedules of them; must not know where they came from."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gossipfl.errors import BadExperiment

Numbers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Links(NamedTuple):
    """The off-diagonal part of one round's mixing matrix W, as a list of directed edges.

    Peer `receivers[e]` weighs what `senders[e]` holds with `weights[e]` = w_ij, which is above 0 unless optimal weights or a
    file say otherwise. Peers are numbered from 0 in the order of the graph. Edges are sorted by receiver, then by sender.
    The diagonal is not stored: w_ii = 1 - sum_j w_ij, so that a missing neighbour needs no code.

    `arrives[e]` is False if that message is lost, which its sender does not notice; None: all arrive. `present[i]` is False if
    peer i is away: it has no links, computes nothing, and its sessions with others end; None: all are present. `forgets[i]` is
    True if a peer that is away loses all that it knows, and starts anew when it is back.

    Two fields describe the future. Peers with different `sides[i]` will never hear of each other again, directly or through
    others, because a peer is gone or cut off for good; None: all may hear of each other. `waits[i]` is True if a peer on peer
    i's side is away or cut off and will be back: until then no peer of that side may take what it holds as final.

    No peer waits for links that a schedule leaves out, and no session ends because of them. If messages may get lost or peers
    may be away, `arrives` or `present` is given in every round with links: from then on the history of each edge is recorded.
    """

    receivers: Numbers  # (e,)
    senders: Numbers  # (e,)
    weights: Reals  # (e,)
    arrives: Mask | None = None  # (e,)
    present: Mask | None = None  # (n,)
    forgets: Mask | None = None  # (n,)
    sides: Numbers | None = None  # (n,)
    waits: Mask | None = None  # (n,)


# A schedule: round -> that round's links. Every peer computes the same links, without communication. A schedule that
# does not change returns the same object each time, so that an engine can keep what it derives from it.
Topology = Callable[[int], Links]


def arrange(receivers: Numbers, senders: Numbers, weights: Reals | float) -> Links:
    """The `Links` of edges (e,) in any order; weights of edges from the same sender to the same receiver are added."""
    edges, place = np.unique(receivers << 32 | senders, return_inverse=True)
    total = np.bincount(place, np.broadcast_to(weights, receivers.shape)).astype(np.float64)  # int64 if empty
    return Links(edges >> 32, edges & 0xFFFFFFFF, total)


def silence() -> Links:
    """No links at all."""
    none = np.empty(0, np.int64)
    return Links(none, none, np.empty(0))


def static(links: Links) -> Topology:
    """The same links, as the same object, in every round."""
    return lambda _: links


def cycle(rounds: Sequence[Links]) -> Topology:
    """The links of these rounds in a cycle, the same objects each time; no links if there are no rounds."""
    rounds = rounds or (silence(),)
    return lambda round: rounds[round % len(rounds)]


def remembered(make: Callable[[Links, int], Links]) -> Callable[[Links, int], Links]:
    """The same function, which returns the same object as before if links (by identity) and number are the same as before.

    So the links of a static topology stay one object under a condition, too.
    """
    last: list[tuple[Links, int, Links]] = []

    def links(of: Links, number: int) -> Links:
        if not (last and last[0][0] is of and last[0][1] == number):
            last[:] = [(of, number, make(of, number))]
        return last[0][2]

    return links


def every(topology: Topology, period: int) -> Topology:
    """`topology`'s rounds 0, 1, ... as rounds period - 1, 2 period - 1, ...; other rounds have no links, as one same object.

    So there are `period` local steps for each exchange, and no round of the schedule is left out.

    Raises:
        BadExperiment: the period is below 1.
    """
    if period < 1:
        raise BadExperiment(f"the period between exchanges is {period} rounds: use 1 or more")
    none = silence()
    return lambda round: none if (round + 1) % period else topology(round // period)
