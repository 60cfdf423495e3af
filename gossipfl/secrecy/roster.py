"""Who takes part in secure sums, with which key of this start; must not know how announcements travel.

At every start each peer draws a new key, and announces it, signed by its long-term identity.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gossipfl.errors import NetworkError

PURPOSE = b"gossipfl key of a start"


class Announcement(NamedTuple):
    """The key of one peer's start. Its text is what travels."""

    name: str
    epoch: int
    key: bytes
    signature: bytes

    @property
    def text(self) -> str:
        parts = (self.name, self.epoch, *map(_text, (self.key, self.signature)))
        return msgspec.json.encode(parts).decode()


class Roster(NamedTuple):
    """The keys of all peers, by name, and what is public about them all: a hash of the names and keys."""

    keys: dict[str, bytes]
    hash: bytes


def announce(study: bytes, name: str, epoch: int, key: bytes, identity: bytes) -> Announcement:
    """The announcement of a key; `identity` is the secret Ed25519 key of the peer."""
    signature = Ed25519PrivateKey.from_private_bytes(identity).sign(_signed(study, name, epoch, key))
    return Announcement(name, epoch, key, signature)


class Reader:
    """Reads announcements, and checks each signature once.

    Args:
        study, epoch: what an announcement must be of.
        identities: the public Ed25519 keys of each peer.
    """

    def __init__(self, study: bytes, epoch: int, identities: Mapping[str, Sequence[bytes]]) -> None:
        self._study, self._epoch, self._identities = study, epoch, identities
        self._known: dict[str, Announcement] = {}

    def __call__(self, text: str) -> Announcement:
        """Raises ValueError for what no peer of this study has signed for this start."""
        if text not in self._known:
            self._known[text] = self._read(text)
        return self._known[text]

    def _read(self, text: str) -> Announcement:
        try:
            name, epoch, *parts = msgspec.json.decode(text, type=tuple[str, int, str, str])
            key, signature = (urlsafe_b64decode(part) for part in parts)
        except (msgspec.MsgspecError, ValueError) as error:
            raise ValueError("no announcement of a key") from error
        told = Announcement(name, epoch, key, signature)
        if epoch != self._epoch or len(key) != 32 or told.text != text:
            raise ValueError("no announcement of this start")
        for identity in self._identities.get(name, ()):
            try:
                Ed25519PublicKey.from_public_bytes(identity).verify(
                    signature, _signed(self._study, name, epoch, key)
                )
                return told
            except InvalidSignature:
                continue
        raise ValueError("an announcement that its peer has not signed")


def roster(announced: Collection[Announcement], names: Sequence[str]) -> Roster:
    """The roster of all peers. Raises NetworkError where a peer has no key, or two."""
    keys: dict[str, bytes] = {}
    for one in sorted(announced):
        if keys.setdefault(one.name, one.key) != one.key:
            raise NetworkError(
                f"{one.name} has announced two keys for one start: it was started twice, or somebody has its secret keys. All "
                "stop; see gossipfl keys rotate"
            )
    if without := [name for name in names if name not in keys]:
        raise NetworkError(f"no key for secure sums has come from {', '.join(without[:5])}")
    if len(set(keys.values())) < len(keys):
        raise NetworkError("two peers have announced the same key: one of them copies the other")
    told = msgspec.json.encode(sorted((name, _text(key)) for name, key in keys.items()))
    return Roster(keys, hashlib.sha256(told).digest())


def _signed(study: bytes, name: str, epoch: int, key: bytes) -> bytes:
    return PURPOSE + msgspec.msgpack.encode((study, name, epoch, key))


def _text(key: bytes) -> str:
    return urlsafe_b64encode(key).decode()
