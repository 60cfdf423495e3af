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

from gossipfl.algorithms import Algorithm
from gossipfl.engine import Lookback, Run, carry_out, relative_distance
from gossipfl.errors import BadMessage, NetworkError
from gossipfl.mixing import Mixing, Payload
from gossipfl.models import Problem
from gossipfl.peer.exchange import Exchange
from gossipfl.peer.payload import from_bytes, to_bytes
from gossipfl.peer.quorum import Quorum
from gossipfl.topology import Links, Topology


class Edges:
    """My edges in one round: e lead to me, from `sources`. A message on one that is lost is neither sent nor awaited."""

    def __init__(self, links: Links, me: int, dtype: torch.dtype) -> None:
        self._mine, self._given = links.receivers == me, links.senders == me
        self.sources: list[int] = links.senders[self._mine].tolist()
        self._targets = links.receivers[self._given]
        self.renew(links, dtype)

    def renew(self, links: Links, dtype: torch.dtype) -> None:
        """Take over the weights and losses of other links along the same edges."""
        weights, given = links.weights[self._mine], links.weights[self._given].sum()
        self.awaited, self.to, self.lost = self.sources, self._targets.tolist(), 0
        self.places: Tensor | None = None  # the rows of the replicas that change: none named means all
        shown = torch.ones_like(weights)
        if links.arrives is not None:
            arrives, taken = links.arrives[self._mine], links.arrives[self._given]
            self.places = torch.cat((torch.tensor([True]), arrives)).nonzero().flatten()
            self.awaited = [self.sources[place - 1] for place in self.places[1:].tolist()]
            self.to = self._targets[taken].tolist()
            self.lost = len(self._targets) - len(self.to)
            shown = arrives.to(weights)
        heard = weights * shown
        share = 1 / (1 + shown.sum())
        self.averaging = _row(1.0 - heard.sum(), heard, dtype)
        self.pushing = _row(1.0 - given, weights, dtype)
        self.pulling = _row(share, share * shown, dtype)


def _row(own: Tensor, others: Tensor, dtype: torch.dtype) -> Tensor:
    """A row of a mixing matrix, (1, 1 + e), my own weight first."""
    return torch.cat((own[None], others))[None, :].to(dtype)


class Heard:
    """One round's messages to my row (a `Received`): replicas (1 + e, D), my own first, lost ones as they were before."""

    def __init__(self, edges: Edges, replicas: Tensor) -> None:
        self._edges, self._replicas = edges, replicas

    def average(self, own: Tensor) -> Tensor:
        return self._edges.averaging @ self._replicas

    def push(self, own: Tensor) -> Tensor:
        return self._edges.pushing @ self._replicas

    def pull(self, own: Tensor) -> Tensor:
        return self._edges.pulling @ self._replicas

    def stack(self) -> tuple[Tensor, Tensor]:
        places = self._edges.places
        heard = self._replicas[1:] if places is None else self._replicas[places[1:]]
        return heard, torch.zeros(len(heard), dtype=torch.int64)


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
        self.exchange.tick = self._start + after.round * self.mixing.exchanges
        return after

    def rounds(self, run: Run) -> Iterator[Run]:
        while True:
            run = self.step(run)
            yield run

    def disagreement(self, run: Run) -> Tensor:
        replicas: Tensor = run.replicas[:, : run.state.x.shape[1]]
        own, heard = replicas[:1], replicas[1:]
        if not len(heard):
            return own.new_zeros(1)
        return relative_distance(heard, own.expand_as(heard)).amax(0, keepdim=True)

    def settled(self, calm: Tensor) -> bool:
        self._lookback.note(self._round)
        return self._quorum.settled(bool(calm)) and self._lookback.reached(len(self.exchange.names))

    def _exchange(
        self, links: Links, round: int, k: int, x: Tensor, replicas: Tensor | None, lanes: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """The mixed row and the new replicas (1 + e, D): what my neighbours hold of me, and what I hold of them."""
        channel, edges = self.mixing.channel, self._along(links, x)
        if replicas is None or len(replicas) != 1 + len(edges.sources):
            nothing = x.new_zeros(1 + len(edges.sources), x.shape[1])
            replicas = torch.cat((channel.init(x) if replicas is None else replicas[:1], nothing[1:]))
        if not math.isfinite(x.sum()):
            return x, replicas  # diverged: the loop sees it, and nobody else is infected
        payload = channel.send(x, replicas[:1], round, lanes)
        data = to_bytes(payload)
        tick = self._start + round * self.mixing.exchanges + k
        messages = self.exchange.swap(tick, edges.to, edges.awaited, data, self._quorum.speak(), edges.lost)
        for message in messages:
            self._quorum.hear(message.header.calm)
        heard = from_bytes([data, *(message.payload for message in messages)], payload)
        after = self._receive(edges, heard, replicas, round, lanes)
        own = x if payload[0] is x else after[:1]  # the very same, where nothing was changed on the way
        mixed = self.mixing.combine(x, own, Heard(edges, after), k)
        if not math.isfinite(mixed.sum()) and math.isfinite(after[:1].sum()):
            self._accuse(edges, after)
        return mixed, after

    def _receive(
        self, edges: Edges, payload: Payload, replicas: Tensor, round: int, lanes: Sequence[int]
    ) -> Tensor:
        """The new replicas: mine, and those of the neighbours whose messages arrived; the others stay as they were."""
        places = edges.places
        before = replicas if places is None else replicas[places]
        try:
            new = self.mixing.channel.receive(payload, before, round, lanes)
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
        if links is not self._links or self._edges is None:
            last = self._links
            if self._edges and last and links.receivers is last.receivers and links.senders is last.senders:
                self._edges.renew(links, like.dtype)
            else:
                self._edges = Edges(links, self.exchange.me, like.dtype)
            self._links = links
        return self._edges
