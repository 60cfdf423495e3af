"""Whether a method fits the exchange and the network that it is to use; must not know any engine, or an experiment's words."""

from typing import NamedTuple

from gossipfl.algorithms.algorithm import Algorithm
from gossipfl.mixing import Average, Mixing, Property, Push

ROUNDING = 1e-9  # of an eigenvalue


class NetworkTraits(NamedTuple):
    """What a method needs to know of a topology."""

    smallest: float = -1.0  # the smallest eigenvalue of W; -1 where links change
    doubly: bool = True  # rows and columns of W sum to 1 in every round
    reliable: bool = True  # no message gets lost
    changing: bool = False  # links, or the messages that arrive, change from round to round
    fixed: bool = True  # W is the same in every round, and every round has links
    symmetric: bool = True  # w_ij = w_ji; where links change their mean counts, and this is not required


STATIC = NetworkTraits()


class Misfit(NamedTuple):
    """Why a combination would converge to the wrong place, or not at all; the first reason that applies."""

    missing: Property = Property(0)  # what the method requires and the exchange does not preserve
    forgotten: bool = False  # the channel remembers what neighbours hold, and a message may be missing
    eigenvalue: float = 1.0  # the smallest of the mixing matrix, which is not above the method's bound


def takes_back(algorithm: Algorithm, mixing: Mixing) -> bool:
    """Whether both engines take back what only one end of an edge has heard, if the links lead both ways.

    They can if what is heard is summed in accounts, and each message is weighed by itself.
    """
    plain = isinstance(mixing.aggregator, Average) and not mixing.channel.remembers
    return plain and bool(algorithm.accounts)


def misfit(algorithm: Algorithm, mixing: Mixing, network: NetworkTraits = STATIC) -> Misfit | None:
    """What speaks against the combination; None if it fits."""
    preserved = mixing.preserves
    if isinstance(mixing.aggregator, Average | Push) and network.doubly:
        preserved |= (Property.CONSENSUS | Property.MEAN) & mixing.channel.preserves
    granted = {
        Property.RELIABLE: network.reliable or (network.symmetric and takes_back(algorithm, mixing)),
        Property.FIXED: network.fixed,
        Property.SYMMETRIC: network.symmetric or not network.fixed,
    }
    for one, holds in granted.items():
        preserved |= one if holds else Property(0)
    if missing := algorithm.requires & ~preserved:
        return Misfit(missing)
    if mixing.channel.remembers and (network.changing or not network.reliable):
        return Misfit(forgotten=True)
    smallest = 1.0 - mixing.gamma + mixing.gamma * (-1.0 if network.changing else network.smallest)
    free = network.changing and algorithm.min_eigenvalue <= -1.0
    return None if free or smallest > algorithm.min_eigenvalue + ROUNDING else Misfit(eigenvalue=smallest)
