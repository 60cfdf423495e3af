"""The engine that holds all peers at once; must not know any transport.

All N peers are the rows of one tensor, and `mix` is one sparse product over them.
"""

import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cached_property, partial

import torch
from torch import Tensor

from gossipfl.algorithms import Algorithm
from gossipfl.engine import Lookback, Run, carry_out, relative_distance
from gossipfl.mixing import Mixing
from gossipfl.models import Problem
from gossipfl.topology import Links, Topology

CYCLE = 64  # rounds of a periodic topology whose matrices are kept


class Heard:
    """One round's messages to all rows (a `Received`): what was sent, seen along the links."""

    def __init__(self, links: Links, like: Tensor) -> None:
        self._links = links._replace(weights=links.weights.to(like.dtype))
        self._links = Links(*(None if t is None else t.to(like.device) for t in self._links))  # type: ignore[arg-type]
        arrived = slice(None) if self._links.arrives is None else self._links.arrives
        self.rows, self.senders = self._links.receivers[arrived], self._links.senders[arrived]
        self._weights = self._links.weights[arrived]
        self.own = like
        self.held: Tensor | None = None  # (e, d): where messages get lost, the last that came along each link

    def average(self, own: Tensor) -> Tensor:
        return self._averaging @ own

    def push(self, own: Tensor) -> Tensor:
        if self.held is None:
            return self._pushing @ own
        kept = self._less(self._links.senders, self._links.weights)
        return (kept[:, None] * own).index_add_(
            0, self._links.receivers, self._links.weights[:, None] * self.held
        )

    def pull(self, own: Tensor) -> Tensor:
        return self._pulling @ own

    def stack(self) -> tuple[Tensor, Tensor]:
        return self.own[self.senders], self.rows

    @cached_property
    def _averaging(self) -> Tensor:
        return self._matrix(self._weights, self._less(self.rows, self._weights))

    @cached_property
    def _pushing(self) -> Tensor:
        return self._matrix(self._weights, self._less(self._links.senders, self._links.weights))

    @cached_property
    def _pulling(self) -> Tensor:
        share = 1 / self.own.new_ones(len(self.own)).index_add_(0, self.rows, torch.ones_like(self._weights))
        return self._matrix(share[self.rows], share)

    def _less(self, rows: Tensor, weights: Tensor) -> Tensor:
        """1 less the weights, summed by these rows."""
        return self.own.new_ones(len(self.own)).index_add_(0, rows, -weights)

    def _matrix(self, weights: Tensor, diagonal: Tensor) -> Tensor:
        peers = len(diagonal)
        each = torch.arange(peers, device=diagonal.device)
        places = torch.stack((torch.cat((self.rows, each)), torch.cat((self.senders, each))))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse", category=UserWarning)
            entries = torch.sparse_coo_tensor(places, torch.cat((weights, diagonal)), (peers, peers))
            return entries.to_sparse_csr()


class Simulator:
    """All peers in one process, as rows of one tensor (an `Engine`).

    Args:
        algorithm: what a round is.
        problem: the peers' objectives, row i being peer i's; None for consensus, which learns nothing.
        topology: round -> links.
        mixing: how rows cross edges and what is made of them.
        diameter: rounds with links that a word takes to reach everybody; `settled` looks that far back.
        changing: the topology changes, so that whether a word has reached everybody is to be checked.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        problem: Problem | None,
        topology: Topology,
        mixing: Mixing = Mixing(),
        diameter: int = 0,
        changing: bool = False,
    ) -> None:
        self.algorithm, self.problem, self.topology, self.mixing = algorithm, problem, topology, mixing
        self.messages_sent = self.bytes_sent = 0
        self._links: Links | None = None
        self._known: deque[tuple[Links, Heard]] = deque(maxlen=CYCLE)
        self._calm: deque[bool] = deque(maxlen=diameter + 1)
        self._lookback, self._round = Lookback(topology, diameter, changing), 0

    def init(self, x: Tensor) -> Run:
        return Run(0, self.algorithm.init(x), None)

    def step(self, run: Run) -> Run:
        links = self.topology(run.round)
        grad = self.problem.grad(run.round) if self.problem else torch.zeros_like
        self._round = run.round
        exchange = partial(self._exchange, links, run.round)
        return carry_out(self.algorithm, grad, links, run, self.mixing, exchange)

    def rounds(self, run: Run) -> Iterator[Run]:
        while True:
            run = self.step(run)
            yield run

    def disagreement(self, run: Run) -> Tensor:
        own: Tensor = run.replicas[: len(run.state.x), : run.state.x.shape[1]]
        heard = self._along(self._links or self.topology(run.round - 1), own)
        distance = relative_distance(own[heard.senders], own[heard.rows])
        return own.new_zeros(len(own)).scatter_reduce(0, heard.rows, distance, "amax")

    def settled(self, calm: Tensor, over: bool = False) -> bool:
        self._calm.append(over or bool(calm.all()))
        self._lookback.note(self._round)
        return len(self._calm) == self._calm.maxlen and self._calm[0] and self._lookback.reached(len(calm))

    def _exchange(
        self, links: Links, round: int, k: int, x: Tensor, replicas: Tensor | None, lanes: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """The mixed rows and the new replicas: of all rows, then, where messages get lost, what each link's end holds."""
        channel, peers = self.mixing.channel, len(x)
        before = channel.init(x) if replicas is None else replicas[:peers]
        payload = channel.send(x, before, round, lanes)
        after = channel.receive(payload, before, round, lanes)
        self.messages_sent += len(links.receivers)
        self.bytes_sent += len(links.receivers) * sum(t[0].numel() * t.element_size() for t in payload)
        heard = self._along(links, after)
        if links.arrives is None:
            return self.mixing.combine(x, after, heard, k), after
        held = self._hold(links, round, payload, None if replicas is None else replicas[peers:], lanes)
        heard.held = held
        return self.mixing.combine(x, after, heard, k), torch.cat((after, held))

    def _hold(
        self, links: Links, round: int, payload: tuple[Tensor, ...], held: Tensor | None, lanes: Sequence[int]
    ) -> Tensor:
        """What the end of each link holds of its beginning: what arrives now, or else what arrived last."""
        assert links.arrives is not None
        sent = tuple(t[links.senders] for t in payload)
        if held is None or len(held) != len(links.senders):
            held = torch.zeros(
                len(links.senders), sum(lanes), dtype=payload[0].dtype, device=payload[0].device
            )
        got = self.mixing.channel.receive(sent, held, round, lanes)
        return torch.where(links.arrives.to(got.device)[:, None], got, held)

    def _along(self, links: Links, replicas: Tensor) -> Heard:
        """The replicas as heard along these links. What depends on links alone is kept while they come again."""
        heard = next((known for of, known in self._known if of is links), None)
        if heard is None or heard.own.dtype != replicas.dtype:
            heard = Heard(links, replicas)
            if links.arrives is None:
                self._known.append((links, heard))
        self._links, heard.own = links, replicas
        return heard
