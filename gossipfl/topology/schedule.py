"""Which links each round has; must not know graphs or the rules that weigh them."""

from collections.abc import Sequence

from gossipfl.errors import BadExperiment
from gossipfl.topology.links import Links, Topology, silence


def static(links: Links) -> Topology:
    """The same links, one and the same object, every round."""
    return lambda _: links


def cycle(rounds: Sequence[Links]) -> Topology:
    """These rounds' links again and again, the same objects each time; no links, if there are no rounds."""
    rounds = rounds or (silence(),)
    return lambda round: rounds[round % len(rounds)]


def every(topology: Topology, period: int) -> Topology:
    """`topology`'s rounds 0, 1, ... as rounds period - 1, 2 period - 1, ...; in between no links, one and the same object.

    So `period` local steps go between one exchange and the next, and a schedule leaves out none of its rounds.

    Raises:
        BadExperiment: the period is below 1.
    """
    if period < 1:
        raise BadExperiment(f"a period of {period} rounds between exchanges: make it 1 or more")
    none = silence()
    return lambda round: none if (round + 1) % period else topology(round // period)
