"""Faults by the round, as data: which peer fails, when and how; must not know what peers compute, nor how faults are caused.

A simulation applies the events of `spans` to its links (`afflicted`); live peers get them from a launcher, by signals and a
proxy. Peers are numbers in the order of the graph. In a simulation a peer that is gone or hangs has no links and is not
`present`, and a peer that will restart from nothing `forgets`. A message that is cut off or lost does not arrive, so that the
session of its edge ends as it does between live peers. The account fields end with the session, so a restart from the last
model is a return like any other. A simulation knows how long each fault lasts: no peer waits for what is gone for good.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gossipfl import rng
from gossipfl.topology.links import Links, Mask, Reals, Topology, remembered
from gossipfl.topology.outlook import Outlook, mask, outlook
from gossipfl.topology.preserves import without
from gossipfl.topology.spans import Fault, Span, absences, check, cuts, losses


class Standing(NamedTuple):
    """What holds between one event and the next; each array is (n,)."""

    away: Mask
    forgets: Mask
    sides: tuple[Mask, ...]  # one for each cut
    rates: Reals  # probabilities of loss
    ahead: Outlook


def afflicted(
    topology: Topology, peers: int, faults: Sequence[Fault], seed: int = 0, edges: Links | None = None
) -> Topology:
    """`topology` with faults. Pass the whole topology, local steps and other conditions included: faults count its rounds.

    Args:
        topology: of all peers.
        peers: the number of peers.
        faults: in any order; those of one round happen in the given order.
        seed: for the draws of losses.
        edges: all links that may ever be used; without it, all pairs.

    Raises:
        BadExperiment: an event is impossible; the message says which, and why.
    """
    for fault in faults:
        check(fault, peers)
    ordered = sorted(faults, key=lambda fault: fault.round)
    begins, standings = _timeline(peers, absences(ordered), cuts(ordered), losses(ordered, peers), edges)
    noisy = any(fault.do in ("cut", "loss") for fault in faults)

    @remembered
    def struck(whole: Links, place: int) -> Links:
        now = standings[place]
        present = ~now.away if whole.present is None else whole.present & ~now.away
        forgets = now.forgets if whole.forgets is None else whole.forgets | now.forgets
        waits = now.ahead.waits if whole.waits is None else now.ahead.waits | (whole.waits & ~now.away)
        left = without(whole, now.away)._replace(
            present=present, forgets=forgets, sides=now.ahead.sides, waits=waits
        )
        arrives = np.ones(len(left.receivers), bool) if left.arrives is None else left.arrives
        for side in now.sides:
            arrives = arrives & (side[left.receivers] == side[left.senders])
        return left._replace(arrives=arrives) if noisy else left

    def links(round: int) -> Links:
        place = bisect_right(begins, round) - 1
        left, rates = struck(topology(round), place), standings[place].rates
        if left.arrives is None or not rates.any():
            return left
        drawn = rng.uniform(seed, "faults", left.receivers << 32 | left.senders, round, 1)[:, 0]
        return left._replace(
            arrives=left.arrives & (drawn >= np.maximum(rates[left.receivers], rates[left.senders]))
        )

    return links


def _timeline(
    peers: int,
    away: list[Span],
    cut: list[Span],
    lost: list[tuple[int, Reals]],
    edges: Links | None,
) -> tuple[list[int], list[Standing]]:
    """The rounds in which something changes, from 0 on, and what holds from each of them on."""
    spans = away + cut
    begins = sorted(
        {0, *(span.begin for span in spans), *(span.end for span in spans), *(round for round, _ in lost)}
    )

    def standing(round: int) -> Standing:
        gone, sides = ([span for span in some if span.begin <= round < span.end] for some in (away, cut))
        return Standing(
            mask(peers, gone),
            mask(peers, [span for span in gone if span.fresh]),
            tuple(mask(peers, [span]) for span in sides),
            [rates for begin, rates in lost if begin <= round][-1],
            outlook(peers, gone + sides, edges),
        )

    return begins, [standing(begin) for begin in begins]
