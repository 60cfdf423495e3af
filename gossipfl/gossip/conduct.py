"""What peers do when they wake and when they hear, the same in simulated and in real time; must not know either.

Random numbers are a function of the seed, what they are for, the peer, and `run.tick`: in simulated time the tick, in a live
peer how many things have happened to it so far.
"""

import torch
from torch import Tensor

from gossipfl import rng
from gossipfl.gossip.create import Model
from gossipfl.gossip.learning import GossipLearning
from gossipfl.gossip.letters import room
from gossipfl.gossip.shards import Shards
from gossipfl.gossip.world import World


class Conduct:
    """How the n peers held here behave. `who` (m,) int64 are rows, and what a run holds of them is written in place.

    Args:
        learning: what peers do.
        shards: what each of them learns from.
        peers: (n,) int64, their numbers in the whole network.
        seed: of everything.
    """

    def __init__(self, learning: GossipLearning, shards: Shards, peers: Tensor, seed: int) -> None:
        self.learning, self.shards, self.peers, self.seed = learning, shards, peers, seed

    def begin(self, ticks: int, x: Tensor | None = None) -> World:
        """The run before anything happens, all online: models of age 0 being x (n, d), or 0, and each clock at some phase."""
        n, width, dtype = len(self.peers), self.shards.x.shape[1], self.shards.x.dtype
        models = torch.zeros(n, self.learning.cache, width, dtype=dtype)
        if x is not None:
            models[:, 0] = x
        phase = rng.uniform(self.seed, "begin", self.peers, 0, 1)[:, 0]
        none = torch.zeros(n, dtype=torch.int64)
        return World(
            0,
            models,
            none,
            models[:, 0].clone(),
            none.clone(),
            (phase * ticks).long(),
            none.clone(),
            torch.ones(n, dtype=torch.bool),
            torch.full((n,), -1),
            room(0, width, dtype),
            torch.zeros(n, 4, dtype=torch.int64),
        )

    def draw(self, purpose: str, run: World, who: Tensor, width: int) -> Tensor:
        """Uniform numbers, (m, width), for what happens now."""
        return rng.uniform(self.seed, purpose, self.peers[who], run.tick, width)

    def draw_messages(self, run: World, who: Tensor, number: Tensor) -> Tensor:
        """Uniform numbers, (m, 3), for a message's receiver, loss and delay; it is the sender's `number`-th (m,) of now."""
        width = int(number.max()) + 1
        u = self.draw("message", run, who, 3 * width).view(len(who), width, 3)
        return u[torch.arange(len(who)), number]

    def speaks(self, run: World, who: Tensor, u: Tensor) -> Tensor:
        """Whether they send now that they wake, (m,) bool, by uniform numbers u (m,); who does not saves a token."""
        speaks = u < self.learning.control.proactive(run.tokens[who])
        run.tokens[who[~speaks]] += 1
        return speaks

    def hears(self, run: World, who: Tensor, received: Model, wave: int = 0) -> Tensor:
        """They learn from the models that they received, the `wave`-th of now; how often each passes its own on, (m,) int64.

        No peer is named twice.
        """
        control = self.learning.control
        useful = received.age >= run.ages[who]
        self._learn(run, who, received, wave)
        if not control.capacity:
            return torch.zeros_like(who)
        u = self.draw("react", run, who, wave + 1)[:, wave]
        spent = (control.reactive(run.tokens[who], useful) + u).long()
        run.tokens[who] -= spent
        return spent

    def _learn(self, run: World, who: Tensor, received: Model, wave: int) -> None:
        """They put the model that they create of what they received before those they keep."""
        create, shards, steps = self.learning.create, self.shards, self.learning.steps
        width = steps * (wave + 1)
        drawn = rng.integers(self.seed, "row", self.peers[who], run.tick, width, shards.sizes[who])
        rows = shards.starts[who, None] + drawn[:, steps * wave :]

        def update(model: Model) -> Model:
            w, age = model
            for row in rows.T:
                age = age + 1
                w = self.learning.rule(w, age, shards.x[row], shards.y[row])
            return Model(w, age)

        other = (run.x, run.ages) if create.own else (run.last, run.last_ages)
        made = create(received, Model(other[0][who], other[1][who]), update)
        run.models[who] = torch.cat((made.w.unsqueeze(1), run.models[who, :-1]), 1)
        run.ages[who] = made.age
        run.last[who], run.last_ages[who] = received
