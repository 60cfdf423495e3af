"""What does not fit together mathematically, in the words of an experiment file; must not know how that is found."""

from gossipfl.algorithms import Algorithm, NetworkTraits, misfit
from gossipfl.errors import Incompatible
from gossipfl.mixing import Mixing, Property

WAYS_OUT = {
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
    Property.LINEAR: 'set algorithm.kind = "beer", which takes compressed messages with channel.feedback = true, or '
    'channel.compress = "none"',
}


def check(kind: str, algorithm: Algorithm, mixing: Mixing, network: NetworkTraits) -> None:
    """Refuse a combination that would converge to the wrong place, or not at all.

    Raises:
        Incompatible: it names what is missing and the way out.
    """
    why = misfit(algorithm, mixing, network)
    if why is None:
        return
    if why.missing:
        words = " and ".join(p.name or "" for p in why.missing)
        where = f"{type(mixing.aggregator).__name__} over {type(mixing.channel).__name__}"
        raise Incompatible(
            f"{kind} requires {words} of every exchange, which {where} on this topology does not preserve: "
            + "; ".join(way for need, way in WAYS_OUT.items() if need in why.missing)
        )
    if why.forgotten:
        raise Incompatible(
            "a channel with feedback remembers what each neighbour holds, so no message may be missing: use it on links that "
            "do not change (topology.drop = 0, a topology.graph without schedule), without topology.loss, or set "
            'channel.compress = "none"'
        )
    raise Incompatible(
        f"{kind} needs every eigenvalue of the mixing matrix above {algorithm.min_eigenvalue:.3g}, but the smallest of these "
        f'weights is {why.eigenvalue:.3g}: set topology.weights = "lazy", or algorithm.kind = "exact-diffusion", which '
        "halves them by itself"
    )
