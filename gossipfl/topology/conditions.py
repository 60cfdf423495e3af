"""What goes wrong on the way, as functions from a topology to a topology; must not know what is sent, or why.

Whether a link or a peer fails in a round is drawn from the seed, the round and the peers' numbers, so every peer computes the
same, in any order. Use two seeds for two conditions of the same kind. If no link is left out, the links are the same object as
without the condition.
"""

from collections.abc import Collection, Sequence

import numpy as np

from gossipfl import rng
from gossipfl.errors import BadExperiment
from gossipfl.topology.links import Links, Topology, remembered
from gossipfl.topology.preserves import select, without


def lossy(topology: Topology, p: float, seed: int = 0) -> Topology:
    """Each message is lost with probability p, which its sender does not notice; `arrives` marks those that arrive.

    The other fields of `Links` are the same arrays as before.
    """
    _probability("p, the probability of losing a message,", p)

    def links(round: int) -> Links:
        sent = topology(round)
        ends = sent.receivers << 32 | sent.senders
        arrives = rng.uniform(seed, "lossy", ends, round, 1)[:, 0] >= p
        return sent._replace(arrives=arrives if sent.arrives is None else arrives & sent.arrives)

    return links if p else topology


def dropping(topology: Topology, p: float, seed: int = 0) -> Topology:
    """Each link fails with probability p, in both directions. Both ends notice, so the link is left out.

    Symmetric weights stay symmetric.
    """
    _probability("p, the probability of a link failing,", p)

    def links(round: int) -> Links:
        whole = topology(round)
        one = np.minimum(whole.receivers, whole.senders)
        other = np.maximum(whole.receivers, whole.senders)
        return select(whole, rng.uniform(seed, "dropping", one << 32 | other, round, 1)[:, 0] >= p)

    return links if p else topology


def churn(topology: Topology, peers: int, online: float, session: int, seed: int = 0) -> Topology:
    """Peers come and go: a peer that is away has no links, and is not `present`.

    A peer's time is divided into sessions of `session` rounds, with a phase of its own. In each session it is present with
    probability `online`, independently of other sessions. It keeps what it knows.

    Args:
        topology: of all peers.
        peers: the number of peers.
        online: the share of its time that a peer is present.
        session: rounds, 1 or more.
        seed: for the draws.
    """
    _probability("online", online)
    if session < 1:
        raise BadExperiment(f"sessions of {session} rounds are too short: use 1 or more")
    each = np.arange(peers)
    phase = rng.integers(seed, "churn-phase", each, 0, 1, np.full(peers, session))[:, 0]

    def links(round: int) -> Links:
        number, now = (round + phase) // session, round // session
        drawn = rng.uniform(seed, "churn", each, range(now, now + 2), 1)[:, :, 0]
        away = np.where(number == now, drawn[0], drawn[1]) >= online
        left, here = without(topology(round), away), ~away
        return left._replace(
            present=here if left.present is None else left.present & here,
            waits=away if left.waits is None else left.waits | away,
        )

    return links if online < 1 else topology


def partition(topology: Topology, groups: Sequence[Collection[int]], begin: int, end: int) -> Topology:
    """In rounds begin, ..., end - 1 the links between peers of different groups are left out.

    Args:
        topology: of all peers.
        groups: the numbers of the peers in each; peers in none of them form one more group.
        begin, end: rounds.
    """
    among = [np.array(sorted(group), np.int64) for group in groups]

    @remembered
    def cut(links: Links, _: int) -> Links:
        kept = np.ones(len(links.receivers), bool)
        for group in among:
            kept &= np.isin(links.receivers, group) == np.isin(links.senders, group)
        return select(links, kept)

    return lambda round: cut(topology(round), 0) if begin <= round < end else topology(round)


def stragglers(topology: Topology, slow: Collection[int], every: int, seed: int = 0) -> Topology:
    """Slow peers take part only in every `every`-th round, each with its own phase; in other rounds their links are left out.

    All peers know these rounds, so nobody waits for a slow peer, and it goes on computing alone.

    Args:
        topology: of all peers.
        slow: the numbers of the slow peers.
        every: how many times slower they are, 1 or more.
        seed: for the draws of the phases.
    """
    if every < 1:
        raise BadExperiment(f"stragglers take part in every {every}-th round: use 1 or more")
    number = np.array(sorted(slow), np.int64)
    phase = rng.integers(seed, "stragglers", number, 0, 1, np.full(len(number), every))[:, 0]

    def links(round: int) -> Links:
        whole, away = topology(round), number[(round + phase) % every > 0]
        return select(whole, ~(np.isin(whole.receivers, away) | np.isin(whole.senders, away)))

    return links


def _probability(name: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise BadExperiment(f"{name} is {p}: use a number from 0 to 1")
