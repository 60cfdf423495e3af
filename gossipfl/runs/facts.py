"""What the peers agreed on before they learned, as a thing that can be kept and passed on; must not know how they agreed.

A peer that comes late, or has lost everything, is told by a neighbour, whose bytes are not trusted.
"""

import math
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from msgspec.structs import replace
from torch import Tensor

from gossipfl.data import Schema
from gossipfl.data.scale import Scale
from gossipfl.errors import BadMessage


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same at every peer.

    schema: columns, category levels and classes.
    mean_rows: training rows of a peer, on average.
    step: the learning rate.
    fallback_step: that of the method which takes over from Newton's method when something is wrong; 0 where none can.
    mean, deviation: (p,) of the features, where they were gossiped; else empty.
    curvature: (d rank) what a preconditioner is made of; empty: there is none.
    origin: the exchange at which learning began.
    """

    schema: Schema
    mean_rows: float
    step: float
    fallback_step: float = 0.0
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    curvature: tuple[float, ...] = ()
    origin: int = 0

    @property
    def working_step(self) -> float:
        """The learning rate that smoothness bounds: the whole step of Newton's method does not count."""
        return self.fallback_step or self.step

    def shortened(self, step: float) -> "Facts":
        """The same with a shorter working step."""
        return replace(self, fallback_step=step) if self.fallback_step else replace(self, step=step)

    @property
    def scale(self) -> Scale | None:
        """The standardisation that all peers share, if they do."""
        return Scale(np.array(self.mean), np.array(self.deviation)) if self.mean else None


class Checkpoint(NamedTuple):
    """Where a peer is: its model x (1, d), after so many rounds and seconds of learning, and its age where it gossips."""

    x: Tensor
    round: int
    seconds: float
    facts: Facts
    age: int = 0


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a newcomer is told: the facts, how far the others are, and their model's numbers, float64 little-endian."""

    facts: Facts
    round: int
    x: bytes
    age: int


def pack(point: Checkpoint) -> bytes:
    """The message to a newcomer."""
    x = point.x.to(torch.float64).numpy().tobytes()
    return msgspec.msgpack.encode(Hello(point.facts, point.round, x, point.age))


def unpack(message: bytes) -> Checkpoint:
    """Where the neighbour was who sent that, in float64; the newcomer's own seconds are 0.

    Raises:
        BadMessage: it is no such message; and nothing else, whatever bytes these are.
    """
    hello = _decoded(message, Hello)
    if len(hello.x) % 8 or not hello.x:
        raise BadMessage(f"a model of {len(hello.x)} bytes")
    x = torch.from_numpy(np.frombuffer(hello.x, np.float64).copy())[None]
    if not math.isfinite(x.sum()) or not (0 <= hello.round < 2**62 and 0 <= hello.age < 2**62):
        raise BadMessage("a model, a round or an age that makes no sense")
    return Checkpoint(x, hello.round, 0.0, check(hello.facts), hello.age)


def check(facts: Facts) -> Facts:
    """The facts, if they can be true. Raises BadMessage."""
    numbers = (
        facts.mean_rows,
        facts.step,
        facts.fallback_step,
        *facts.mean,
        *facts.deviation,
        *facts.curvature,
    )
    features = len(facts.schema.features)
    for wrong, what in (
        (not all(map(math.isfinite, numbers)), "numbers that are not finite"),
        (
            facts.mean_rows <= 0
            or facts.step <= 0
            or facts.fallback_step < 0
            or not 0 <= facts.origin < 2**61,
            "a size below 0, or beyond all bounds",
        ),
        (len(facts.mean) != len(facts.deviation), "means and deviations of different number"),
        (bool(facts.mean) and len(facts.mean) != features, f"{len(facts.mean)} means of {features} features"),
        (any(d <= 0 for d in facts.deviation), "a deviation that is not above 0"),
    ):
        if wrong:
            raise BadMessage(f"what was agreed has {what}")
    return facts


def encode(facts: Facts) -> str:
    """The facts as JSON."""
    return msgspec.json.encode(facts).decode()


def decode(text: str) -> Facts:
    """The facts in JSON. Raises BadMessage."""
    try:
        return check(msgspec.json.decode(text, type=Facts))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"not what was agreed: {error}") from error


def _decoded(message: bytes, kind: type[Hello]) -> Any:
    try:
        return msgspec.msgpack.decode(message, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"not what was agreed: {error}") from error
