"""What both engines promise and share; must not know either of them."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from gossipfl.algorithms import Algorithm, State
from gossipfl.models import Grad
from gossipfl.topology import Links, Topology


class Run(NamedTuple):
    """All there is of a learning run; saving it is the checkpoint.

    `replicas` are what the neighbours held of each row, and what was heard of them, after the last exchange, in the
    engine's own form; None before the first.
    """

    round: int
    state: State
    replicas: Any


class Engine(Protocol):
    """A way to carry out rounds over the n peers held here."""

    @property
    def messages_sent(self) -> int: ...
    @property
    def bytes_sent(self) -> int: ...

    def init(self, x: Tensor) -> Run:
        """The run before round 0, all peers starting from x (n, d)."""

    def step(self, run: Run) -> Run:
        """One round further. Pure but for the exchange."""

    def rounds(self, run: Run) -> Iterator[Run]:
        """The runs after each further round, without end."""

    def disagreement(self, run: Run) -> Tensor:
        """max_j |r_j - r_i| / |r_i| over the neighbours j heard in the last exchange, (n,).

        Of a method that sends several tensors, the first counts: it stands for the parameters.
        """

    def settled(self, calm: Tensor) -> bool:
        """Whether every peer was calm `diameter` exchanges ago, given which of the rows here (n,) are calm now.

        Every peer gives the same answer in the same round. To be asked once after each exchange.
        """


def carry_out(
    algorithm: Algorithm,
    grad: Grad,
    links: Links,
    run: Run,
    exchange: Callable[[Tensor, Any, Sequence[int]], tuple[Tensor, Any]],
) -> Run:
    """One round of `algorithm`, whose `mix` is the engine's `exchange`: (rows, replicas, lanes) -> (mixed rows, replicas).

    Several tensors travel side by side in one exchange, `lanes` being their widths; a round without links keeps what it
    has.

    Raises:
        RuntimeError: the algorithm mixed not exactly once.
    """
    replicas, exchanges = run.replicas, 0

    def mix(*tensors: Tensor) -> Any:
        nonlocal replicas, exchanges
        exchanges += 1
        if exchanges > 1 or not len(links.receivers):
            return tensors if len(tensors) > 1 else tensors[0]
        if len(tensors) == 1:
            mixed, replicas = exchange(tensors[0], replicas, (tensors[0].shape[1],))
            return mixed
        lanes = [t.shape[1] for t in tensors]
        mixed, replicas = exchange(torch.cat(tensors, 1), replicas, lanes)
        return torch.split(mixed, lanes, 1)

    state = algorithm.round(run.state, grad, mix)
    if exchanges != 1:
        raise RuntimeError(f"{algorithm} mixed {exchanges} times in one round: a round mixes exactly once")
    return Run(run.round + 1, state, replicas)


class Lookback:
    """The last `diameter` + 1 exchanges: whether a word of the first of them has reached everybody by the last.

    On links that never change it has; on others that is looked up, and every peer finds the same.
    """

    def __init__(self, topology: Topology, diameter: int, changing: bool) -> None:
        self._topology, self._changing = topology, changing
        self._rounds: deque[int] = deque(maxlen=diameter + 1)

    def note(self, round: int) -> None:
        """An exchange has taken place in that round."""
        self._rounds.append(round)

    def reached(self, peers: int) -> bool:
        if not self._changing:
            return True
        from gossipfl.topology.reach import spreads

        first, last = self._rounds[0], self._rounds[-1]
        return spreads(self._topology, peers, first + 1, last - first)


def relative_distance(x: Tensor, y: Tensor) -> Tensor:
    """|x - y| / |y| by rows, (n,) from (n, d): 0 where they are equal, inf where only y is 0."""
    gap = torch.linalg.vector_norm(x - y, dim=1)
    return torch.where(gap == 0, 0.0, gap / torch.linalg.vector_norm(y, dim=1))
