"""The engine that holds one peer; must not know sockets, files or the other engine.

`mix` is: send to my neighbours, listen until all of them were heard, combine. No thread, lock or event loop of its own:
the transport buffers while we compute.
"""

import math
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gossipfl.algorithms import Algorithm
from gossipfl.engine import Run, carry_out, relative_distance
from gossipfl.errors import NetworkError
from gossipfl.mixing import Mixing
from gossipfl.models import Problem
from gossipfl.peer.exchange import Exchange
from gossipfl.peer.inbox import Message
from gossipfl.peer.quorum import Quorum
from gossipfl.topology import Links, Topology


class Edges:
    """My edges in one round: whom I send to, whom I await, and my row of W, (1, 1 + e), my own weight first."""

    def __init__(self, links: Links, me: int, dtype: torch.dtype) -> None:
        self._mine = (links.receivers == me).nonzero().flatten()
        self.awaited: list[int] = links.senders[self._mine].tolist()
        self.to: list[int] = links.receivers[links.senders == me].tolist()
        self.weigh(links, dtype)

    def weigh(self, links: Links, dtype: torch.dtype) -> None:
        """Take over the weights of other links along the same edges."""
        weights = links.weights[self._mine]
        self.weights = torch.cat((1.0 - weights.sum(0, keepdim=True), weights))[None, :].to(dtype)


class Heard:
    """One round's messages to my row (a `Received`), with my own replica: weights (1, 1 + e), replicas (1 + e, D)."""

    def __init__(self, weights: Tensor, replicas: Tensor) -> None:
        self._weights, self._replicas = weights, replicas

    def average(self, own: Tensor) -> Tensor:
        return self._weights @ self._replicas

    def stack(self) -> tuple[Tensor, Tensor]:
        heard = self._replicas[1:]
        return heard, torch.zeros(len(heard), dtype=torch.int64)


class Peer:
    """One peer, talking to its neighbours (an `Engine` with n = 1).

    Args:
        exchange: my end of all my edges; several engines may use it one after the other.
        algorithm, problem, topology, mixing, diameter: as for the simulator; `problem` holds my row alone.
    """

    def __init__(
        self,
        exchange: Exchange,
        algorithm: Algorithm,
        problem: Problem | None,
        topology: Topology,
        mixing: Mixing = Mixing(),
        diameter: int = 0,
    ) -> None:
        self.exchange = exchange
        self.algorithm, self.problem, self.topology, self.mixing = algorithm, problem, topology, mixing
        self._start = exchange.tick
        self._before = exchange.messages_sent, exchange.bytes_sent
        self._links: Links | None = None
        self._edges: Edges | None = None
        self._quorum = Quorum(diameter)

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
        after = carry_out(
            self.algorithm, grad, links, run, lambda x, r: self._exchange(links, x, r, run.round)
        )
        self.exchange.tick = self._start + after.round
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
        return self._quorum.settled(bool(calm))

    def _exchange(
        self, links: Links, x: Tensor, replicas: Tensor | None, round: int
    ) -> tuple[Tensor, Tensor]:
        """The mixed row and the new replicas (1 + e, D): what my neighbours hold of me, and what I hold of them."""
        channel, edges = self.mixing.channel, self._along(links, x)
        before = channel.init(x) if replicas is None else replicas[:1]
        payload = channel.send(x, before, round)
        if not math.isfinite(payload.sum()):
            return payload, payload  # diverged: the loop sees it, and nobody else is infected
        numbers, own = payload.numpy(), channel.receive(payload, before)
        messages = self.exchange.swap(
            self._start + round, edges.to, edges.awaited, numbers.tobytes(), self._quorum.speak()
        )
        rows = np.empty((1 + len(messages), numbers.shape[1]), numbers.dtype)
        rows[0] = own.numpy()
        for i, message in enumerate(messages, 1):
            rows[i] = np.frombuffer(message.payload, numbers.dtype)
            self._quorum.hear(message.header.calm)
        after = torch.from_numpy(rows)
        mixed = self.mixing.combine(x, own, Heard(edges.weights, after))
        if not math.isfinite(mixed.sum()):
            self._accuse(messages, rows[1:])
        return mixed, after

    def _accuse(self, messages: list[Message], heard: npt.NDArray[Any]) -> NoReturn:
        guilty = [
            m.header.sender for m, row in zip(messages, heard, strict=True) if not np.isfinite(row).all()
        ]
        names = ", ".join(self.exchange.names[peer] for peer in guilty)
        raise NetworkError(f"{names} sent numbers that are not finite: see its own log")

    def _along(self, links: Links, like: Tensor) -> Edges:
        """My edges among these links, kept while the links stay the same."""
        if links is not self._links or self._edges is None:
            last = self._links
            if self._edges and last and links.receivers is last.receivers and links.senders is last.senders:
                self._edges.weigh(links, like.dtype)
            else:
                self._edges = Edges(links, self.exchange.me, like.dtype)
            self._links = links
        return self._edges
