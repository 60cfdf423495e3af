"""The bytes of a gossip message, which carries a model; must not know sockets, time or what becomes of the model."""

import math
from typing import Annotated

import msgspec
import torch
from torch import Tensor

from gossipfl.errors import BadMessage
from gossipfl.gossip.create import Model
from gossipfl.gossip.letters import CARRIES
from gossipfl.peer.wire import Header, encode, from_bytes, to_bytes, unversioned, whole

MAX_AGE = 2**62

_Age = Annotated[int, msgspec.Meta(ge=0, lt=MAX_AGE)]
_Kind = Annotated[int, msgspec.Meta(ge=1, le=3)]


class Letter(Header, array_like=True, frozen=True, gc=False, kw_only=True):
    """What a gossip message says of itself; `number` counts its sender's messages, and `converged` stays empty.

    age: steps that the model has learned. A letter without a model has an empty payload.
    kind: CARRIES | ASKS.
    """

    age: _Age = 0
    kind: _Kind = CARRIES


_decoder = msgspec.msgpack.Decoder(Letter, strict=True)


def write(letter: Letter, model: Tensor | None) -> list[bytes]:
    """The frames of a message, the model being (1, d)."""
    return [encode(letter), b"" if model is None else to_bytes((model,))]


def opened(frames: list[bytes]) -> Letter:
    """What a message says of itself.

    Raises:
        BadMessage: it is not such a message. No other error, whatever the bytes are.
    """
    whole(frames)
    try:
        return _decoder.decode(unversioned(frames[0]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"a header that cannot be read: {error}") from error


def enclosed(letter: Letter, payload: bytes, like: Tensor) -> Model | None:
    """The model in a letter, if it carries one, shaped and typed as `like`, (1, d), of numbers with finite squares.

    Raises:
        BadMessage: it is not such a model. No other error, whatever the bytes are.
    """
    size = like.numel() * like.element_size() if letter.kind & CARRIES and not letter.leaving else 0
    if len(payload) != size:
        raise BadMessage(f"sent {len(payload)} bytes; there should be {size}", letter.sender)
    if not size:
        return None
    (w,) = from_bytes([payload], (like,))
    if not math.isfinite(w.square().sum()):
        raise BadMessage("sent numbers that are not finite, or far too large", letter.sender)
    return Model(w, torch.tensor([letter.age]))
