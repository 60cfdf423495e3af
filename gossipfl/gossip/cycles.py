"""Simulated gossip as an engine for experiments, with one cycle for each round; must not know experiments."""

from collections.abc import Iterator

from gossipfl.engine import Run, relative_distance
from gossipfl.gossip.engine import Gossip
from gossipfl.gossip.world import RECEIVED, World
from gossipfl.tensors import Tensor, torch


class Cycles:
    """All peers of gossip learning in one process (an `Engine`). The state of a run is the world of `gossip`."""

    def __init__(self, gossip: Gossip) -> None:
        self.gossip = gossip

    @property
    def messages_sent(self) -> int:
        return self.gossip.messages_sent

    @property
    def bytes_sent(self) -> int:
        return self.gossip.bytes_sent

    def init(self, x: Tensor) -> Run:
        return Run(0, self.gossip.init(x), None)

    def step(self, run: Run) -> Run:
        return after(run.round + 1, self.gossip.cycle(world(run)))

    def rounds(self, run: Run) -> Iterator[Run]:
        while True:
            run = self.step(run)
            yield run

    def disagreement(self, run: Run) -> Tensor:
        return from_last(run)

    @property
    def over(self) -> bool:
        return False

    def unsettle(self) -> bool:
        return False

    def settled(self, converged: Tensor, over: bool = False) -> bool:
        return over


def after(cycle: int, world: World) -> Run:
    """The run after `cycle` cycles. Its replicas are the models that peers heard last; None before any peer heard one."""
    return Run(cycle, world, world.last if bool(world.tally[:, RECEIVED].any()) else None)


def from_last(run: Run) -> Tensor:
    """|r_i - x_i| / |x_i|, where r_i is the model that peer i heard last, (n,); 0 for peers that heard none."""
    assert run.replicas is not None
    heard = torch.from_numpy(world(run).tally[:, RECEIVED] > 0)
    return torch.where(heard, relative_distance(run.replicas, run.state.x), 0.0)


def world(run: Run) -> World:
    """The state of a run of gossip learning."""
    assert isinstance(run.state, World)
    return run.state
