"""What a method may need of an exchange, and what an exchange may preserve; must not know either of them."""

from enum import Flag, auto


class Property(Flag):
    """Facts about one exchange, seen as x -> mixed(x) over all peers."""

    CONSENSUS = auto()  # rows of W sum to 1: peers that agree go on agreeing
    MEAN = auto()  # columns of W sum to 1: the average over peers stays where it is
    LINEAR = auto()  # the result is a linear function of what was sent
    SETTLING = auto()  # what arrives tends to what is sent, once that settles
    RELIABLE = auto()  # nobody misses a message, or what one end alone has heard is taken back
    FIXED = auto()  # W is the same in every round
    SYMMETRIC = auto()  # w_ij = w_ji
    EXACT = CONSENSUS | MEAN | LINEAR | SETTLING
