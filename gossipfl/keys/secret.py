"""A peer's secret keys, and the file that holds them; must not know sockets or topologies.

The file is TOML: the peer's name, and one table [[keys]] for each pair that is valid, the newest first. Only its owner may
read it. Secret keys never travel.
"""

import os
import tomllib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from contextlib import suppress
from pathlib import Path
from stat import S_IMODE
from typing import NamedTuple

import tomli_w
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from gossipfl.disk import unwritable
from gossipfl.errors import BadExperiment
from gossipfl.topology.public_key import SIZE, PublicKey

SUFFIX = ".key"
_WARNING = "# The secret keys of a gossipfl peer. Keep this file on its machine, and give it to nobody.\n"


class SecretKey(NamedTuple):
    """The two secret keys of a peer: of its links (X25519), and of its signatures (Ed25519), 32 bytes each."""

    link: bytes
    signature: bytes

    @property
    def public(self) -> PublicKey:
        return PublicKey(
            X25519PrivateKey.from_private_bytes(self.link).public_key().public_bytes_raw(),
            Ed25519PrivateKey.from_private_bytes(self.signature).public_key().public_bytes_raw(),
        )

    def __repr__(self) -> str:  # so that no log or trace shows it
        return f"SecretKey of {self.public}"


def fresh() -> SecretKey:
    """New keys from the operating system's random numbers."""
    return SecretKey(
        X25519PrivateKey.generate().private_bytes_raw(), Ed25519PrivateKey.generate().private_bytes_raw()
    )


def save(name: str, keys: tuple[SecretKey, ...], path: Path, replace: bool = False) -> None:
    """Write the keys of the peer `name`, the newest first, readable by the owner only.

    Raises:
        BadExperiment: the file exists and `replace` is False, or it cannot be written.
        Unwritten: the disk is full or read-only.
    """
    tables = [{part: urlsafe_b64encode(key).decode() for part, key in one._asdict().items()} for one in keys]
    content = (_WARNING + tomli_w.dumps({"name": name, "keys": tables})).encode()
    partial = path.with_name(f".{path.name}.partial")
    try:
        if not replace and path.exists():
            raise BadExperiment(f"{path} exists already: gossipfl keys show {path} prints its public key")
        partial.unlink(missing_ok=True)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as why:
        with suppress(OSError):
            partial.unlink()
        raise unwritable(f"cannot write the secret keys to {path}", why) from None


def load(path: Path) -> tuple[str, tuple[SecretKey, ...]]:
    """The name of a peer and its secret keys, the newest first.

    Raises:
        BadExperiment: there is no such file, others may read it, or it has no keys.
    """
    try:
        with path.open("rb") as file:
            about, content = os.fstat(file.fileno()), file.read(2**16)
    except OSError as why:
        raise BadExperiment(
            f"cannot read the secret keys in {path}: {why.strerror}. gossipfl keys new makes such a file"
        ) from None
    if about.st_mode & 0o077 and not _credential(path, about):
        raise BadExperiment(f"{path} holds secret keys, and others may read it: chmod 600 {path}")
    return _read(path, content)


def _credential(path: Path, about: os.stat_result) -> bool:
    """Whether systemd gives a file to this service alone (LoadCredential).

    It is root's, and an access control list lets the service's user read it; then its mode looks as if a group could.
    """
    place = os.environ.get("CREDENTIALS_DIRECTORY", "")
    ours = place != "" and path.parent.resolve() == Path(place).resolve()
    return ours and about.st_uid == 0 and S_IMODE(about.st_mode) == 0o440


def _read(path: Path, content: bytes) -> tuple[str, tuple[SecretKey, ...]]:
    try:
        told = tomllib.loads(content.decode())
        keys = tuple(
            SecretKey(*(urlsafe_b64decode(one[part]) for part in SecretKey._fields)) for one in told["keys"]
        )
        if (
            not keys
            or not isinstance(told["name"], str)
            or any(len(part) != SIZE for key in keys for part in key)
        ):
            raise ValueError
        return told["name"], keys
    except (ValueError, KeyError, TypeError, Error, RecursionError):  # the reason could show a secret
        raise BadExperiment(f"{path} is not a file of secret keys: gossipfl keys new makes one") from None
