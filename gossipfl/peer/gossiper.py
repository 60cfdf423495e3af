"""One live peer of asynchronous gossip learning, sans-IO; must not know sockets or clocks.

It behaves like a row of the simulated engine (`gossip.Conduct`). What it does depends on the order of events alone, never on
their time: its random numbers are a function of the event's number, an event being a wake-up or a model that it learns from.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from torch import Tensor

from gossipfl import rng
from gossipfl.errors import BadExperiment, BadMessage
from gossipfl.gossip.conduct import Conduct
from gossipfl.gossip.create import Model
from gossipfl.gossip.learning import GossipLearning
from gossipfl.gossip.letters import ASKS, CARRIES
from gossipfl.gossip.network import period
from gossipfl.gossip.overlay import overlay
from gossipfl.gossip.shards import Shards
from gossipfl.gossip.world import LOST, MISSED, RECEIVED, SENT
from gossipfl.peer.letter import Letter, enclosed, opened, write
from gossipfl.peer.rumours import OLD
from gossipfl.peer.wire import Header, attempt, authentic, encode, gossips
from gossipfl.topology import Links

Post = tuple[int, list[bytes]]  # to whom, and the frames
GRACE = 100  # cycles by which peers may begin apart
_MYSELF = np.array([0])  # my row


class Gossiper:
    """Peer number `me`. The caller sends what its methods return, and calls `undelivered` for each message that cannot be sent.

    Models that come while it learns wait, of each neighbour only the newest, so that a slow peer's memory does not grow.

    Args:
        me: this peer's number.
        peers: what messages call all peers, by number.
        learning: what peers do.
        shard: this peer's own rows, and nobody else's.
        study: fingerprint of the study, 8 bytes; messages of another study are refused. Letters carry one made of it.
        links: along which peers send, from `senders` to `receivers`; None: to anyone.
        seed: of all chance.
        ticks: ticks in a cycle, the mean time between two wake-ups.
        loss: the probability that a message of mine is lost.
    """

    def __init__(
        self,
        me: int,
        peers: Sequence[int],
        learning: GossipLearning,
        shard: Shards,
        study: bytes,
        links: Links | None = None,
        seed: int = 0,
        ticks: int = 1000,
        loss: float = 0.0,
    ) -> None:
        if ticks < 1 or len(shard.sizes) != 1:
            raise BadExperiment(
                f"Peer {me} has {len(shard.sizes)} shards and {ticks} ticks a cycle: give it one shard, and a tick or more"
            )
        self.me, self.learning, self.ticks, self.loss = me, learning, ticks, loss
        self.neighbours = {peers[other]: other for other in sorted(neighbours(links, me, len(peers)))}
        self.refused = self.bytes_sent = 0
        self.gone: dict[int, str] = {}  # neighbours that said goodbye, and why
        self._study, self._letters, self._choose = study, gossips(study), overlay(links, len(peers))
        self._peers, self._name = peers, peers[me]
        self._seed = seed
        self._conduct = Conduct(learning, shard, np.array([me]), seed)
        self._waiting: dict[int, Model] = {}
        self._transfer: Callable[[], bytes] | None = None
        self._newcomers = 0  # only they speak of exchanges before this one
        self._cycles = 0  # of my life
        self._given: set[int] = set()  # the newcomers that got the state since I woke last
        self.run = self._conduct.begin(ticks)

    def begin(self, newcomers: int, transfer: Callable[[], bytes]) -> None:
        """Learning begins. A peer that speaks of an exchange before `newcomers` gets what `transfer` returns."""
        self._newcomers, self._transfer = newcomers, transfer

    @property
    def due(self) -> int:
        """The tick of my next wake-up."""
        return int(self.run.wake[0])

    @property
    def waiting(self) -> int:
        """How many models wait for me to learn from them."""
        return len(self._waiting)

    def heard(self, frames: list[bytes], sender: int | None = None) -> list[Post]:
        """A message came: answer at once what it asks; the model that it carries waits.

        A neighbour that still agrees is a newcomer, and gets the state, once in each of my cycles, for it will ask again.

        Raises:
            BadMessage: it is not for me, and changes nothing but the count of those refused.
        """
        try:
            letter = opened(frames)
            authentic(letter, sender)
            if letter.sender not in self.neighbours:
                raise BadMessage("is not my neighbour", letter.sender)
            if letter.study == self._study and not letter.leaving:
                return self._newcomer(letter.sender, letter.number, letter.mine)
            if letter.study not in (self._letters, self._study):
                raise BadMessage("takes part in another study", letter.sender)
            if letter.age > (most := self._oldest):
                raise BadMessage(
                    f"sent a model of {letter.age} steps; there was time for {most}", letter.sender
                )
            model = enclosed(letter, frames[1], self.run.x)
        except BadMessage as error:
            self.refused += 1
            raise error.of(sender) from None
        if letter.leaving:
            self.gone[letter.sender] = letter.leaving
            return []
        self.gone.pop(letter.sender, None)  # it is back
        self._count(MISSED if model and letter.sender in self._waiting else RECEIVED)
        if model:
            self._waiting[letter.sender] = model
        return self._send([letter.sender], CARRIES) if letter.kind & ASKS else []

    def _newcomer(self, peer: int, number: int, nonce: int) -> list[Post]:
        new = number < self._newcomers or attempt(number) > attempt(self._newcomers)
        if self._transfer is None or not new or peer in self._given:
            return []
        self._given.add(peer)
        self.gone.pop(peer, None)
        header = Header(self._study, self._name, self._sent, transfer=True, yours=nonce)
        return [(peer, [encode(header), self._transfer()])]

    def learned(self) -> list[Post]:
        """Learn from the model that has waited longest; maybe send mine. KeyError where none waits."""
        model = self._waiting.pop(next(iter(self._waiting), -1))
        spent = self._conduct.hears(self.run, _MYSELF, model)
        return self._happened(int(spent[0]), CARRIES)

    def woke(self, now: int) -> list[Post]:
        """I wake at tick `now`: send, or save a token. Wake-ups that I was too busy for are left out."""
        self._given.clear()
        self._cycles = now // self.ticks
        clock, chance = self._conduct.draw("wake", self.run, _MYSELF, 2)[0, :, None]
        self.run.wake[:] = (self.run.wake + period(self.learning.jitter, clock, self.ticks)).clip(min=now)
        speaks = self._conduct.speaks(self.run, _MYSELF, chance)
        return self._happened(int(speaks[0]), self.learning.kind)

    def leave(self, reason: str) -> list[Post]:
        """Say goodbye to all neighbours that are there, with the reason, so that nobody sends more."""
        frames = write(Letter(self._letters, self._name, self._sent, leaving=reason), None)
        return [(peer, frames) for peer in self.neighbours if peer not in self.gone]

    def undelivered(self) -> None:
        """A message could not be sent."""
        self._count(LOST)

    @property
    def _oldest(self) -> int:
        """The most steps that a model can have learned."""
        return OLD * (int(self.run.ages[0]) + (self._cycles + GRACE) * self.learning.steps)

    @property
    def _sent(self) -> int:
        return int(self.run.tally[0, SENT])

    def _happened(self, messages: int, kind: int) -> list[Post]:
        """The end of an event, which makes me send so many messages to random neighbours."""
        posts: list[Post] = []
        if messages:
            u = self._conduct.draw_messages(self.run, _MYSELF.repeat(messages), np.arange(messages))
            chosen = self._choose(np.full(messages, self.me), u[:, 0]).tolist()
            posts = self._send([self._peers[other] for other in chosen], kind)
        self.run = self.run._replace(tick=self.run.tick + 1)
        return posts

    def _send(self, to: Iterable[int], kind: int) -> list[Post]:
        """My present model to each of them. To a neighbour that has gone, it counts as a message lost."""
        model: Tensor | None = self.run.x if kind & CARRIES else None
        posts = []
        for peer in to:
            letter = Letter(self._letters, self._name, self._sent, age=int(self.run.ages[0]), kind=kind)
            frames = write(letter, model)
            lost = self._lost()
            self._count(SENT)
            if peer in self.gone:
                self._count(LOST)
                continue
            self.bytes_sent += sum(map(len, frames))
            if lost:
                self._count(LOST)
            else:
                posts.append((peer, frames))
        return posts

    def _lost(self) -> bool:
        """Whether my next message is to be lost on its way."""
        if not self.loss:
            return False
        return rng.uniform(self._seed, "lost", self._conduct.peers, self._sent, 1).item() < self.loss

    def _count(self, what: int) -> None:
        self.run.tally[0, what] += 1


def neighbours(links: Links | None, me: int, peers: int) -> set[int]:
    """The peers that I may hear: those that send to me, and those that I send to, for they answer what I ask."""
    if links is None:
        return {*range(peers)} - {me}
    heard, told = links.senders[links.receivers == me], links.receivers[links.senders == me]
    return {*heard.tolist(), *told.tolist()}
