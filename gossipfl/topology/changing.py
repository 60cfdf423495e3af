"""Named graphs whose links change from round to round, or have their own weights; must not know files or weight rules.

The graph of each family has the edges of all its rounds, in both directions: peers connect along them, and agree before
they learn.
"""

from collections.abc import Callable, Sequence
from math import gcd

import networkx as nx

from gossipfl.errors import BadExperiment
from gossipfl.topology import equi
from gossipfl.topology.drawn import epidemic, epidemic_local, matching
from gossipfl.topology.family import Family
from gossipfl.topology.links import Links, Topology, cycle, static
from gossipfl.topology.periodic import base, one_peer


def _union(peers: int, rounds: Sequence[Links]) -> nx.Graph:
    graph = nx.empty_graph(peers)
    for links in rounds:
        graph.add_edges_from(zip(links.receivers.tolist(), links.senders.tolist(), strict=True))
    return graph


def _periodic(rounds: Callable[..., Sequence[Links]]) -> Callable[..., Topology]:
    return lambda *values: cycle(rounds(*values[:-1]))  # without the seed


def _all(peers: int, sends: int = 1) -> nx.Graph:
    if sends >= max(2, peers):
        raise BadExperiment("s, the number of peers that each peer sends to, must be below n")
    return nx.complete_graph(peers)


def _offsets(peers: int, M: int | equi.Offsets, seed: int) -> equi.Offsets:
    if isinstance(M, int):
        return equi.offsets(peers, M, seed)
    if not all(1 <= u < peers for u in M) or len({*M}) < len(M) or gcd(peers, *M) > 1:
        raise BadExperiment("offsets must be from 1 to n - 1, each once, and together connect all peers")
    return M


def _equi(name: str, about: str, schedule: Callable[[int, equi.Offsets, int], Topology]) -> Family:
    def make(peers: int, M: int | equi.Offsets, seed: int) -> nx.Graph:
        chosen = _offsets(peers, M, seed)
        graph = _union(peers, [equi.directed(peers, chosen)])
        graph.graph["schedule"] = f"{name}:{peers}:" + "".join(f"+{u}" for u in chosen)
        return graph

    def rounds(peers: int, M: int | equi.Offsets, seed: int) -> Topology:
        return schedule(peers, _offsets(peers, M, seed), seed)

    def most(peers: int, M: int | equi.Offsets) -> int:
        return peers * (M if isinstance(M, int) else len(M))

    return Family(f"{name}:n:M", f"{name}:16:4", about, make, most, True, rounds)


CHANGING: dict[str, Family] = {
    "one-peer-exp": Family(
        "one-peer-exp:n", "one-peer-exp:16", "hears the peer 1, 2, 4, ... before it in turn; exact if n is a power of 2",
        lambda n: _union(n, one_peer(n)), lambda n: n * n.bit_length(), schedule=_periodic(one_peer),
    ),
    "base": Family(
        "base:b:n", "base:3:12", "Base-(k+1) graph, b = k + 1: at most k neighbours a round, exact for any n",
        lambda b, n: _union(n, base(b, n)), lambda b, n: n * min(n, (b - 1) * (n.bit_length() + 1)),
        schedule=_periodic(base),
    ),
    "matching": Family(
        "matching:n", "matching:16", "random pairs, drawn anew in each round", _all, lambda n: n * n // 2, schedule=matching,
    ),
    "epidemic": Family(
        "epidemic:n:s", "epidemic:100:4", "in each round sends to s random peers and hears s (EL-Oracle)",
        _all, lambda n, _: n * n // 2, schedule=epidemic,
    ),
    "epidemic-local": Family(
        "epidemic-local:n:s", "epidemic-local:100:4", "in each round sends to s peers that it chooses (EL-Local)",
        _all, lambda n, _: n * n // 2, schedule=epidemic_local,
    ),
    "equi": _equi(
        "equi", "EquiTopo: linked at M random distances, in both directions (U-EquiStatic)",
        lambda n, chosen, _: static(equi.both_ways(n, chosen)),
    ),
    "equi-directed": _equi(
        "equi-directed", "EquiTopo: hears the peers M random distances before it (D-EquiStatic)",
        lambda n, chosen, _: static(equi.directed(n, chosen)),
    ),
    "equi-one-peer": _equi(
        "equi-one-peer", "EquiTopo: in each round pairs peers at one of M distances (OU-EquiDyn)",
        equi.one_peer_both_ways,
    ),
    "equi-one-peer-directed": _equi(
        "equi-one-peer-directed", "EquiTopo: in each round hears the peer one of M distances before it (OD-EquiDyn)",
        equi.one_peer_directed,
    ),
}  # fmt: skip
