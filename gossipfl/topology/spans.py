"""What goes wrong, as a list of events, and what holds when because of them; must not know links.

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
continuing who was never stopped.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gossipfl.errors import BadExperiment

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


def check(fault: Fault, peers: int) -> None:
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


def absences(faults: Sequence[Fault]) -> list[Span]:
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


def cuts(faults: Sequence[Fault]) -> list[Span]:
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


def losses(faults: Sequence[Fault], peers: int) -> list[tuple[int, Tensor]]:
    """From which round on messages of which peers are lost at which rates."""
    rates = torch.zeros(peers, dtype=torch.float64)
    found = [(0, rates)]
    for fault in faults:
        if fault.do == "loss":
            rates = rates.clone()
            rates[list(fault.peers) if fault.peers else slice(None)] = fault.amount
            found.append((fault.round, rates))
    return found
