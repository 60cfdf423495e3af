"""What both engines promise and share; must not know either engine."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from gossipfl.algorithms import Algorithm, Record, State, leaves, rebuilt
from gossipfl.mixing import Mixing
from gossipfl.models import Grad
from gossipfl.tensors import Tensor, torch
from gossipfl.topology import Links, Topology


class Turn(NamedTuple):
    """What a `Fallback` remembers: which of its two methods is in use, and what happened in the current cycle."""

    cycle: int = -1  # the number of the cycle for which a method was chosen; -1 before the first choice
    robust: bool = False  # the robust method is in use
    apart: bool = False  # the models differed when the cycle began
    unmoved: int = 0  # before this round the models have not moved, because a cycle was discarded
    voids: int = 0  # cycles in a row that had a fault, and after which the fast method went on


class Run(NamedTuple):
    """The whole state of a learning run. Saving it makes a checkpoint.

    `replicas` holds what the neighbours hold of each row, and what was heard from them, in the engine's own form. It is
    from the first exchange of the round `linked`, the last one with links; None and -1 before there was one. `edges` is
    what the engine remembers of its edges, where messages may be lost or peers may be away. `turn` is what a `Fallback`
    remembers. `finite` is set where the engine knows that all numbers of the model are finite.
    """

    round: int
    state: State
    replicas: Any
    edges: Record | None = None
    linked: int = -1
    turn: Turn | None = None
    finite: bool = False


class Engine(Protocol):
    """A way to carry out rounds over the n peers held here.

    All results follow from the run, so one simulator can step several runs in any order. There are three exceptions:
    the counters add up over all runs; `settled` remembers earlier answers; and a live peer has its exchange with its
    neighbours, and answers `disagreement` for its latest run only.
    """

    @property
    def messages_sent(self) -> int: ...
    @property
    def bytes_sent(self) -> int: ...

    @property
    def over(self) -> bool:
        """Whether a live peer has heard that the time is up for another one."""

    def init(self, x: Tensor) -> Run:
        """The run before round 0. All peers start from x (n, d)."""

    def step(self, run: Run) -> Run:
        """The run after one more round. Only the exchange has side effects."""

    def rounds(self, run: Run) -> Iterator[Run]:
        """The runs after each further round. It never ends."""

    def disagreement(self, run: Run) -> Tensor:
        """max_j |m_j - m_i| / |m_i| over the neighbours j heard in the last round with links, (n,).

        m are the models that the replicas stand for (`algorithms.models`). The run must have replicas.
        """

    def unsettle(self) -> bool:
        """Forget that all peers had converged, so that they go on; False if a neighbour has ended, and cannot go on."""

    def settled(self, converged: Tensor, over: bool = False) -> bool:
        """Whether every peer had converged `diameter` rounds with links ago.

        Call it once after each round with links: the engine remembers the answers about its latest round. Every peer
        gives the same result in the same round.

        Args:
            converged: (n,) bool, whether each row held here has converged now.
            over: the time is up. When it is up for one peer it is up for all; a peer that hears of it counts as converged.
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

    Several tensors travel side by side in one exchange; `blocks` are their widths. A round without links returns the tensors
    unchanged. k counts the exchanges of the round; `mixing` sets how many there are.

    Raises:
        RuntimeError: the algorithm did not mix exactly once.
    """
    replicas, times, linked = run.replicas, 0, len(links.receivers) > 0

    def mix(x: Tensor, *more: Tensor) -> Any:
        nonlocal replicas, times
        times += 1
        if times > 1 or not linked:
            return (x, *more) if more else x
        blocks = [x.shape[1], *(t.shape[1] for t in more)]
        sent = torch.cat((x, *more), 1) if more else x
        mixed, replicas = exchange(0, sent, replicas, blocks)
        for k in range(1, mixing.exchanges):
            mixed, _ = exchange(k, mixed, replicas, blocks)
        mixed = mixing.conclude(sent, mixed)
        return torch.split(mixed, blocks, 1) if more else mixed

    state = algorithm.round(run.state, grad, mix)
    once(algorithm, times)
    return Run(run.round + 1, state, replicas, run.edges, run.round if linked else run.linked, run.turn)


def once(algorithm: Algorithm, times: int) -> None:
    """Check how often an algorithm mixed in a round. Raises RuntimeError if that is not once."""
    if times != 1:
        raise RuntimeError(f"{algorithm} mixed {times} times in one round: a round mixes exactly once")


def give_back(algorithm: Algorithm, state: State, pulled: Tensor, blocks: Sequence[int]) -> State:
    """The state without what some edges have pulled: field' = field - factor * pulled[:, block], for each account.

    An exchange adds factor * sum_j w_ij (r_j - r_i) to such a field at peer i. Over all peers the two terms of an edge cancel
    if both ends have them. If only one end has a term (the other end missed the message, or the neighbour is gone), the term
    must be removed. Otherwise the peers do not settle at the optimum of their data.

    Args:
        algorithm: the algorithm of the state.
        state: the state of the n peers held here.
        pulled: (n, D), the sum of the terms w_ij (r_j - r_i) to remove, for all tensors side by side.
        blocks: the widths of these tensors; they sum to D.
    """
    fields = leaves(state)
    parts = torch.split(pulled, list(blocks), 1)
    for name, account in algorithm.accounts.items():
        fields[name] = fields[name] - account.factor * parts[account.block]
    return rebuilt(fields, state)


class Lookback:
    """The last `diameter` + 1 rounds with links. Did news from the first of them reach every peer by the last?

    If the links never change, yes. Otherwise it is computed from the topology, with the same result at every peer.
    """

    def __init__(self, topology: Topology, diameter: int, changing: bool) -> None:
        self._topology, self._changing = topology, changing
        self._rounds: deque[int] = deque(maxlen=diameter + 1)

    def note(self, round: int) -> None:
        """Add a round with links."""
        self._rounds.append(round)

    def deepen(self, diameter: int) -> None:
        """Look `diameter` rounds back from now on. Paths are longer while peers are missing."""
        self._rounds = deque(self._rounds, diameter + 1)

    def reached(self, peers: int) -> bool:
        """Whether the news reached all of so many peers."""
        if not self._changing:
            return True
        from gossipfl.topology.reach import spreads

        first, last = self._rounds[0], self._rounds[-1]
        return spreads(self._topology, peers, first + 1, last - first)


def relative_distance(x: Tensor, y: Tensor) -> Tensor:
    """|x - y| / |y| of each row, (n,) from (n, d): 0 where x and y are equal, inf where only y is 0."""
    gap = torch.linalg.vector_norm(x - y, dim=1)
    return torch.where(gap == 0, 0.0, gap / torch.linalg.vector_norm(y, dim=1))


def within(x: Tensor, y: Tensor, tolerance: float) -> bool:
    """Whether |x - y| <= tolerance |y| in all rows, (n, d)."""
    if len(x) == 1 and x.is_cpu:  # a call to torch takes longer than the sums of one row
        with np.errstate(all="ignore"):
            row, other = x.numpy()[0], y.numpy()[0]
            step = row - other
            return math.sqrt(step.dot(step)) <= tolerance * math.sqrt(other.dot(other))
    gap = torch.linalg.vector_norm(x - y, dim=1)
    return bool(gap.le(tolerance * torch.linalg.vector_norm(y, dim=1)).all())
