"""The keys of [gossip], what gossip learning has beside the keys of all methods; must not know how the file is read."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from gossipfl.config.section import Section

Cycles = Annotated[float, Field(ge=0, le=10_000)]


class GossipSettings(Section):
    """Gossip learning: how models wander, merge and learn. Times are in cycles, the mean time between a peer's wake-ups."""

    create: Literal["walk", "merge-update", "update-merge"] = "merge-update"
    """What is made of a model that arrives: learn from it alone; merge it with another, then learn; learn from both, then
    merge."""
    mean: Literal["equal", "age", "fresh"] = "equal"
    """How two models merge: half and half; the longer one has learned, the more; or the older one has the less, the further
    it is behind."""
    patience: PositiveInt = 20
    """For mean = "fresh": how many steps one is behind the other when it counts half of what it would."""
    own: bool = False
    """Merge with the model that the peer holds, not with the one that arrived there before."""
    exchange: Literal["push", "pull", "push-pull"] = "push"
    """At a wake-up: send my model to a random neighbour, ask for that of the neighbour, or both."""
    control: Literal["proactive", "simple", "generalised", "randomised"] = "proactive"
    """When to push: at every wake-up, or out of an account of tokens, which a model that came may spend at once."""
    capacity: PositiveInt = 10
    """The most tokens of an account."""
    spend: PositiveInt = 5
    """For "generalised" and "randomised": the more, the thriftier; at most the capacity."""
    cache: PositiveInt = 1
    """How many of its newest models a peer keeps, to vote on test rows."""
    jitter: Annotated[float, Field(ge=0, le=0.3)] = 0.1
    """Standard deviation of the time between two wake-ups, a share of its mean."""
    delay: tuple[Cycles, Cycles] = (0.0, 0.0)
    """The shortest and the longest way of a message, in cycles; in the simulator only."""
    online: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of time that a peer is online; in the simulator only."""
    session: PositiveFloat = 50.0
    """Mean length of an online session, in cycles; for online below 1."""
    period: Annotated[float, Field(gt=0, le=86_400)] = 0.05
    """How many seconds a cycle of a live peer takes; each peer may have its own."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.delay[0] > self.delay[1]:
            raise ValueError("delay = [a, b] is the shortest and the longest way: a must not be above b")
        if self.control not in ("proactive", "simple") and self.spend > self.capacity:
            raise ValueError("spend must not be above capacity: nobody could ever pass a model on")
        return self
