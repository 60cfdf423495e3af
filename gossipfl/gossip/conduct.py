"""What peers do when they wake and when they receive, in simulated and in real time; must not know which time it is.

Random numbers are a function of the seed, their purpose, the peer, and `run.tick`. In simulated time this is the tick; in a
live peer it is the number of events so far.
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
    """The behaviour of the n peers held here. `who` (m,) int64 selects rows; their part of a run is changed in place.

    Args:
        learning: the method.
        shards: the rows of each peer.
        peers: (n,) int64, the numbers of these peers in the whole network.
        seed: of all random numbers.
    """

    def __init__(self, learning: GossipLearning, shards: Shards, peers: Tensor, seed: int) -> None:
        self.learning, self.shards, self.peers, self.seed = learning, shards, peers, seed

    def begin(self, ticks: int, x: Tensor | None = None) -> World:
        """The run at the start: all peers online, models x (n, d), or 0, of age 0, and a random phase for each clock."""
        n, width, dtype = len(self.peers), self.shards.x.shape[1], self.shards.x.dtype
        models = torch.zeros(n, self.learning.cache, width, dtype=dtype)
        if x is not None:
            models[:, 0] = x
        phase = torch.from_numpy(rng.uniform(self.seed, "begin", self.peers.numpy(), 0, 1))[:, 0]
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
        """Uniform random numbers, (m, width), for the current tick."""
        return torch.from_numpy(rng.uniform(self.seed, purpose, self.peers[who].numpy(), run.tick, width))

    def draw_messages(self, run: World, who: Tensor, number: Tensor) -> Tensor:
        """Uniform numbers, (m, 3): for receiver, loss and delay of the sender's message number `number` (m,) in this tick."""
        width = int(number.max()) + 1
        u = self.draw("message", run, who, 3 * width).view(len(who), width, 3)
        return u[:, 0] if width == 1 else u[torch.arange(len(who)), number]

    def speaks(self, run: World, who: Tensor, u: Tensor) -> Tensor:
        """Whether peers that wake send, (m,) bool, decided by uniform numbers u (m,). A peer that does not saves a token."""
        control = self.learning.control
        if not control.capacity:
            return torch.ones_like(who, dtype=torch.bool)
        speaks = u < control.proactive(run.tokens[who])
        run.tokens[who[~speaks]] += 1
        return speaks

    def hears(self, run: World, who: Tensor, received: Model, wave: int = 0) -> Tensor:
        """Learn from the models received in one wave of this tick.

        No peer may occur twice in `who`. Returns how often each peer sends its model on, (m,) int64.
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
        """Create a model from the received one, and put it before the models that the peer keeps."""
        create, shards, steps = self.learning.create, self.shards, self.learning.steps
        width = steps * (wave + 1)
        drawn = torch.from_numpy(
            rng.integers(
                self.seed, "row", self.peers[who].numpy(), run.tick, width, shards.sizes[who].numpy()
            )
        )
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
