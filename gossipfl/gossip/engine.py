"""The engine of asynchronous gossip in simulated time, all peers at once; must not know any transport.

Time is counted in ticks. A cycle is the mean time between two wake-ups of a peer and has a fixed number of ticks. In a tick,
first sessions begin and end, then messages that are due arrive, then peers that are due wake. A message that is sent in a tick
arrives in a later one. So peers do not depend on each other within a tick, and all events of a kind are computed at once.
Several messages to one peer in one tick come in waves: the k-th message to each peer is in the k-th wave.

Every random number is a function of the seed, its purpose, a peer and a tick (`rng`). There is no stream of random numbers.
"""

from collections.abc import Iterator

import numpy as np

from gossipfl import rng
from gossipfl.errors import BadExperiment
from gossipfl.gossip.conduct import Conduct
from gossipfl.gossip.create import Model
from gossipfl.gossip.learning import GossipLearning
from gossipfl.gossip.letters import ASKS, CARRIES, Letters, arriving, put, ranks, room, take
from gossipfl.gossip.network import PERFECT, Network, period
from gossipfl.gossip.overlay import overlay
from gossipfl.gossip.shards import Shards
from gossipfl.gossip.world import LOST, MISSED, RECEIVED, SENT, World, copy
from gossipfl.tensors import Tensor, torch
from gossipfl.topology import Links
from gossipfl.topology.links import Numbers


class Gossip:
    """Gossip learning with one peer for each shard.

    Args:
        learning: the method.
        shards: the rows of each peer. The models have the same dtype.
        network: what happens to messages and to peers.
        links: peers send from `senders` to `receivers`; None: to any peer.
        seed: of all random numbers.
        ticks: how many ticks are in a cycle. With more ticks, fewer events share a tick.
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
            raise BadExperiment(f"A cycle has at least one tick, but ticks is {ticks}")
        self.learning, self.network = learning, network
        self.seed, self.ticks = seed, ticks
        self.messages_sent = self.bytes_sent = 0  # by all peers together; bytes of models, without headers
        self._choose = overlay(links, len(shards.sizes))
        self._conduct = Conduct(learning, shards, np.arange(len(shards.sizes)), seed)

    def init(self, x: Tensor | None = None) -> World:
        """The run before tick 0. All models have age 0 and are x (n, d), or 0."""
        run = self._conduct.begin(self.ticks, x)
        peers, width = run.x.shape
        run = run._replace(letters=room(peers, width, run.letters.w.dtype))
        if not self.network.churn:
            return run
        u = rng.uniform(self.seed, "begin", np.arange(peers), 0, 4)
        online = u[:, 1] < self.network.online
        until = self.network.rest(online, u[:, 2], u[:, 3], self.ticks)
        return run._replace(online=online, until=until)

    def cycles(self, run: World) -> Iterator[World]:
        """The runs after each further cycle. It never ends."""
        while True:
            run = self.cycle(run)
            yield run

    def cycle(self, run: World) -> World:
        """The run after one more cycle."""
        run = copy(run)
        for _ in range(self.ticks):
            run = self._tick(run)
        return run

    def _tick(self, run: World) -> World:
        """The run after one more tick. It changes `run` in place."""
        if self.network.churn:
            self._turn(run)
        said = np.zeros_like(run.tokens)  # messages sent by each peer in this tick
        letters = arriving(run.letters, run.tick)
        if self.network.churn:
            here = run.online[letters.receiver]
            _count(run, MISSED, letters.receiver[~here])
            letters = take(letters, here)
        rank = ranks(letters.receiver)
        waves = int(rank.max()) + 1 if len(rank) else 0
        for wave in range(waves):
            run = self._hear(run, said, take(letters, rank == wave) if waves > 1 else letters, wave)
        return self._wake(run, said)._replace(tick=run.tick + 1)

    def _turn(self, run: World) -> None:
        """End and begin sessions."""
        who = np.flatnonzero(run.until == run.tick)
        run.online[who] ^= True
        u = self._conduct.draw("session", run, who, 1)[:, 0]
        run.until[who] = run.tick + self.network.length(run.online[who], u, self.ticks)

    def _wake(self, run: World, said: Numbers) -> World:
        """Peers that are due and online send or save a token. The clocks of offline peers continue too."""
        who = np.flatnonzero(run.wake == run.tick)
        if not len(who):
            return run
        u = self._conduct.draw("wake", run, who, 2)
        run.wake[who] = run.tick + period(self.learning.jitter, u[:, 0], self.ticks)
        if self.network.churn:
            here = run.online[who]
            who, u = who[here], u[here]
        speaks = self._conduct.speaks(run, who, u[:, 1])
        return self._send(run, said, who[speaks], self.learning.kind)

    def _hear(self, run: World, said: Numbers, letters: Letters, wave: int) -> World:
        """Receive at most one message for each peer: answer requests, learn from models, and maybe send models on."""
        _count(run, RECEIVED, letters.receiver)
        if self.learning.kind & ASKS:
            asking = (letters.kind & ASKS) > 0
            run = self._send(run, said, letters.receiver[asking], CARRIES, letters.sender[asking])
            letters = take(letters, (letters.kind & CARRIES) > 0)
        who, received = letters.receiver, Model(torch.from_numpy(letters.w), torch.from_numpy(letters.age))
        spent = self._conduct.hears(run, who, received, wave)
        return self._send(run, said, who.repeat(spent), CARRIES)

    def _send(self, run: World, said: Numbers, who: Numbers, kind: int, to: Numbers | None = None) -> World:
        """Each peer in `who` sends its current model to a random neighbour, or to `to`. `who` is in ascending order."""
        if not len(who):
            return run
        number = said[who] + ranks(who)
        np.add.at(said, who, 1)
        u = self._conduct.draw_messages(run, who, number)
        arrives = u[:, 1] >= self.network.loss
        _count(run, SENT, who)
        w = run.x.numpy()[who]
        self.messages_sent += len(who)
        self.bytes_sent += w.nbytes if kind & CARRIES else 0
        _count(run, LOST, who[~arrives])
        head = np.empty((len(who), 7), np.int64)
        due = run.tick + self.network.travel(u[:, 2], self.ticks)
        to = self._choose(who, u[:, 0]) if to is None else to
        head[:, 0], head[:, 1], head[:, 2] = due, run.tick, number
        head[:, 3], head[:, 4], head[:, 5], head[:, 6] = who, to, kind, run.ages[who]
        return run._replace(letters=put(run.letters, take(Letters(head, w), arrives), run.tick))


def _count(run: World, what: int, who: Numbers) -> None:
    np.add.at(run.tally[:, what], who, 1)
