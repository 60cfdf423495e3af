"""What gossip learning is made of, put together and checked; must not know data, time or peers."""

from dataclasses import dataclass, field
from typing import Literal

from gossipfl.errors import BadExperiment, Incompatible
from gossipfl.gossip.control import Control, Proactive
from gossipfl.gossip.create import Create, MergeUpdate
from gossipfl.gossip.letters import ASKS, CARRIES
from gossipfl.gossip.rule import Rule

_KINDS = {"push": CARRIES, "pull": ASKS, "push-pull": CARRIES | ASKS}


@dataclass(frozen=True)
class GossipLearning:
    """Each peer, on its own clock: wake; send my model to a random neighbour. On receipt: create a model; maybe pass it on.

    rule: how a model learns from a row.
    create: what is made of a model that arrives: walk, merge then update, update then merge.
    control: when to send.
    exchange: at a wake-up, push my model, pull one (which the neighbour pushes back), or both. The neighbour answers with
        what it held before.
    steps: rows that one update learns from, one after the other, drawn with replacement from the peer's own.
    cache: how many of its newest models a peer keeps, to vote.
    jitter: standard deviation of the time between wake-ups, a share of its mean. The first wake-up's phase is random.
    """

    rule: Rule
    create: Create = field(default_factory=MergeUpdate)
    control: Control = field(default_factory=Proactive)
    exchange: Literal["push", "pull", "push-pull"] = "push"
    steps: int = 1
    cache: int = 1
    jitter: float = 0.1

    def __post_init__(self) -> None:
        for wrong, what in (
            (self.steps < 1, f"steps is {self.steps}, but an update learns from at least one row"),
            (self.cache < 1, f"cache is {self.cache}, but a peer keeps at least one model"),
            (
                not 0 <= self.jitter <= 0.3,
                f"jitter is {self.jitter}, but must lie in [0, 0.3], or clocks would run fast",
            ),
        ):
            if wrong:
                raise BadExperiment(f"GossipLearning: {what}")
        if self.exchange != "push" and self.control.capacity:
            raise Incompatible(
                f'A token account decides when to push, and exchange is {self.exchange}: set gossip.exchange = "push", or '
                'gossip.control = "proactive", to send at every wake-up'
            )

    @property
    def kind(self) -> int:
        """What a message sent at a wake-up does."""
        return _KINDS[self.exchange]
