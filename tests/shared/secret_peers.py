"""Peers with fixed keys for secure sums."""

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from gossipfl.secrecy.masks import Masks, masks
from gossipfl.secrecy.partners import partners


def keyed(peers: int, salt: bytes = b"salt") -> list[Masks]:
    """The masks of peers with fixed keys."""
    names = [f"peer{i}" for i in range(peers)]
    secrets = {name: bytes([8, i + 1, *range(30)]) for i, name in enumerate(names)}
    public = {
        name: X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        for name, secret in secrets.items()
    }
    shared = partners(names, {}, salt)
    return [masks(secrets[name], name, public, sorted(shared[name]), salt) for name in names]
