"""The engine that holds one peer; must not know sockets, files or the other engine.

`mix` is: send to my neighbours, listen until all of them were heard, combine. No thread, lock or event loop of its own:
the transport buffers while we compute.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NoReturn

import torch
from torch import Tensor

from gossipfl.algorithms import Algorithm, takes_back
from gossipfl.engine import Lookback, Run, carry_out, give_back, relative_distance
from gossipfl.errors import BadMessage, NetworkError
from gossipfl.mixing import Mixing, Payload
from gossipfl.models import Problem
from gossipfl.peer.edges import Edges, Heard
from gossipfl.peer.exchange import Exchange
from gossipfl.peer.inbox import Message
from gossipfl.peer.ledger import EdgeAccounts, plus
from gossipfl.peer.payload import from_bytes, to_bytes
from gossipfl.peer.quorum import Quorum
from gossipfl.topology import Links, Topology


class Peer:
    """One peer, talking to its neighbours (an `Engine` with n = 1).

    Args:
        exchange: my end of all my edges; several engines may use it one after the other.
        algorithm, problem, topology, mixing, diameter, changing: as for the simulator; `problem` holds my row alone.
    """

    def __init__(
        self,
        exchange: Exchange,
        algorithm: Algorithm,
        problem: Problem | None,
        topology: Topology,
        mixing: Mixing = Mixing(),
        diameter: int = 0,
        changing: bool = False,
    ) -> None:
        self.exchange = exchange
        self.algorithm, self.problem, self.topology, self.mixing = algorithm, problem, topology, mixing
        self._start = exchange.tick
        self._before = exchange.messages_sent, exchange.bytes_sent
        self._links: Links | None = None
        self._edges: Edges | None = None
        self._quorum = Quorum(diameter)
        self._lookback, self._round = Lookback(topology, diameter, changing), 0
        self._ledger: EdgeAccounts | None = None
        self._back: Tensor | None = None  # what is to be given back after this round
        self._blocks: Sequence[int] = ()
        self._absent = 0.0
        self._peers = list(exchange.names)
        self._me = self._peers.index(exchange.me)
        self._agreed: dict[int, float] | None = (
            None  # what my edges weigh, where that is not as the topology says
        )
        self._opened = -1

    def tolerate(self, absent: float, agreed: bool = False) -> None:
        """From here on go on without neighbours that do not answer, which the method has to bear.

        What only one end of an edge made use of leaves the fields that the method keeps accounts of, and so does all that a
        neighbour has contributed that is gone.

        Args:
            absent: while a neighbour is absent without goodbye, for so many seconds, nobody settles.
            agreed: edges weigh what both ends agreed on when their session began. The links of all rounds must be the same.
        """
        self.exchange.tolerant, self._absent = True, absent
        self._agreed = self.exchange.around.weights if agreed else None
        keeps = takes_back(self.algorithm, self.mixing)
        self._ledger = EdgeAccounts(self.exchange.around.edges) if keeps else None

    @property
    def messages_sent(self) -> int:
        return self.exchange.messages_sent - self._before[0]

    @property
    def bytes_sent(self) -> int:
        return self.exchange.bytes_sent - self._before[1]

    def init(self, x: Tensor) -> Run:
        return Run(0, self.algorithm.init(x), None)

    def step(self, run: Run) -> Run:
        links = self.topology(run.round)
        grad = self.problem.grad(run.round) if self.problem else torch.zeros_like
        self._round = run.round
        exchange = partial(self._exchange, links, run.round)
        after = carry_out(self.algorithm, grad, links, run, self.mixing, exchange)
        if self._back is not None:
            after = after._replace(state=give_back(self.algorithm, after.state, self._back, self._blocks))
            self._back = None
        after = after._replace(round=self._next(after.round))
        self.exchange.tick = self._start + after.round * self.mixing.exchanges
        return after

    def _next(self, round: int) -> int:
        """The round to go on with: the one that comes next, unless neighbours have gone on without me.

        The round is a logical clock. A neighbour may well be further: where links change or there are none for a while, and it
        need not hear me meanwhile. But one that did not wait for what I was to tell it has given me up, and I follow.
        """
        if not self.exchange.tolerant:
            return round
        for peer, tick in self.exchange.heard.items():
            further = (tick - self._start) // self.mixing.exchanges
            if further > round and any(self._tells(peer, k) for k in range(round, further)):
                round = further
        return round

    def _tells(self, peer: int, round: int) -> bool:
        """Whether I am to tell that peer something in that round."""
        links = self.topology(round)
        told = (links.receivers == self._peers.index(peer)) & (links.senders == self._me)
        return bool((told if links.arrives is None else told & links.arrives).any())

    def rounds(self, run: Run) -> Iterator[Run]:
        while True:
            run = self.step(run)
            yield run

    def disagreement(self, run: Run) -> Tensor:
        assert run.replicas is not None
        replicas = run.replicas[:, : run.state.x.shape[1]]
        own, heard = replicas[:1], replicas[1:]
        if self._edges and self._edges.places is not None:
            heard = replicas[self._edges.places[1:]]
        if not len(heard):
            return own.new_zeros(1)
        return relative_distance(heard, own.expand_as(heard)).amax(0, keepdim=True)

    def settled(self, converged: Tensor, over: bool = False) -> bool:
        self._lookback.note(self._round)
        around = self.exchange.around
        self._quorum.deepen(around.depth)
        around.over |= over
        converged_here = (around.over or bool(converged)) and around.whole(self.exchange.now, self._absent)
        reached = self._quorum.settled(converged_here) and self._lookback.reached(len(self.exchange.names))
        return reached or around.settled

    def _exchange(
        self, links: Links, round: int, k: int, x: Tensor, replicas: Tensor | None, blocks: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """The mixed row and the new replicas (1 + e, D): what my neighbours hold of me, and what I hold of them."""
        channel, edges = self.mixing.channel, self._along(links, x)
        if replicas is None or len(replicas) != 1 + len(edges.sources):
            nothing = x.new_zeros(1 + len(edges.sources), x.shape[1])
            replicas = torch.cat((channel.init(x) if replicas is None else replicas[:1], nothing[1:]))
        if not math.isfinite(x.sum()):
            return x, replicas  # diverged: the loop sees it, and nobody else is infected
        payload = channel.send(x, replicas[:1], round, blocks)
        data = to_bytes(payload)
        tick = self._start + round * self.mixing.exchanges + k
        messages = self.exchange.swap(tick, edges.to, edges.awaited, data, self._quorum.speak(), edges.lost)
        if self._agreed is not None and self._opened != self.exchange.around.opened:
            self._opened, self._agreed = self.exchange.around.opened, self.exchange.around.weights
            edges.renew(links, x.dtype, self._agreed)
        heard = self._heard(edges, messages)
        numbers = from_bytes([data, *(message.payload for message in heard)], payload)
        after = self._receive(edges, numbers, replicas, round, blocks)
        own = x if payload[0] is x else after[:1]  # the very same, where nothing was changed on the way
        mixed = self.mixing.combine(x, own, Heard(edges, after), k)
        if not math.isfinite(mixed.sum()) and math.isfinite(after[:1].sum()):
            self._accuse(edges, after)
        if self._ledger:
            self._blocks = blocks
            if (news := self._ledger.news()) is not None:
                self._back = plus(self._back, news)
                self._quorum.hear(
                    b""
                )  # my model is about to move: that all were converged before does not count
            self._ledger.add(tick, edges.awaited, edges.pulled(after, self.mixing.part(k)))
        else:
            self.exchange.around.unread()
        return mixed, after

    def _heard(self, edges: Edges, messages: Sequence[Message | None]) -> list[Message]:
        """The messages that were heard and are of use; the edges know from here on which."""
        heard = [message for message in messages if message is not None]
        for message in heard:
            self._quorum.hear(message.header.converged)
        if len(heard) < len(messages):
            watches = self.exchange.around.watches
            for peer, came in zip(edges.awaited, messages, strict=True):
                if came is None and not (watches[peer].absent or watches[peer].left):
                    self._quorum.hear(b"")
            edges.limit({message.header.sender for message in heard})
        return heard

    def _receive(
        self, edges: Edges, payload: Payload, replicas: Tensor, round: int, blocks: Sequence[int]
    ) -> Tensor:
        """The new replicas: mine, and those of the neighbours whose messages arrived; the others stay as they were."""
        places = edges.places
        before = replicas if places is None else replicas[places]
        try:
            new = self.mixing.channel.receive(payload, before, round, blocks)
        except BadMessage as error:
            names = ", ".join(self.exchange.names[peer] for peer in edges.awaited)
            raise NetworkError(f"one of {names} sent numbers that make no sense: {error}") from error
        return new if places is None else replicas.index_copy(0, places, new)

    def _accuse(self, edges: Edges, replicas: Tensor) -> NoReturn:
        finite = replicas[1:].isfinite().all(1).tolist()
        guilty = [peer for peer, fine in zip(edges.sources, finite, strict=True) if not fine]
        names = ", ".join(self.exchange.names[peer] for peer in guilty)
        raise NetworkError(f"{names} sent numbers that are not finite: see its own log")

    def _along(self, links: Links, like: Tensor) -> Edges:
        """My edges among these links, kept while the links stay the same."""
        if links is not self._links or self._edges is None or self._edges.limited:
            last = self._links
            if self._edges and last and links.receivers is last.receivers and links.senders is last.senders:
                self._edges.renew(links, like.dtype, self._agreed)
            else:
                self._edges = Edges(links, self._peers, self._me, like.dtype, self._agreed)
            self._links = links
        return self._edges
