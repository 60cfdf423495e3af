"""The bytes of a message; must not know sockets, rounds or models.

A message is two frames: a header, and the payload as raw little-endian numbers. The header is a msgpack array of fixed
form. Whatever bytes a stranger sends, `decode` answers with a header whose every field is in bounds, or with BadMessage.
"""

import hashlib
import sys
from typing import Annotated

import msgspec

from gossipfl.errors import BadMessage

if sys.byteorder != "little":
    raise ImportError("gossipfl sends numbers as they lie in memory and needs a little-endian machine")

MAX_HEADER = 4096  # bytes; room for a stop mask of some 30,000 hops
MAX_TICK = 2**62

MAX_NUMBER = 2**63  # of what the ends of an edge draw; msgspec bounds no larger ones
WINDOW = 63  # exchanges that a header tells of: the last one used, and those just before it

MAX_WEIGHT = 1e6

_Peer = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
_Weight = Annotated[float, msgspec.Meta(ge=-MAX_WEIGHT, le=MAX_WEIGHT)]
_Step = Annotated[float, msgspec.Meta(ge=0.0, le=sys.float_info.max)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER - 1)]
_Tick = Annotated[int, msgspec.Meta(ge=0, lt=MAX_TICK)]
_Last = Annotated[int, msgspec.Meta(ge=-1, lt=MAX_TICK)]
_Depth = Annotated[int, msgspec.Meta(ge=0, lt=8 * (MAX_HEADER - 128))]
_Study = Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
_Mask = Annotated[bytes, msgspec.Meta(max_length=MAX_HEADER - 128)]
_Reason = Annotated[str, msgspec.Meta(max_length=16, pattern="^[a-z]*$")]


class Opening(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one end of an edge brings into a session, and changes by beginning a new one only.

    weight: of the edge, as this end would have it; the smaller of what both ends say is used.
    graph: fingerprint of the topology, as this end knows it.
    step: the learning rate, which may be shorter than was agreed at first since somebody came late; 0: as agreed at first.
    """

    weight: _Weight
    graph: _Study
    step: _Step = 0.0


class Header(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a message says of itself.

    study: fingerprint of what all peers must agree on; a peer of another study is not listened to.
    sender: who says so (see `ident`).
    tick: the exchange that it belongs to, counted from the first one of the study.
    converged: bit h tells whether all peers within h hops had settled, h exchanges before (see `quorum`).
    leaving: empty, or why the sender goes and sends nothing more; then there is no payload.
    mine, yours: the number that the sender has drawn for its edge with the receiver, and the receiver's that it knows; 0: none.
    last: the last exchange of this session whose message of the receiver the sender made use of; -1: none.
    used: bit b tells whether it made use of that of exchange last - b.
    broken: no exchange after this one is known to have been incomplete, anywhere.
    depth: hops within which all peers are reached, at least, as long as some are missing (see `quorum`).
    over: somebody's time is up.
    welcome: the payload is what was agreed before the receiver was there, and no part of an exchange.
    opens: how the session of `mine` begins; until the receiver has named that number, and so knows it.
    robust: the payload is of the method that goes on while something is wrong (see `fallback`), and not of the study's own.
    """

    study: _Study
    sender: _Peer
    tick: _Tick
    converged: _Mask = b""
    leaving: _Reason = ""
    mine: _Number = 0
    yours: _Number = 0
    last: _Last = -1
    used: _Number = 0
    broken: _Tick = 0
    depth: _Depth = 0
    over: bool = False
    welcome: bool = False
    opens: Opening | None = None
    robust: bool = False


def ident(name: str) -> int:
    """What a peer of that name is called in messages: the same whoever else is there, and whatever order they are in."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4, person=b"peer").digest()) >> 1


def gossips(study: bytes) -> bytes:
    """The fingerprint of what peers of that study say when they have agreed, and learn by gossip.

    One may begin to while another still agrees, which must not take the one's letters for exchanges.
    """
    return hashlib.blake2b(study, digest_size=8, person=b"gossip").digest()


encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Header, strict=True)


def decode(frame: bytes) -> Header:
    """The header in a frame. Raises BadMessage, and nothing else, for bytes that are none."""
    if len(frame) > MAX_HEADER:
        raise BadMessage(f"a header of {len(frame)} bytes; at most {MAX_HEADER} are allowed")
    try:
        return _decoder.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"not a header: {error}") from error
