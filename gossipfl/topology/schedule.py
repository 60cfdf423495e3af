"""Which links each round has; must not know graphs or the rules that weigh them."""

import torch

from gossipfl.errors import BadExperiment
from gossipfl.topology.links import Links, Topology


def static(links: Links) -> Topology:
    """The same links, one and the same object, every round."""
    return lambda _: links


def every(topology: Topology, period: int) -> Topology:
    """`topology`'s links in rounds period - 1, 2 period - 1, ...; in between no links, one and the same empty
    object.

    So `period` local steps go between one exchange and the next.

    Raises:
        BadExperiment: the period is below 1.
    """
    if period < 1:
        raise BadExperiment(f"a period of {period} rounds between exchanges: make it 1 or more")
    none = torch.empty(0, dtype=torch.int64)
    silence = Links(none, none, torch.empty(0, dtype=torch.float64))
    return lambda round: silence if (round + 1) % period else topology(round)
