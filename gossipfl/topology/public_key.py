"""What identifies a peer on its links: which public keys are valid; must not know secret keys, files or sockets."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple

SIZE = 32  # bytes of a key on Curve25519, for links as for signatures
_PART = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class PublicKey(NamedTuple):
    """The two public keys of a peer: of its links (X25519, for CURVE), and of its signatures (Ed25519), 32 bytes each."""

    link: bytes
    signature: bytes

    def __str__(self) -> str:
        return ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in self)


def public_keys(value: str) -> tuple[PublicKey, ...]:
    """The public keys in the `public_key` of a peer: "LINK.SIGNATURE", or two of them with a blank while they are exchanged.

    Raises:
        ValueError: it is not such a text, or has a key twice; the message is the second half of a sentence.
    """
    found = tuple(_read(word) for word in value.split(" "))
    if len(found) > 2 or len(set(found)) < len(found):
        raise ValueError("has one key, or while keys are exchanged the new one, a blank and the old one")
    return found


def written(keys: tuple[PublicKey, ...]) -> str:
    """The inverse of `public_keys`."""
    return " ".join(map(str, keys))


def distinct(peers: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse peers, by name and with their attributes, if two of them share a key. Raises ValueError."""
    owners: dict[bytes, str] = {}
    for peer, attributes in peers.items():
        for key in public_keys(attributes["public_key"]) if "public_key" in attributes else ():
            for part in key:
                if owners.setdefault(part, peer) != peer:
                    raise ValueError(
                        f"{owners[part]} and {peer} have the same public key: each peer makes its own, with gossipfl keys new"
                    )


def _read(word: str) -> PublicKey:
    parts = word.split(".")
    if len(parts) != 2 or not all(map(_PART.fullmatch, parts)):
        raise ValueError("is not a public key: copy the line that gossipfl keys new has printed")
    link, signature = (urlsafe_b64decode(part + "=") for part in parts)
    key = PublicKey(link, signature)
    if str(key) != word:  # the last letter has bits to spare
        raise ValueError("is not a public key: copy the line that gossipfl keys new has printed")
    return key
