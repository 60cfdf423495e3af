"""Faults as a list of events, and the rounds in which each of them has an effect; must not know links.

    kill      from this round on the peers are gone, and lose everything but their checkpoints
    restart   killed or stopped peers come back: from their last model or, with `fresh`, from nothing. A peer that was not
              away is away in this round, and back in the next
    stop      from this round on the peers hang: they compute, send and receive nothing
    continue  stopped peers come back unchanged
    cut       from this round on no message passes between `peers` and the others; cuts add up
    heal      the cut of exactly these peers ends; without peers, all cuts end
    loss      from this round on each message is lost with probability `amount`, and its sender does not notice: each message
              from or to `peers` or, without peers, every message

Events of one round happen in the given order. An event may change nothing: killing a peer that is gone, or continuing a peer
that was never stopped, is no error.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from gossipfl.errors import BadExperiment
from gossipfl.topology.links import Reals

EVER = 2**62  # a round that is never reached


class Fault(NamedTuple):
    """One event, at the beginning of `round` (counted from 0)."""

    round: int
    do: Literal["kill", "stop", "continue", "restart", "cut", "heal", "loss"]
    peers: tuple[int, ...]
    amount: float = 0.0  # the probability of a loss, from 0 to 1
    fresh: bool = False  # a restart from nothing


class Span(NamedTuple):
    """An effect on these peers in rounds begin, ..., end - 1."""

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
        raise refuse("rounds are counted from 0: use a round of 0 or above")
    if strangers := [peer for peer in fault.peers if not 0 <= peer < peers]:
        raise refuse(f"there is no peer number {strangers[0]}; use 0 to {peers - 1}")
    if not fault.peers and fault.do not in ("heal", "loss"):
        raise refuse("name at least one peer")
    if not 0 <= fault.amount <= 1:
        raise refuse(f"the amount is {fault.amount}: use a probability from 0 to 1")


def absences(faults: Sequence[Fault]) -> list[Span]:
    """The spans in which peers are away, one peer each."""
    spans: list[Span] = []
    gone: dict[int, tuple[int, str]] = {}  # since which round, and how
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
                    f"fault 'heal' in round {fault.round}: there is no cut of the peers numbered {sorted(peers)}; name those "
                    "of one cut, or none to heal all cuts"
                )
            for healed in [peers] if peers else list(standing):
                spans.append(Span(healed, standing.pop(healed), fault.round))
    return spans + [Span(peers, begin, EVER) for peers, begin in standing.items()]


def losses(faults: Sequence[Fault], peers: int) -> list[tuple[int, Reals]]:
    """The probability of loss for messages of each peer, (n,), with the round from which it holds."""
    rates = np.zeros(peers)
    found = [(0, rates)]
    for fault in faults:
        if fault.do == "loss":
            rates = rates.copy()
            rates[list(fault.peers) if fault.peers else slice(None)] = fault.amount
            found.append((fault.round, rates))
    return found
