"""What both engines promise and share; must not know either of them."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gossipfl.algorithms import Algorithm, Record, State, leaves, mixer, rebuilt
from gossipfl.mixing import Mixing
from gossipfl.models import Grad
from gossipfl.topology import Links, Topology


class Run(NamedTuple):
    """All there is of a learning run; saving it is the checkpoint.

    `replicas` are what the neighbours held of each row, and what was heard of them, after the last round's (first)
    exchange, in the engine's own form; None before there was one. `edges` is what the engine remembers of its edges, where
    messages may get lost or peers be away.
    """

    round: int
    state: State
    replicas: Tensor | None
    edges: Record | None = None


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
        """max_j |r_j - r_i| / |r_i| over the neighbours j heard in the last round with links, (n,).

        Of a method that sends several tensors, the first counts: it stands for the parameters.
        """

    def settled(self, converged: Tensor, over: bool = False) -> bool:
        """Whether every peer had converged `diameter` rounds with links ago; `converged` (n,) is how the rows here are now.

        Every peer gives the same answer in the same round. To be asked once after each round with links. `over`: the time is
        up; where it is for one peer, it is for all, and whoever has heard of it is converged.
        """


def carry_out(
    algorithm: Algorithm,
    grad: Grad,
    links: Links,
    run: Run,
    mixing: Mixing,
    exchange: Callable[[int, Tensor, Tensor | None, Sequence[int]], tuple[Tensor, Tensor]],
) -> Run:
    """One round of `algorithm`, whose `mix` is the engine's `exchange`: (k, rows, replicas, blocks) -> (mixed rows, replicas).

    Several tensors travel side by side in one exchange, `blocks` being their widths; a round without links keeps what it
    has. k counts the round's exchanges, as many as `mixing` says.

    Raises:
        RuntimeError: the algorithm mixed not exactly once.
    """
    replicas, times = run.replicas, 0

    def mix(tensors: tuple[Tensor, ...]) -> Sequence[Tensor]:
        nonlocal replicas, times
        times += 1
        if times > 1 or not len(links.receivers):
            return tensors
        blocks = [t.shape[1] for t in tensors]
        sent = tensors[0] if len(tensors) == 1 else torch.cat(tensors, 1)
        mixed, replicas = exchange(0, sent, replicas, blocks)
        for k in range(1, mixing.exchanges):
            mixed, _ = exchange(k, mixed, replicas, blocks)
        mixed = mixing.conclude(sent, mixed)
        return [mixed] if len(tensors) == 1 else torch.split(mixed, blocks, 1)

    state = algorithm.round(run.state, grad, mixer(mix))
    if times != 1:
        raise RuntimeError(f"{algorithm} mixed {times} times in one round: a round mixes exactly once")
    return Run(run.round + 1, state, replicas, run.edges)


def give_back(algorithm: Algorithm, state: State, pulled: Tensor, blocks: Sequence[int]) -> State:
    """The state without what some edges have pulled: field' = field - factor * pulled[:, block], for each of its accounts.

    An exchange adds factor * sum_j w_ij (r_j - r_i) to such a field at peer i. Summed over all peers the terms of an edge
    cancel, as long as both ends have them; a term that one end alone has (of a message that the other never got, of a
    neighbour that is gone) has to leave it again, or the peers settle elsewhere than at the optimum of their data.

    Args:
        algorithm: whose state it is.
        state: of the n peers held here.
        pulled: (n, D), the sum of such terms w_ij (r_j - r_i), of all tensors sent side by side.
        blocks: the widths of these tensors, which sum to D.
    """
    fields = leaves(state)
    parts = torch.split(pulled, list(blocks), 1)
    for name, account in algorithm.accounts.items():
        fields[name] = fields[name] - account.factor * parts[account.block]
    return rebuilt(fields, state)


class Lookback:
    """The last `diameter` + 1 rounds with links: whether a word of the first of them has reached everybody by the last.

    On links that never change it has; on others that is looked up, and every peer finds the same.
    """

    def __init__(self, topology: Topology, diameter: int, changing: bool) -> None:
        self._topology, self._changing = topology, changing
        self._rounds: deque[int] = deque(maxlen=diameter + 1)

    def note(self, round: int) -> None:
        """There were links in that round."""
        self._rounds.append(round)

    def deepen(self, diameter: int) -> None:
        """Look so many rounds back from here on: where peers are missing, ways are longer."""
        self._rounds = deque(self._rounds, diameter + 1)

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
