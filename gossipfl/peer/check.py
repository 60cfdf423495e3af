"""Which settings two peers have differently, found without sending any; must not know sockets, or what settings mean.

A peer sends a card: one keyed hash of each setting, to a neighbour that the topology lists. The key is in the card, so the
neighbour hashes its own settings with it and compares. A member can try out values; a stranger sees nothing on encrypted links.
"""

import hashlib
import json
import secrets
from collections.abc import Collection, Mapping
from typing import Annotated, Any

import msgspec

from gossipfl.errors import BadMessage
from gossipfl.peer.inbox import OTHER
from gossipfl.peer.neighbourhood import Neighbourhood
from gossipfl.peer.transport import Transport
from gossipfl.peer.wire import VERSION

CHECK = bytes([VERSION]) + b"check"  # the header of a card: no header of an exchange begins like that
SALT, HASH, MOST, LONGEST = 16, 8, 256, 80  # bytes, bytes, settings, letters of a setting's name
PAUSE = 5.0  # seconds between two cards to a neighbour with another study

_Word = Annotated[str, msgspec.Meta(max_length=LONGEST)]
_Hash = Annotated[bytes, msgspec.Meta(min_length=HASH, max_length=HASH)]


class Card(msgspec.Struct, array_like=True, frozen=True):
    """What a peer says of its study.

    sender: what messages call it.
    salt: the key of the hashes.
    hashes: of each setting.
    heard: it has the receiver's card.
    """

    sender: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
    salt: Annotated[bytes, msgspec.Meta(min_length=SALT, max_length=SALT)]
    hashes: Annotated[dict[_Word, _Hash], msgspec.Meta(max_length=MOST)]
    heard: bool


class Checker:
    """Writes and compares cards.

    Args:
        me: what messages call this peer.
        settings: all that must be equal at all peers, by name.
    """

    def __init__(self, me: int, settings: Mapping[str, Any]) -> None:
        self.heard: set[int] = set()  # whose cards this peer has
        self._me, self._settings = me, settings
        self._decoder = msgspec.msgpack.Decoder(Card, strict=True)

    def card(self, to: int) -> list[bytes]:
        """The frames of my card for a neighbour."""
        salt = secrets.token_bytes(SALT)
        return [CHECK, msgspec.msgpack.encode(Card(self._me, salt, self._hashes(salt), to in self.heard))]

    def read(
        self, frames: list[bytes], sender: int | None, neighbours: Collection[int]
    ) -> tuple[Card, list[str]]:
        """A neighbour's card, and the settings in which it differs from this peer.

        `sender` is the peer with whose key it came; None where links have no keys.

        Raises:
            BadMessage: it is no card, or no neighbour's.
        """
        try:
            card = self._decoder.decode(frames[1])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadMessage(f"not a card: {error}", sender) from error
        if card.sender not in neighbours or sender not in (None, card.sender):
            raise BadMessage("sent a card in the name of another peer", sender)
        self.heard.add(card.sender)
        mine = self._hashes(card.salt)
        names = [name for name in {**mine, **card.hashes} if mine.get(name) != card.hashes.get(name)]
        return card, [name if name in mine else "a setting that this peer does not know" for name in names]

    def _hashes(self, salt: bytes) -> dict[str, bytes]:
        return {
            name: hashlib.blake2b(
                json.dumps([name, value], sort_keys=True).encode(), key=salt, digest_size=HASH
            ).digest()
            for name, value in self._settings.items()
        }


class Cards:
    """The cards between a peer that learns and its neighbours."""

    def __init__(self, checker: Checker, neighbours: Neighbourhood, transport: Transport) -> None:
        self._checker, self._neighbours, self._transport = checker, neighbours, transport

    def take(self, frames: list[bytes], now: float) -> None:
        """A neighbour has sent its card: learn in which settings it differs, and send mine if it lacks it.

        Raises:
            BadMessage: it is no card, or no neighbour's.
        """
        card, differ = self._checker.read(frames, self._transport.sender, self._neighbours)
        if differ:
            words = f"{OTHER}: {', '.join(differ)} differ{'s' * (len(differ) == 1)}"
            self._neighbours[card.sender].strange = words
        if not card.heard:
            self.show(card.sender, now, PAUSE / 10)

    def show(self, peer: int, now: float, pause: float = PAUSE) -> None:
        """Send a neighbour my card, if the last one was sent so long ago."""
        one = self._neighbours[peer]
        if now - one.asked >= pause:
            one.asked = now
            self._transport.send(peer, self._checker.card(peer))


def is_card(frames: list[bytes]) -> bool:
    """Whether a message is a card, or pretends to be."""
    return len(frames) == 2 and frames[0] == CHECK
