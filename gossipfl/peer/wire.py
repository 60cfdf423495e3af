"""The bytes of a message; must not know sockets, rounds or models.

A message is two frames: a header, and the payload as raw little-endian numbers. The header is one byte, the version of this
protocol, and a msgpack array whose form that version fixes.
Whatever bytes a stranger sends, `decode` returns a header whose every field is in bounds, or raises BadMessage.
"""

import hashlib
import sys
from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from gossipfl.errors import BadMessage
from gossipfl.mixing import Payload
from gossipfl.peer.rumours import MASK, MAX_EXCHANGE, NONE, Rumours

if sys.byteorder != "little":
    raise ImportError("gossipfl sends numbers as they lie in memory and needs a little-endian machine")

VERSION = 3  # of the protocol; raise it when a header, a payload or their meaning changes. Version 1 did not name itself:
FIRST, MOST_VERSIONS = range(0x90, 0xA0), 31  # it began with an array of msgpack
MAX_HEADER = 4096  # bytes; room for a stop mask of some 24,000 hops
MAX_NONCE = 2**63  # msgspec has no larger bounds
# Exchange numbers of one attempt to agree and of the learning after it; the next attempt has the next ones.
ATTEMPT = 2**55
WINDOW = 63  # exchanges that a header reports on: the last one used, and those just before it
LAST_ATTEMPT = MAX_EXCHANGE // ATTEMPT // 2 - 1
MAX_WEIGHT = 1e6
# Methods: the study's own, the one for faults, and sums between its rounds or after them.
MAIN, FALLBACK, ASIDE = range(3)

_Peer = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
_Weight = Annotated[float, msgspec.Meta(ge=-MAX_WEIGHT, le=MAX_WEIGHT)]
_Step = Annotated[float, msgspec.Meta(ge=0.0, le=sys.float_info.max)]
_Nonce = Annotated[int, msgspec.Meta(ge=0, le=MAX_NONCE - 1)]
_Exchange = Annotated[int, msgspec.Meta(ge=0, lt=MAX_EXCHANGE)]
_Last = Annotated[int, msgspec.Meta(ge=-1, lt=MAX_EXCHANGE)]
_Study = Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
_Method = Annotated[int, msgspec.Meta(ge=MAIN, le=ASIDE)]
_Roster = Annotated[bytes, msgspec.Meta(max_length=8)]
_Mask = Annotated[bytes, msgspec.Meta(max_length=MASK)]
_Reason = Annotated[str, msgspec.Meta(max_length=16, pattern="^[a-z]*$")]


class Opening(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one end of an edge brings into a session. Only a new session changes it.

    weight: of the edge, as this end has it; the smaller one of both ends is used.
    graph: fingerprint of the topology, as this end knows it.
    step: the learning rate, which may have become shorter since a newcomer needs a shorter one; 0: as agreed at first.
    """

    weight: _Weight
    graph: _Study
    step: _Step = 0.0


class Address(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What every header begins with.

    study: fingerprint of what all peers must agree on; messages of another study are refused.
    sender: the peer that sends it (see `ident`).
    number: the exchange that it belongs to, counted from the first one of the study; see `attempt`.
    """

    study: _Study
    sender: _Peer
    number: _Exchange


class Header(Address, array_like=True, frozen=True, gc=False, kw_only=True):
    """What a message says of itself and of its sender.

    converged: the stop mask (see `Quorum`).
    leaving: empty, or why the sender leaves and sends nothing more; then the payload is empty.
    mine, yours: nonces of the session along the edge: the sender's, and the receiver's as the sender knows it; 0: none.
    last: the last exchange of this session in which the sender used the receiver's message; -1: none.
    used: bit b says whether the sender used the receiver's message of exchange last - b.
    rumours: what spreads through the whole network.
    transfer: the payload is a state transfer to a newcomer, and no part of an exchange.
    opens: how the session of `mine` begins; sent until the receiver has named that nonce, and so knows it.
    method: which one the payload is of: MAIN; FALLBACK (see `fallback`); ASIDE, sums of certificates and scores.
    roster: the hash of all keys of secure sums, once the peers have agreed on them.
    """

    converged: _Mask = b""
    leaving: _Reason = ""
    mine: _Nonce = 0
    yours: _Nonce = 0
    last: _Last = -1
    used: _Nonce = 0
    rumours: Rumours = NONE
    transfer: bool = False
    opens: Opening | None = None
    method: _Method = MAIN
    roster: _Roster = b""


def ident(name: str) -> int:
    """The number that stands for a peer of that name in messages, whatever other peers there are."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4, person=b"peer").digest()) >> 1


def attempt(number: int) -> int:
    """The attempt to agree that an exchange belongs to: 0, unless a peer began again while all agreed."""
    return number // ATTEMPT


def gossips(study: bytes) -> bytes:
    """The fingerprint in the letters of peers that have agreed on that study, and now learn by gossip.

    One peer may begin to gossip while another one still agrees: the other one must not take letters for exchanges.
    """
    return hashlib.blake2b(study, digest_size=8, person=b"gossip").digest()


_NAMED = bytes([VERSION])
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Header, strict=True)


class OtherVersion(BadMessage):
    """A message in another version of the protocol."""

    def __init__(self, version: int, sender: int | None = None) -> None:
        what = (
            f"runs another version of gossipfl (its protocol is version {version}, mine is version {VERSION}): "
            "install the same at both"
        )
        super().__init__(what if sender is not None else f"somebody {what}", sender)
        self.version = version

    def of(self, sender: int | None) -> BadMessage:
        return self if sender is None or self.sender is not None else OtherVersion(self.version, sender)


def whole(frames: list[bytes]) -> None:
    """Raise BadMessage for what is not the two frames of a message."""
    if not frames:
        raise BadMessage("a message under a key that the topology no longer names")
    if len(frames) != 2:
        raise BadMessage(f"a message of {len(frames)} frames; it should have 2")


def encode(header: Address) -> bytes:
    """The frame of a header."""
    return _NAMED + _encode(header)


def unversioned(frame: bytes) -> bytes:
    """A header's frame without its version. Raises BadMessage if it is too long, or of another version."""
    if len(frame) > MAX_HEADER:
        raise BadMessage(f"a header of {len(frame)} bytes; at most {MAX_HEADER} are allowed")
    first = frame[0] if frame else 0
    if first == VERSION:
        return frame[1:]
    if first in FIRST or 0 < first <= MOST_VERSIONS:
        raise OtherVersion(1 if first in FIRST else first)
    raise BadMessage("a header that cannot be read")


def decode(frame: bytes) -> Header:
    """The header in a frame. Raises BadMessage, and nothing else, for bytes that are no header."""
    try:
        return _decoder.decode(unversioned(frame))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"a header that cannot be read: {error}") from error


def authentic(address: Address, sender: int | None) -> None:
    """Raise BadMessage if a message names another sender than `sender`, with whose key it came; None: links have no keys."""
    if sender is not None and address.sender != sender:
        raise BadMessage("speaks in the name of another peer", sender)


# Types of numbers as numpy calls them; it has no name for bfloat16.
_KINDS: dict[torch.dtype, npt.DTypeLike] = {
    torch.float64: np.dtype(np.float64),
    torch.float32: np.dtype(np.float32),
    torch.int64: np.dtype(np.int64),
}


def to_bytes(payload: Payload) -> bytes:
    """One peer's payload, each tensor (1, ...), as its numbers lie in memory, one tensor after the other."""
    parts = [_bytes(tensor) for tensor in payload]
    return parts[0] if len(parts) == 1 else b"".join(parts)


def from_bytes(messages: Sequence[bytes], like: Payload) -> Payload:
    """The payloads of several peers as one, axis 0 being the peers, with the types and shapes of `like`, one peer's own.

    Every message has as many bytes as `like`. Every pattern of bytes is some number.
    """
    joined = bytearray().join(messages)
    if len(like) == 1 and (kind := _KINDS.get(like[0].dtype)):
        rows = np.frombuffer(joined, kind)
        return (torch.from_numpy(rows.reshape(len(messages), *like[0].shape[1:])),)
    table = np.frombuffer(joined, np.uint8).reshape(len(messages), -1)
    made, here = [], 0
    for tensor in like:
        part = np.ascontiguousarray(table[:, here : here + tensor.nbytes])
        made.append(torch.from_numpy(part).view(tensor.dtype).view(len(messages), *tensor.shape[1:]))
        here += tensor.nbytes
    return tuple(made)


def _bytes(tensor: torch.Tensor) -> bytes:
    if tensor.dtype == torch.bfloat16:  # numpy has no such type
        tensor = tensor.view(torch.int16)
    return tensor.numpy().tobytes()
