"""The engine of asynchronous gossip in simulated time, all peers at once; must not know any transport.

Time goes in ticks, a fixed number to a cycle (the mean time from one wake-up of a peer to its next). In a tick, first
sessions begin and end, then what is due arrives, then who is due wakes. What is sent in a tick arrives in a later one, so that
within a tick peers do not depend on each other, and their order is free: all of a kind are done at once. Several messages to
one peer in one tick come in waves, the k-th to each peer in the k-th wave.

Every random number is a function of the seed, its purpose, a peer and a tick (`rng`): nothing is drawn from a stream.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from gossipfl import rng
from gossipfl.errors import BadExperiment
from gossipfl.gossip.create import Model
from gossipfl.gossip.learning import GossipLearning
from gossipfl.gossip.letters import ASKS, CARRIES, Letters, arriving, put, ranks, room, take
from gossipfl.gossip.network import PERFECT, Network, period
from gossipfl.gossip.overlay import overlay
from gossipfl.gossip.run import LOST, MISSED, RECEIVED, SENT, Run, copy
from gossipfl.gossip.shards import Shards
from gossipfl.topology import Links

_KINDS = {"push": CARRIES, "pull": ASKS, "push-pull": CARRIES | ASKS}


class Gossip:
    """Gossip learning of as many peers as there are shards.

    Args:
        learning: what peers do.
        shards: what each of them learns from; their dtype is that of the models.
        network: what happens to messages and to peers.
        links: along which a peer sends, from `senders` to `receivers`; None: to anyone.
        seed: of everything.
        ticks: how many of them make a cycle; the more, the fewer things happen in the same one.
    """

    def __init__(
        self,
        learning: GossipLearning,
        shards: Shards,
        network: Network = PERFECT,
        links: Links | None = None,
        seed: int = 0,
        ticks: int = 10,
    ) -> None:
        if ticks < 1:
            raise BadExperiment(f"A cycle has at least one tick, not {ticks}")
        self.learning, self.shards, self.network = learning, shards, network
        self.seed, self.ticks = seed, ticks
        self._choose = overlay(links, len(shards.sizes))

    def init(self, x: Tensor | None = None) -> Run:
        """The run before tick 0, all models of age 0 being x (n, d), or 0."""
        peers, width, dtype = len(self.shards.sizes), self.shards.x.shape[1], self.shards.x.dtype
        everyone = torch.arange(peers)
        u = rng.uniform(self.seed, "begin", everyone, 0, 4)
        online = u[:, 1] < self.network.online
        models = torch.zeros(peers, self.learning.cache, width, dtype=dtype)
        if x is not None:
            models[:, 0] = x
        return Run(
            0,
            models,
            torch.zeros(peers, dtype=torch.int64),
            models[:, 0].clone(),
            torch.zeros(peers, dtype=torch.int64),
            (u[:, 0] * self.ticks).long(),
            torch.zeros(peers, dtype=torch.int64),
            online,
            self.network.rest(online, u[:, 2], u[:, 3], self.ticks)
            if self.network.churn
            else torch.full((peers,), -1),
            room(peers, width, dtype),
            torch.zeros(peers, 4, dtype=torch.int64),
        )

    def cycles(self, run: Run) -> Iterator[Run]:
        """The runs after each further cycle, without end."""
        while True:
            run = self.cycle(run)
            yield run

    def cycle(self, run: Run) -> Run:
        """One cycle further."""
        run = copy(run)
        for _ in range(self.ticks):
            run = self._tick(run)
        return run

    def _tick(self, run: Run) -> Run:
        """One tick further, in the memory of `run`."""
        if self.network.churn:
            self._turn(run)
        said = torch.zeros_like(run.tokens)  # messages by each peer in this tick
        letters = arriving(run.letters, run.tick)
        here = run.online[letters.receiver]
        _count(run, MISSED, letters.receiver[~here])
        letters = take(letters, here)
        rank = ranks(letters.receiver)
        for wave in range(int(rank.max()) + 1 if len(rank) else 0):
            run = self._hear(run, said, take(letters, rank == wave), wave)
        return self._wake(run, said)._replace(tick=run.tick + 1)

    def _turn(self, run: Run) -> None:
        """Sessions end, others begin."""
        who = (run.until == run.tick).nonzero()[:, 0]
        run.online[who] ^= True
        u = rng.uniform(self.seed, "session", who, run.tick, 1)[:, 0]
        run.until[who] = run.tick + self.network.length(run.online[who], u, self.ticks)

    def _wake(self, run: Run, said: Tensor) -> Run:
        """Who is due sends, or saves a token, unless it is offline; its clock goes on."""
        who = (run.wake == run.tick).nonzero()[:, 0]
        u = rng.uniform(self.seed, "wake", who, run.tick, 2)
        run.wake[who] = run.tick + period(self.learning.jitter, u[:, 0], self.ticks)
        who, chance = who[run.online[who]], u[run.online[who], 1]
        speaks = chance < self.learning.control.proactive(run.tokens[who])
        run.tokens[who[~speaks]] += 1
        return self._send(run, said, who[speaks], _KINDS[self.learning.exchange])

    def _hear(self, run: Run, said: Tensor, letters: Letters, wave: int) -> Run:
        """At most one message to each peer: answer what it asks, make a model of what it carries, maybe pass it on."""
        asking = (letters.kind & ASKS) > 0
        _count(run, RECEIVED, letters.receiver)
        run = self._send(run, said, letters.receiver[asking], CARRIES, letters.sender[asking])
        letters = take(letters, (letters.kind & CARRIES) > 0)
        who, control = letters.receiver, self.learning.control
        useful = letters.age >= run.ages[who]
        self._learn(run, who, Model(letters.w, letters.age), wave)
        if not control.capacity:
            return run
        u = rng.uniform(self.seed, "react", who, run.tick, wave + 1)[:, wave]
        spent = (control.reactive(run.tokens[who], useful) + u).long()
        run.tokens[who] -= spent
        return self._send(run, said, who.repeat_interleave(spent), CARRIES)

    def _learn(self, run: Run, who: Tensor, received: Model, wave: int) -> None:
        """The peers `who` put the model that they create of what they received before those they keep."""
        create, shards, steps = self.learning.create, self.shards, self.learning.steps
        drawn = rng.integers(self.seed, "row", who, run.tick, steps * (wave + 1), shards.sizes[who])
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

    def _send(self, run: Run, said: Tensor, who: Tensor, kind: int, to: Tensor | None = None) -> Run:
        """Each of `who` (equal ones together) sends its model as it is now, to a random neighbour or to `to`."""
        if not len(who):
            return run
        number = said[who] + ranks(who)
        _add(said, who)
        width = int(number.max()) + 1
        u = rng.uniform(self.seed, "message", who, run.tick, 3 * width).view(len(who), width, 3)
        u = u[torch.arange(len(who)), number]
        arrives = u[:, 1] >= self.network.loss
        _count(run, SENT, who)
        _count(run, LOST, who[~arrives])
        now = torch.full_like(who, run.tick)
        due = run.tick + self.network.travel(u[:, 2], self.ticks)
        to = self._choose(who, u[:, 0]) if to is None else to
        every = Letters(due, now, number, who, to, torch.full_like(who, kind), run.ages[who], run.x[who])
        return run._replace(letters=put(run.letters, take(every, arrives), run.tick))


def _add(counts: Tensor, who: Tensor) -> None:
    counts.index_add_(0, who, torch.ones_like(who))


def _count(run: Run, what: int, who: Tensor) -> None:
    _add(run.tally[:, what], who)
