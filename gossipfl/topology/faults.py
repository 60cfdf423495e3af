"""Faults by the round, as data: who fails, when and how; must not know what peers compute, nor how a fault is brought about.

A simulation carries them out on its links (`afflicted`); a launcher of live peers by signals and a proxy. Peers are numbers in
the order of the graph.

    kill      the peers are gone from that round on, with all that they know but their checkpoints
    restart   killed or stopped peers are back: from their last model or, `fresh`, from nothing. A peer that was still there is
              away in that round, and back in the next
    stop      the peers hang from that round on: they compute nothing, say nothing and hear nothing
    continue  stopped peers are back, as they were
    cut       from that round on no message passes between `peers` and the others; cuts add up
    heal      the cut of the very same peers ends; with no peers named, all cuts do
    loss      from that round on each message is lost with probability `amount`, of which its sender learns nothing: those that
              `peers` send or are sent, or, with no peers named, all

Events of one round happen in the order in which they are given. What changes nothing is no mistake: killing who is gone, or
continuing who was never stopped. In a simulation a peer that is gone or hangs has no links and is not `present`, one that will
begin from nothing `forgets`, and what is cut or lost does not arrive, so that an edge's session ends as it does between live
peers; with the sessions go the account fields, so that a restart from the last model is a return like any other.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gossipfl import rng
from gossipfl.errors import BadExperiment
from gossipfl.topology.links import Links, Topology
from gossipfl.topology.preserves import without

EVER = 2**62  # a round that nobody reaches


class Fault(NamedTuple):
    """One event, at the beginning of `round` (from 0 on)."""

    round: int
    do: Literal["kill", "stop", "continue", "restart", "cut", "heal", "loss"]
    peers: tuple[int, ...]
    amount: float = 0.0  # the probability of a loss, from 0 to 1
    fresh: bool = False  # a restart from nothing


class Span(NamedTuple):
    """Something that holds for these peers in rounds begin, ..., end - 1."""

    peers: frozenset[int]
    begin: int
    end: int
    fresh: bool = False


class Standing(NamedTuple):
    """What holds from one event to the next; all (n,)."""

    away: Tensor  # bool
    forgets: Tensor  # bool
    sides: tuple[Tensor, ...]  # bool, one for each cut
    rates: Tensor  # of loss


def afflicted(topology: Topology, peers: int, faults: Sequence[Fault], seed: int = 0) -> Topology:
    """`topology`, whose rounds these are, with faults. Give it the whole topology, local steps and other conditions included.

    Args:
        topology: of all peers.
        peers: how many there are.
        faults: in any order; those of one round in theirs.
        seed: what losses are drawn from.

    Raises:
        BadExperiment: an event that cannot be, saying which and why.
    """
    for fault in faults:
        _check(fault, peers)
    ordered = sorted(faults, key=lambda fault: fault.round)
    begins, standings = _timeline(peers, _absences(ordered), _cuts(ordered), _losses(ordered, peers))
    noisy = any(fault.do in ("cut", "loss") for fault in faults)

    @lru_cache(1)  # tensors are hashed by identity: static links are worked on once an event
    def struck(whole: Links, place: int) -> Links:
        now = standings[place]
        present = ~now.away if whole.present is None else whole.present & ~now.away
        forgets = now.forgets if whole.forgets is None else whole.forgets | now.forgets
        left = without(whole, now.away)._replace(present=present, forgets=forgets)
        arrives = torch.ones_like(left.receivers, dtype=torch.bool) if left.arrives is None else left.arrives
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
            arrives=left.arrives & (drawn >= torch.maximum(rates[left.receivers], rates[left.senders]))
        )

    return links


def _check(fault: Fault, peers: int) -> None:
    def refuse(why: str) -> BadExperiment:
        return BadExperiment(f"fault {fault.do!r} in round {fault.round}: {why}")

    if fault.do not in ("kill", "stop", "continue", "restart", "cut", "heal", "loss"):
        raise refuse("there is no such fault; use kill, stop, continue, restart, cut, heal or loss")
    if fault.round < 0:
        raise refuse("rounds are counted from 0")
    if strangers := [peer for peer in fault.peers if not 0 <= peer < peers]:
        raise refuse(f"there is no peer number {strangers[0]}, but 0 to {peers - 1}")
    if not fault.peers and fault.do not in ("heal", "loss"):
        raise refuse("name at least one peer")
    if not 0 <= fault.amount <= 1:
        raise refuse(f"the amount is {fault.amount}: make it a probability, from 0 to 1")


def _absences(faults: Sequence[Fault]) -> list[Span]:
    """When whom is away, peer by peer."""
    spans: list[Span] = []
    gone: dict[int, tuple[int, str]] = {}  # since when, and how
    for fault in faults:
        for peer in fault.peers:
            since, how = gone.get(peer, (fault.round, ""))
            if fault.do in ("kill", "stop"):
                gone[peer] = since, "kill" if how == "kill" else fault.do
            elif fault.do == "continue" and how == "kill":
                raise BadExperiment(
                    f"fault 'continue' in round {fault.round}: peer number {peer} was killed; restart it"
                )
            elif fault.do == "restart" or (fault.do == "continue" and how):
                end = max(fault.round, since + 1) if fault.do == "restart" else fault.round
                spans.append(Span(frozenset([peer]), since, end, fault.fresh))
                gone.pop(peer, None)
    return spans + [Span(frozenset([peer]), since, EVER) for peer, (since, _) in gone.items()]


def _cuts(faults: Sequence[Fault]) -> list[Span]:
    spans: list[Span] = []
    standing: dict[frozenset[int], int] = {}
    for fault in faults:
        peers = frozenset(fault.peers)
        if fault.do == "cut":
            standing.setdefault(peers, fault.round)
        elif fault.do == "heal":
            if peers and peers not in standing:
                raise BadExperiment(
                    f"fault 'heal' in round {fault.round}: the peers numbered {sorted(peers)} are not cut off; name those of "
                    "one cut, or none to heal all"
                )
            for healed in [peers] if peers else list(standing):
                spans.append(Span(healed, standing.pop(healed), fault.round))
    return spans + [Span(peers, begin, EVER) for peers, begin in standing.items()]


def _losses(faults: Sequence[Fault], peers: int) -> list[tuple[int, Tensor]]:
    """From which round on messages of which peers are lost at which rates."""
    rates = torch.zeros(peers, dtype=torch.float64)
    found = [(0, rates)]
    for fault in faults:
        if fault.do == "loss":
            rates = rates.clone()
            rates[list(fault.peers) if fault.peers else slice(None)] = fault.amount
            found.append((fault.round, rates))
    return found


def _timeline(
    peers: int, absences: list[Span], cuts: list[Span], losses: list[tuple[int, Tensor]]
) -> tuple[list[int], list[Standing]]:
    """The rounds in which something changes, from 0 on, and what holds from each of them on."""
    spans = absences + cuts
    begins = sorted(
        {0, *(span.begin for span in spans), *(span.end for span in spans), *(round for round, _ in losses)}
    )

    def mask(chosen: list[Span]) -> Tensor:
        found = torch.zeros(peers, dtype=torch.bool)
        found[[peer for span in chosen for peer in span.peers]] = True
        return found

    standings = []
    for begin in begins:
        away = [span for span in absences if span.begin <= begin < span.end]
        standings.append(
            Standing(
                mask(away),
                mask([span for span in away if span.fresh]),
                tuple(mask([span]) for span in cuts if span.begin <= begin < span.end),
                [rates for round, rates in losses if round <= begin][-1],
            )
        )
    return begins, standings
