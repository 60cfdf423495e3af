"""The keys of secure sums at one live peer: a new one at each start, flooded along the links; must not know sums."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import networkx as nx

from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.study.study import Study
from gossipfl.peer import Exchange
from gossipfl.peer.wire import attempt

if TYPE_CHECKING:
    from gossipfl.secrecy.masks import Masks


class Identity(NamedTuple):
    """What signs a peer's keys: its own secret Ed25519 key, and the public ones of all peers, by name."""

    secret: bytes
    public: Mapping[str, Sequence[bytes]]

    def __repr__(self) -> str:  # so that no log or trace shows it
        return f"Identity among {len(self.public)} peers"


def agree_masks(
    study: Study, name: str, identity: Identity, exchange: Exchange, agreement: Agreement
) -> "Masks":
    """The masks of a peer, once all peers have each other's keys of this start, and have the same ones.

    Raises:
        NetworkError: a peer has announced two keys, or none.
    """
    from gossipfl.secrecy.masks import drawn, masks
    from gossipfl.secrecy.partners import partners
    from gossipfl.secrecy.roster import Reader, announce, roster

    exchange.roster, epoch = b"", attempt(exchange.number)
    secret, public = drawn()
    own = announce(study.fingerprint, name, epoch, public, identity.secret)
    read = Reader(study.fingerprint, epoch, identity.public)
    found = roster([read(text) for text in agreement.union([[own.text]], read)], study.names)
    exchange.roster = found.hash[:8]
    near = {peer: set(nx.all_neighbors(study.graph, peer)) for peer in study.names}
    mates = sorted(partners(study.names, near, found.hash)[name])
    return masks(secret, name, found.keys, mates, found.hash)
