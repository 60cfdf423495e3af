"""Properties of an exchange that a method may need; must not know any method or exchange."""

from enum import Flag, auto


class Property(Flag):
    """Properties of one exchange, as a map x -> mixed(x) over all peers."""

    CONSENSUS = auto()  # rows of W sum to 1: peers that agree continue to agree
    MEAN = auto()  # columns of W sum to 1: the average over peers does not change
    LINEAR = auto()  # the result is a linear function of what was sent
    SETTLING = auto()  # what arrives converges to what is sent, when that converges
    RELIABLE = auto()  # no message is lost, or what only one end heard is taken back
    FIXED = auto()  # W is the same in every round
    SYMMETRIC = auto()  # w_ij = w_ji
    EXACT = CONSENSUS | MEAN | LINEAR | SETTLING
