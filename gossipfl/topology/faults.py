"""Faults by the round, as data: who fails, when and how; must not know what peers compute, nor how a fault is brought about.

A simulation carries them out on its links; a launcher of live peers by signals and a proxy. Peers are numbers in the order of
the graph.

    kill      the peers are gone from that round on, with all that they know but their checkpoints
    restart   killed or stopped peers are back: from their last model or, `fresh`, from nothing. A peer that was still there is
              away in that round, and back in the next
    stop      the peers hang from that round on: they compute nothing, say nothing and hear nothing
    continue  stopped peers are back, as they were
    cut       from that round on no message passes between `peers` and the others; cuts add up
    heal      the cut of the very same peers ends; with no peers named, all cuts do
    loss      from that round on each message is lost with probability `amount`, of which its sender learns nothing: those that
              `peers` send or are sent, or, with no peers named, all
"""

from typing import Literal, NamedTuple


class Fault(NamedTuple):
    """One event, at the beginning of `round` (from 0 on)."""

    round: int
    do: Literal["kill", "stop", "continue", "restart", "cut", "heal", "loss"]
    peers: tuple[int, ...]
    amount: float = 0.0  # the probability of a loss, from 0 to 1
    fresh: bool = False  # a restart from nothing
