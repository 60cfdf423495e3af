"""The engine that holds all peers at once; must not know any transport.

All N peers are the rows of one tensor, and `mix` is one sparse product over them.
"""

import warnings
from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

from gossipfl.algorithms import Algorithm
from gossipfl.engine import Run, carry_out, relative_distance
from gossipfl.mixing import Mixing
from gossipfl.models import Problem
from gossipfl.topology import Links, Topology


class Heard:
    """One round's messages to all rows (a `Received`): what was sent, seen along the links."""

    def __init__(self, links: Links, like: Tensor) -> None:
        peers, device = len(like), like.device
        self.rows, self.senders = links.receivers.to(device), links.senders.to(device)
        each = torch.arange(peers, device=device)
        weights = links.weights.to(device)
        kept = torch.ones(peers, dtype=weights.dtype, device=device).index_add_(0, self.rows, -weights)
        places = torch.stack((torch.cat((self.rows, each)), torch.cat((self.senders, each))))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse", category=UserWarning)
            entries = torch.sparse_coo_tensor(
                places, torch.cat((weights, kept)).to(like.dtype), (peers, peers)
            )
            self._matrix = entries.to_sparse_csr()  # W, with its diagonal
        self.replicas = like

    def average(self, own: Tensor) -> Tensor:
        return self._matrix @ own

    def stack(self) -> tuple[Tensor, Tensor]:
        return self.replicas[self.senders], self.rows


class Simulator:
    """All peers in one process, as rows of one tensor (an `Engine`).

    Args:
        algorithm: what a round is.
        problem: the peers' objectives, row i being peer i's; None for consensus, which learns nothing.
        topology: round -> links.
        mixing: how rows cross edges and what is made of them.
        diameter: rounds that a word takes to reach everybody; `settled` looks that far back.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        problem: Problem | None,
        topology: Topology,
        mixing: Mixing = Mixing(),
        diameter: int = 0,
    ) -> None:
        self.algorithm, self.problem, self.topology, self.mixing = algorithm, problem, topology, mixing
        self.messages_sent = self.bytes_sent = 0
        self._links: Links | None = None
        self._heard: Heard | None = None
        self._calm: deque[bool] = deque(maxlen=diameter + 1)

    def init(self, x: Tensor) -> Run:
        return Run(0, self.algorithm.init(x), None)

    def step(self, run: Run) -> Run:
        links = self.topology(run.round)
        grad = self.problem.grad(run.round) if self.problem else torch.zeros_like
        return carry_out(
            self.algorithm, grad, links, run, lambda x, r: self._exchange(links, x, r, run.round)
        )

    def rounds(self, run: Run) -> Iterator[Run]:
        while True:
            run = self.step(run)
            yield run

    def disagreement(self, run: Run) -> Tensor:
        own: Tensor = run.replicas[:, : run.state.x.shape[1]]
        heard = self._along(self._links or self.topology(run.round - 1), own)
        distance = relative_distance(own[heard.senders], own[heard.rows])
        return own.new_zeros(len(own)).scatter_reduce(0, heard.rows, distance, "amax")

    def settled(self, calm: Tensor) -> bool:
        self._calm.append(bool(calm.all()))
        return len(self._calm) == self._calm.maxlen and self._calm[0]

    def _exchange(
        self, links: Links, x: Tensor, replicas: Tensor | None, round: int
    ) -> tuple[Tensor, Tensor]:
        """The mixed rows and the new replicas."""
        channel = self.mixing.channel
        before = channel.init(x) if replicas is None else replicas
        payload = channel.send(x, before, round)
        after = channel.receive(payload, before)
        self.messages_sent += len(links.receivers)
        self.bytes_sent += len(links.receivers) * payload.element_size() * payload[0].numel()
        return self.mixing.combine(x, after, self._along(links, after)), after

    def _along(self, links: Links, replicas: Tensor) -> Heard:
        """The replicas as heard along these links. What depends on links alone is kept while they stay the same."""
        heard = self._heard
        if heard is None or links is not self._links or heard.replicas.dtype != replicas.dtype:
            heard = self._heard = Heard(links, replicas)
            self._links = links
        heard.replicas = replicas
        return heard
