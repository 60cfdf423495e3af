"""What the peers agreed on before they learned, to store and to send; must not know how they agreed.

A peer that comes late, or that has lost everything, gets the facts from a neighbour. Its bytes are not trusted.
"""

import math
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace

from gossipfl.data import Schema
from gossipfl.data.scale import Scale
from gossipfl.errors import BadMessage
from gossipfl.tensors import Tensor, torch


class Moments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The units of a certificate: means and deviations over all training rows.

    mean, deviation: (p,) of the features, as they are learned from.
    centre, spread: the same of a target that is a number; 0 and 1 for classes and counts.
    """

    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    centre: float = 0.0
    spread: float = 1.0


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A penalty that all peers have chosen by cross-validation.

    key: "l1" or "l2". chosen: its value. rule: "cv" or "cv-1se".
    loss: what was measured on the rows held out.
    penalties, mean, error: (l,) the loss by penalty, and its standard error; None where there is no optimum.
    folds, sums, numbers: how many; the numbers are those in all sums.
    """

    key: str
    chosen: float
    rule: str
    loss: str
    penalties: tuple[float, ...]
    mean: tuple[float | None, ...]
    error: tuple[float | None, ...]
    folds: int
    sums: int
    numbers: int


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all peers have agreed on.

    schema: columns, category levels and classes.
    mean_rows: the mean number of training rows of a peer or, if rows have weights, the mean of their sum.
    step: the learning rate.
    fallback_step: the learning rate of the method that replaces Newton's method after a fault; 0 if there is none.
    mean, deviation: (p,) of the features, if the peers gossiped them; else empty.
    curvature: (d rank) the numbers of a preconditioner; empty if there is none.
    origin: the number of the exchange at which learning began.
    moments: for methods that take sums; else empty.
    selection: the penalty that the peers have chosen, if they were to choose one.
    """

    schema: Schema
    mean_rows: float
    step: float
    fallback_step: float = 0.0
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    curvature: tuple[float, ...] = ()
    origin: int = 0
    moments: Moments = Moments()
    selection: Selection | None = None

    @property
    def working_step(self) -> float:
        """The learning rate that the smoothness constant bounds. It does not bound the full step of Newton's method."""
        return self.fallback_step or self.step

    def shortened(self, step: float) -> "Facts":
        """The same facts with a shorter working step."""
        return replace(self, fallback_step=step) if self.fallback_step else replace(self, step=step)

    @property
    def scale(self) -> Scale | None:
        """The standardisation that all peers share; None if they share none."""
        return Scale(np.array(self.mean), np.array(self.deviation)) if self.mean else None


class Checkpoint(NamedTuple):
    """The progress of a peer: its model x (1, d), rounds, seconds of learning, facts, and the model's age if it gossips."""

    x: Tensor
    round: int
    seconds: float
    facts: Facts
    age: int = 0


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The message to a newcomer: the facts, the sender's round, its model x as float64 little-endian, and the model's age."""

    facts: Facts
    round: int
    x: bytes
    age: int


def pack(point: Checkpoint) -> bytes:
    """The message to a newcomer, as bytes."""
    x = point.x.to(torch.float64).numpy().tobytes()
    return msgspec.msgpack.encode(Hello(point.facts, point.round, x, point.age))


def unpack(message: bytes) -> Checkpoint:
    """The sender's progress, in float64, with 0 seconds for the newcomer.

    Raises:
        BadMessage: the bytes are no such message. Nothing else is raised, for any bytes.
    """
    hello = _decoded(message, Hello)
    if len(hello.x) % 8 or not hello.x:
        raise BadMessage(f"a model of {len(hello.x)} bytes")
    x = torch.from_numpy(np.frombuffer(hello.x, np.float64).copy())[None]
    if not math.isfinite(x.sum()) or not (0 <= hello.round < 2**62 and 0 <= hello.age < 2**62):
        raise BadMessage("a model, round or age that is out of range")
    return Checkpoint(x, hello.round, 0.0, check(hello.facts), hello.age)


def check(facts: Facts) -> Facts:
    """The facts, if they are plausible. Raises BadMessage."""
    numbers = (
        facts.mean_rows,
        facts.step,
        facts.fallback_step,
        *facts.mean,
        *facts.deviation,
        *facts.curvature,
        *facts.moments.mean,
        *facts.moments.deviation,
        facts.moments.centre,
        facts.moments.spread,
        *facts.schema.class_weights,
        *(value for value in facts.schema.fill.values() if isinstance(value, float)),
    )
    features = len(facts.schema.features)
    for wrong, what in (
        (not all(map(math.isfinite, numbers)), "numbers that are not finite"),
        (
            facts.mean_rows <= 0
            or facts.step <= 0
            or facts.fallback_step < 0
            or not 0 <= facts.origin < 2**61,
            "a size out of range",
        ),
        (len(facts.mean) != len(facts.deviation), "different numbers of means and deviations"),
        (
            bool(facts.mean) and len(facts.mean) != features,
            f"{len(facts.mean)} means for {features} features",
        ),
        (any(d < 0 for d in (*facts.deviation, *facts.moments.deviation)), "a deviation below 0"),
        (
            not len(facts.moments.mean) == len(facts.moments.deviation) in (0, features),
            f"{len(facts.moments.mean)} moments for {features} features",
        ),
        (not set(facts.schema.constant) <= set(facts.schema.features), "constant features that do not exist"),
        (
            len(facts.schema.class_weights) not in (0, len(facts.schema.classes or ())),
            f"{len(facts.schema.class_weights)} class weights for {len(facts.schema.classes or ())} classes",
        ),
        (facts.selection is not None and not 0 <= facts.selection.chosen < math.inf, "a penalty below 0"),
        (not set(facts.schema.unseen) <= set(facts.schema.classes or ()), "classes that do not exist"),
    ):
        if wrong:
            raise BadMessage(f"the agreed facts have {what}")
    return facts


def encode(facts: Facts) -> str:
    """The facts as JSON."""
    return msgspec.json.encode(facts).decode()


def decode(text: str) -> Facts:
    """The facts from JSON. Raises BadMessage."""
    try:
        return check(msgspec.json.decode(text, type=Facts))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"no valid facts: {error}") from error


def _decoded(message: bytes, kind: type[Hello]) -> Any:
    try:
        return msgspec.msgpack.decode(message, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"no valid message to a newcomer: {error}") from error
