"""Whether a method fits the exchange it is to use; must not know any engine."""

from gossipfl.algorithms.algorithm import Algorithm
from gossipfl.errors import Incompatible
from gossipfl.mixing import Mixing, Property


def check(name: str, algorithm: Algorithm, mixing: Mixing, smallest: float) -> None:
    """Refuse a pair that would converge to the wrong place, or not at all.

    Args:
        name: what the user calls the algorithm.
        algorithm: the method, with what it `requires` and the bound its spectrum must lie `above`.
        mixing: the exchange, with what it `preserves`.
        smallest: the smallest eigenvalue of W; that of the exchange is 1 - gamma + gamma * smallest.

    Raises:
        Incompatible: naming what is missing and the way out.
    """
    missing = algorithm.requires & ~(
        mixing.preserves | Property.RELIABLE
    )  # lock-step engines wait for every message
    if missing:
        words = " and ".join(p.name or "" for p in missing)
        raise Incompatible(
            f"{name} requires {words} of every exchange, which {type(mixing.aggregator).__name__} over "
            f"{type(mixing.channel).__name__} does not preserve: use the plain average, or d-psgd"
        )
    effective = 1.0 - mixing.gamma + mixing.gamma * smallest
    if effective <= algorithm.above + 1e-9:
        raise Incompatible(
            f"{name} needs every eigenvalue of the mixing matrix above {algorithm.above:.3g}, but these weights have "
            f'{effective:.3g}: use weights = "lazy", or algorithm "exact-diffusion", which halves them by itself'
        )
