"""Whether a method fits the exchange and the network it is to use; must not know any engine."""

from typing import NamedTuple

from gossipfl.algorithms.algorithm import Algorithm
from gossipfl.errors import Incompatible
from gossipfl.mixing import Average, Mixing, Property, Push


class NetworkTraits(NamedTuple):
    """What is to be known of a topology."""

    smallest: float = -1.0  # the smallest eigenvalue of W; where links change, nothing is known but -1
    doubly: bool = True  # rows and columns of W sum to 1 in every round
    reliable: bool = True  # no message gets lost
    changing: bool = False  # links, or the messages that arrive, are not the same in every round
    fixed: bool = True  # W is the same in every round: there are links in all of them, and they do not change
    symmetric: bool = (
        True  # w_ij = w_ji; of changing links it is not asked, for there what counts is their mean
    )


STATIC = NetworkTraits()
WAYS_OUT = {  # in the words of an experiment file
    Property.RELIABLE: 'set topology.loss = 0; or algorithm.kind = "exact-diffusion", "extra" or "gradient-tracking" with '
    'channel.compress = "none" on undirected links, where what one end alone has heard is taken back; or algorithm.kind = '
    '"push-pull", for which lost messages are only late',
    Property.MEAN: 'set algorithm.kind = "push-diging" or "push-pull" on directed links, topology.weights = "metropolis" on '
    "others",
    Property.CONSENSUS: "use the plain average",
    Property.SETTLING: 'set algorithm.kind = "beer" and channel.feedback = true, or channel.compress = "none"',
    Property.FIXED: 'set algorithm.kind = "gradient-tracking", or "push-diging" on directed links; or keep links in each '
    "round: topology.drop = 0, algorithm.local_steps = 1, a topology.graph without schedule",
    Property.SYMMETRIC: 'set algorithm.kind = "gradient-tracking" on balanced links, "push-diging" or "push-pull" on others',
    Property.LINEAR: 'set algorithm.kind = "beer", which tolerates compression with channel.feedback = true, or '
    'channel.compress = "none"',
}


def takes_back(algorithm: Algorithm, mixing: Mixing) -> bool:
    """Whether both engines take back what only one end of an edge has heard, provided that the links lead both ways.

    They can where what is heard is summed in accounts, and each message is weighed by itself.
    """
    plain = isinstance(mixing.aggregator, Average) and not mixing.channel.remembers
    return plain and bool(algorithm.accounts)


def check(name: str, algorithm: Algorithm, mixing: Mixing, network: NetworkTraits = STATIC) -> None:
    """Refuse a combination that would converge to the wrong place, or not at all.

    Raises:
        Incompatible: naming what is missing and the way out.
    """
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
        words = " and ".join(p.name or "" for p in missing)
        where = f"{type(mixing.aggregator).__name__} over {type(mixing.channel).__name__}"
        raise Incompatible(
            f"{name} requires {words} of every exchange, which {where} on this topology does not preserve: "
            + "; ".join(way for need, way in WAYS_OUT.items() if need in missing)
        )
    if mixing.channel.remembers and (network.changing or not network.reliable):
        raise Incompatible(
            "a channel with feedback remembers what each neighbour holds, so that nobody may miss a message: use it on "
            "links that do not change (topology.drop = 0, a topology.graph without schedule), without topology.loss, or set "
            'channel.compress = "none"'
        )
    smallest = -1.0 if network.changing else network.smallest
    effective = 1.0 - mixing.gamma + mixing.gamma * smallest
    if effective <= algorithm.min_eigenvalue + 1e-9 and not (
        network.changing and algorithm.min_eigenvalue <= -1.0
    ):
        raise Incompatible(
            f"{name} needs every eigenvalue of the mixing matrix above {algorithm.min_eigenvalue:.3g}, but these weights have "
            f'{effective:.3g}: set topology.weights = "lazy", or algorithm.kind = "exact-diffusion", which halves '
            "them by itself"
        )
