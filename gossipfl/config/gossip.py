"""The keys of [gossip], for gossip learning only; must not know how the file is read."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from gossipfl.config.section import Section

Cycles = Annotated[float, Field(ge=0, le=10_000)]


class GossipSettings(Section):
    """Gossip learning: how models travel, merge and learn. A cycle is the mean time between two wake-ups of a peer."""

    create: Literal["walk", "merge-update", "update-merge"] = "merge-update"
    """What a peer does with a model that arrives: train it ("walk"); merge it with another model, then train the result
    ("merge-update"); or train both, then merge them ("update-merge")."""
    mean: Literal["equal", "age", "fresh"] = "equal"
    """The weights of two models that merge: equal; in proportion to their ages, the steps each has learned ("age"); or less for
    the model with fewer steps, the further it is behind ("fresh")."""
    patience: PositiveInt = 20
    """For mean = "fresh": a model that is so many steps behind has half its weight."""
    own: bool = False
    """Merge with the peer's current model, and not with the model that arrived there before."""
    exchange: Literal["push", "pull", "push-pull"] = "push"
    """At a wake-up: send the own model to a random neighbour, ask the neighbour for its model, or both."""
    control: Literal["proactive", "simple", "generalised", "randomised"] = "proactive"
    """When to push: at every wake-up ("proactive"), or from an account of tokens; then an arriving model may spend tokens at
    once."""
    capacity: PositiveInt = 10
    """The maximum number of tokens in an account."""
    spend: PositiveInt = 5
    """For "generalised" and "randomised": a larger value spends fewer tokens at once; at most the capacity."""
    cache: PositiveInt = 1
    """How many of its newest models a peer keeps; they vote on test rows."""
    jitter: Annotated[float, Field(ge=0, le=0.3)] = 0.1
    """The standard deviation of the time between two wake-ups, as a fraction of its mean."""
    delay: tuple[Cycles, Cycles] = (0.0, 0.0)
    """The shortest and the longest delay of a message, in cycles; simulator only."""
    online: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The fraction of time that a peer is online; simulator only."""
    session: PositiveFloat = 50.0
    """The mean length of an online session, in cycles; used if online is below 1."""
    period: Annotated[float, Field(gt=0, le=86_400)] = 0.05
    """The seconds of one cycle of a live peer; each peer may have its own period."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.delay[0] > self.delay[1]:
            raise ValueError("delay = [a, b] is the shortest and the longest delay: set a to at most b")
        if self.control not in ("proactive", "simple") and self.spend > self.capacity:
            raise ValueError("spend is above capacity, so that no peer could send a model: set it lower")
        return self
