"""Which peers share masks; must not know keys.

A coalition learns one sum for each connected part of the graph of masks that is left without the coalition (Zhao, Sun,
"Information theoretic secure aggregation with uncoded groupwise keys", 2022). So that graph is complete up to 64 peers. Above,
it has the links of the topology, and a ring in a public random order with chords (Bell et al., "Secure single-server
aggregation with (poly)logarithmic overhead", CCS 2020).
"""

import hashlib
import math
from collections.abc import Mapping, Sequence, Set

ALL = 64  # peers up to which each shares a mask with each other
FEWEST = 6


def pods(names: Sequence[str], size: int) -> list[list[str]]:
    """A public partition into groups of at least `size` peers: those that leave secure sums together, or not at all."""
    ends = [size * i for i in range(1, max(1, len(names) // size))]
    return [[*names[a:b]] for a, b in zip([0, *ends], [*ends, len(names)], strict=True)]


def degree(peers: int) -> int:
    """How many others a peer shares masks with, besides its neighbours, above 64 peers: an even number."""
    return 2 * math.ceil(max(FEWEST, 2 * math.log2(peers)) / 2)


def partners(names: Sequence[str], near: Mapping[str, Set[str]], seed: bytes) -> dict[str, set[str]]:
    """The peers with which each peer shares masks: a symmetric relation.

    Args:
        names: of all peers.
        near: the neighbours of each peer, in both directions.
        seed: public, and not known before the keys are.
    """
    if len(names) <= ALL:
        return {name: set(names) - {name} for name in names}
    order = sorted(names, key=lambda name: hashlib.blake2b(name.encode(), key=seed[:64]).digest())
    far, n = range(1, degree(len(names)) // 2 + 1), len(order)
    found = {name: {order[(i + s * hop) % n] for hop in far for s in (1, -1)} for i, name in enumerate(order)}
    for name, others in near.items():
        for other in others - {name}:
            found[name].add(other)
            found[other].add(name)
    return found
