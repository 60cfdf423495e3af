"""Masks that cancel in the sum over all peers; must not know what they hide, nor how it travels.

For each pair of peers the first one, by name, adds what the second one subtracts: the key stream of ChaCha20 (RFC 8439) under
a key that only these two know. Bonawitz et al., "Practical secure aggregation", CCS 2017; for sums over neighbours Gupta,
Katz, Chopra, "Privacy in distributed average consensus", 2018.
"""

from collections.abc import Iterator, Mapping, Sequence
from secrets import token_bytes

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gossipfl.errors import NetworkError
from gossipfl.secrecy.fixed import Words
from gossipfl.secrecy.wide import BITS

SIZE = 32  # bytes of a key
PURPOSE = b"gossipfl mask"


class Masks:
    """The masks of one peer in one start.

    Args:
        pairs: for each partner a key, and whether this peer adds.
    """

    def __init__(self, pairs: Sequence[tuple[bytes, bool]]) -> None:
        self._pairs = pairs
        self._last = (-1, -1)

    def words(self, cycle: int, attempt: int, count: int) -> Words:
        """The mask of so many numbers modulo 2^64, (count,) uint64, of one attempt at one sum.

        Raises:
            RuntimeError: this attempt, or a later one, had a mask before: no key stream is used twice.
        """
        mask = np.zeros(count, np.uint64)
        for stream, adds in self._streams(cycle, attempt, 8 * count):
            part = np.frombuffer(stream, "<u8")
            mask = mask + part if adds else mask - part
        return mask

    def residues(self, cycle: int, attempt: int, count: int, bits: int = BITS) -> list[int]:
        """The same modulo 2^bits. Raises RuntimeError."""
        size, mask = bits // 8, [0] * count
        for stream, adds in self._streams(cycle, attempt, size * count):
            for i in range(count):
                part = int.from_bytes(stream[i * size : (i + 1) * size], "little")
                mask[i] += part if adds else -part
        return [one % (1 << bits) for one in mask]

    def noise(self, count: int) -> Words:
        """(count,) that nobody can foresee, for a peer that has no numbers to send."""
        return np.frombuffer(token_bytes(8 * count), np.uint64)

    def _streams(self, cycle: int, attempt: int, size: int) -> Iterator[tuple[bytes, bool]]:
        if (cycle, attempt) <= self._last:
            raise RuntimeError(f"the masks of sum {cycle}, attempt {attempt}, were drawn before")
        self._last = cycle, attempt
        # The first four bytes are the counter of blocks, from 0.
        nonce = bytes(4) + cycle.to_bytes(8, "little") + attempt.to_bytes(4, "little")
        for key, adds in self._pairs:
            yield Cipher(ChaCha20(key, nonce), None).encryptor().update(bytes(size)), adds


def masks(secret: bytes, me: str, keys: Mapping[str, bytes], partners: Sequence[str], salt: bytes) -> Masks:
    """The masks of the peer `me`.

    Args:
        secret: its X25519 key of this start, 32 bytes.
        keys: the public keys of all peers in this start.
        partners: the peers with which it shares masks.
        salt: the hash of the roster.

    Raises:
        NetworkError: a partner's key is one from which everybody could tell the common secret.
    """
    own = X25519PrivateKey.from_private_bytes(secret)
    pairs = []
    for other in partners:
        try:
            shared = own.exchange(X25519PublicKey.from_public_bytes(keys[other]))
        except ValueError as error:
            raise NetworkError(
                f"{other} has announced a key that keeps no secret: it does not follow the protocol"
            ) from error
        pairs.append((HKDF(SHA256(), SIZE, salt, PURPOSE).derive(shared), me < other))
    return Masks(pairs)


def drawn() -> tuple[bytes, bytes]:
    """A new secret key for one start, and its public key."""
    secret = X25519PrivateKey.generate()
    return secret.private_bytes_raw(), secret.public_key().public_bytes_raw()
