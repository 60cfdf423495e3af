"""The parts of gossip learning, combined and checked; must not know data, time or peers."""

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
    """Each peer wakes on its own clock and sends its model to a random neighbour. On receipt: create a model; maybe send it.

    rule: how a model learns from a row.
    create: how a peer uses a model that arrives: walk, merge then update, update then merge.
    control: when to send.
    exchange: at a wake-up, push the own model, pull one (which the neighbour sends back), or both. The neighbour answers
        with the model that it held before.
    steps: the number of rows in one update, used one after the other, drawn with replacement from the peer's own rows.
    cache: how many of its newest models a peer keeps for voting.
    jitter: standard deviation of the time between wake-ups, as a share of its mean. The phase of the first wake-up is random.
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
            (
                self.steps < 1,
                f"steps is {self.steps}, but an update needs at least one row: set it to 1 or more",
            ),
            (
                self.cache < 1,
                f"cache is {self.cache}, but a peer keeps at least one model: set it to 1 or more",
            ),
            (
                not 0 <= self.jitter <= 0.3,
                f"jitter is {self.jitter}, but must be in [0, 0.3]: above that, clocks run too fast",
            ),
        ):
            if wrong:
                raise BadExperiment(f"GossipLearning: {what}")
        if self.exchange != "push" and self.control.capacity:
            raise Incompatible(
                f'A token account works only with exchange = "push", but exchange is "{self.exchange}": set '
                'gossip.exchange = "push", or gossip.control = "proactive" to send at every wake-up'
            )

    @property
    def kind(self) -> int:
        """The kind of message that is sent at a wake-up."""
        return _KINDS[self.exchange]
