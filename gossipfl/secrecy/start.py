"""One start of one peer in secure sums, from a new key to its masks; must not know how announcements travel."""

from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple

from gossipfl.secrecy.masks import Masks, drawn, masks
from gossipfl.secrecy.partners import partners
from gossipfl.secrecy.roster import Reader, announce, roster


class Identity(NamedTuple):
    """What signs a peer's keys: its own secret Ed25519 key, and the public ones of all peers, by name; these may change."""

    secret: bytes
    public: dict[str, list[bytes]]

    def __repr__(self) -> str:  # so that no log or trace shows it
        return f"Identity among {len(self.public)} peers"


class Start:
    """A new key.

    Args:
        study: its fingerprint.
        name: of the peer.
        epoch: which start of all peers it is.
        identity: what signs the key.

    `text` is the announcement; `read` reads those of others, and raises ValueError.
    """

    def __init__(self, study: bytes, name: str, epoch: int, identity: Identity) -> None:
        self._name = name
        self._secret, public = drawn()
        self.text = announce(study, name, epoch, public, identity.secret).text
        self.read = Reader(study, epoch, identity.public)

    def masks(self, texts: Iterable[str], near: Mapping[str, Set[str]]) -> tuple[Masks, bytes]:
        """The masks, and the hash of the roster, from the announcements of all peers and their neighbours, by name.

        Raises:
            NetworkError: a peer has announced two keys, or none.
        """
        names = list(near)
        found = roster([self.read(text) for text in texts], names)
        mates = sorted(partners(names, near, found.hash)[self._name])
        return masks(self._secret, self._name, found.keys, mates, found.hash), found.hash
