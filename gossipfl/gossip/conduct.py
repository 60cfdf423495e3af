"""What peers do when they wake and when they receive, in simulated and in real time; must not know which time it is.

Random numbers are a function of the seed, their purpose, the peer, and `run.tick`. In simulated time this is the tick; in a
live peer it is the number of events so far.
"""

import numpy as np

from gossipfl import rng
from gossipfl.gossip.create import Model
from gossipfl.gossip.learning import GossipLearning
from gossipfl.gossip.letters import room
from gossipfl.gossip.shards import Shards
from gossipfl.gossip.world import World
from gossipfl.tensors import Tensor, torch
from gossipfl.topology.links import Mask, Numbers, Reals


class Conduct:
    """The behaviour of the n peers held here. `who` (m,) selects rows; their part of a run is changed in place.

    Args:
        learning: the method.
        shards: the rows of each peer.
        peers: (n,), the numbers of these peers in the whole network.
        seed: of all random numbers.
    """

    def __init__(self, learning: GossipLearning, shards: Shards, peers: Numbers, seed: int) -> None:
        self.learning, self.peers, self.seed = learning, peers, seed
        self._x, self._y, self._starts, self._sizes = (column.numpy() for column in shards)

    def begin(self, ticks: int, x: Tensor | None = None) -> World:
        """The run at the start: all peers online, models x (n, d), or 0, of age 0, and a random phase for each clock."""
        n, width = len(self.peers), self._x.shape[1]
        models = torch.from_numpy(np.zeros((n, self.learning.cache, width), self._x.dtype))
        if x is not None:
            models[:, 0] = x
        phase = rng.uniform(self.seed, "begin", self.peers, 0, 1)[:, 0]
        none = np.zeros(n, np.int64)
        return World(
            0,
            models,
            none,
            models[:, 0].clone(),
            none.copy(),
            (phase * ticks).astype(np.int64),
            none.copy(),
            np.ones(n, np.bool_),
            np.full(n, -1),
            room(0, width, self._x.dtype),
            np.zeros((n, 4), np.int64),
        )

    def draw(self, purpose: str, run: World, who: Numbers, width: int) -> Reals:
        """Uniform random numbers, (m, width), for the current tick."""
        return rng.uniform(self.seed, purpose, self.peers[who], run.tick, width)

    def draw_messages(self, run: World, who: Numbers, number: Numbers) -> Reals:
        """Uniform numbers, (m, 3): for receiver, loss and delay of the sender's message number `number` (m,) in this tick."""
        width = int(number.max()) + 1
        u = self.draw("message", run, who, 3 * width)
        return u if width == 1 else u.reshape(-1, width, 3)[np.arange(len(who)), number]

    def speaks(self, run: World, who: Numbers, u: Reals) -> Mask:
        """Whether peers that wake send, (m,), decided by uniform numbers u (m,). A peer that does not saves a token."""
        control = self.learning.control
        if not control.capacity:
            return np.ones(len(who), np.bool_)
        speaks = u < control.proactive(run.tokens[who])
        run.tokens[who[~speaks]] += 1
        return speaks

    def hears(self, run: World, who: Numbers, received: Model, wave: int = 0) -> Numbers:
        """Learn from the models received in one wave of this tick.

        No peer may occur twice in `who`. Returns how often each peer sends its model on, (m,).
        """
        control = self.learning.control
        useful = received.age.numpy() >= run.ages[who]
        self._learn(run, who, received, wave)
        if not control.capacity:
            return np.zeros_like(who)
        u = self.draw("react", run, who, wave + 1)[:, wave]
        spent = (control.reactive(run.tokens[who], useful) + u).astype(np.int64)
        run.tokens[who] -= spent
        return spent

    def _learn(self, run: World, who: Numbers, received: Model, wave: int) -> None:
        """Create a model from the received one, and put it before the models that the peer keeps."""
        create, rule, steps = self.learning.create, self.learning.rule, self.learning.steps
        models, last = run.models.numpy(), run.last.numpy()  # the same memory
        drawn = rng.integers(
            self.seed, "row", self.peers[who], run.tick, steps * (wave + 1), self._sizes[who]
        )
        rows = self._starts[who, None] + drawn[:, steps * wave :]

        def update(model: Model) -> Model:
            w, age = model
            for row in rows.T:
                age = age + 1
                w = rule(w, age, torch.from_numpy(self._x[row]), torch.from_numpy(self._y[row]))
            return Model(w, age)

        other = (models[who, 0], run.ages[who]) if create.own else (last[who], run.last_ages[who])
        made = create(received, Model._make(map(torch.from_numpy, other)), update)
        models[who, 1:] = models[who, :-1]
        models[who, 0], run.ages[who] = made.w.numpy(), made.age.numpy()
        last[who], run.last_ages[who] = received.w.numpy(), received.age.numpy()
