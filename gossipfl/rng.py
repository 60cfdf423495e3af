"""Random numbers as a function of where they are used; must not keep any state.

So a live peer draws for its one row exactly what the simulator draws for that row among many, a resumed run draws the same
numbers again, and all peers compute the same random schedule without communication.
"""

import zlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_UNIT = 2.0**-53


def _hash(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """One step of SplitMix64 (Steele, Lea, Flood 2014, fig. 14): a bijection of 64-bit words."""
    z = z + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return z ^ (z >> np.uint64(31))


def bits(seed: int, purpose: str, rows: Numbers, round: int | range, width: int) -> npt.NDArray[np.uint64]:
    """64 random bits for each (row, column), shape (len(rows), width); a range of rounds adds a first axis.

    The word of a cell is hash(hash(key ^ row) ^ hash(column)) with key = hash(hash(hash(seed) ^ purpose) ^ round), where ^
    is bitwise exclusive or. It depends on nothing else, in particular not on the other rows of the same call.

    Args:
        seed: the experiment's seed, 0 or above.
        purpose: what the numbers are for ("batch", "matching", ...); different purposes are independent.
        rows: peer numbers, (n,).
        round: 0 or above; a range gives the same words as its rounds give one by one.
        width: the number of words for each row.
    """
    key = _hash(_key(seed, purpose) ^ np.asarray(round, np.uint64))
    row = _hash(key[:, None] ^ rows.astype(np.uint64))
    words = _hash(row[..., None] ^ _columns(width))
    return words if isinstance(round, range) else words[0]


@lru_cache(maxsize=64)
def _key(seed: int, purpose: str) -> npt.NDArray[np.uint64]:
    """hash(hash(seed) ^ purpose), (1,)."""
    return _hash(
        _hash(np.asarray([seed], np.uint64)) ^ np.uint64(zlib.crc32(purpose.encode(errors="surrogateescape")))
    )


@lru_cache(maxsize=8)
def _columns(width: int) -> npt.NDArray[np.uint64]:
    """hash(column), (width,)."""
    return _hash(np.arange(width, dtype=np.uint64))


def uniform(
    seed: int, purpose: str, rows: Numbers, round: int | range, width: int
) -> npt.NDArray[np.float64]:
    """Independent uniform numbers in [0, 1), shape (len(rows), width), float64. See `bits` for the arguments."""
    return (bits(seed, purpose, rows, round, width) >> np.uint64(11)).astype(np.float64) * _UNIT


def integers(
    seed: int, purpose: str, rows: Numbers, round: int | range, width: int, below: Numbers
) -> Numbers:
    """Uniform integers in [0, below[row]), shape (len(rows), width), int64; `below` is (len(rows),), each at least 1."""
    return (uniform(seed, purpose, rows, round, width) * below[:, None]).astype(np.int64)


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A numpy generator for something that is drawn once and as a whole (a partition, a random graph)."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])
