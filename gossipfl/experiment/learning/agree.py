"""Agreement of the peers before they learn, by consensus on an engine; must not know which engine it is.

Every function takes one contribution of each peer in this process, and returns a result that is bitwise equal at all peers.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gossipfl.algorithms import Algorithm, Consensus, Record, Summed, Summing, leaves, rebuilt
from gossipfl.algorithms.sums import PLAIN, Carrier, Integers, SumMethod
from gossipfl.algorithms.sums.carrier import Place
from gossipfl.engine import Engine, Run
from gossipfl.errors import NetworkError
from gossipfl.mixing import Maximum, Mixing, Sum, Union
from gossipfl.mixing.union import TOO_LONG, to_row, to_set, too_long
from gossipfl.mixing.words import Words, unquoted
from gossipfl.secrecy.exact import ExactSums
from gossipfl.secrecy.promise import Noise
from gossipfl.secrecy.wide import moments, variances
from gossipfl.topology import WEIGHTS, Topology, Tree, cycle, static

Agree = Callable[[Algorithm, Topology, Mixing], Engine]
CONSENSUS = Consensus()
LONGEST = 2**27  # bytes of the words of all peers
FIRST = 256  # bytes of the words of all peers, in most studies


class Agreement:
    """Consensus among the peers of a graph.

    Args:
        graph: all peers.
        hops: its diameter.
        tree: along which sums are taken.
        make: (algorithm, topology, mixing) -> an engine without a problem.
        widest: bytes that a message may have.

    `exchanges` counts those of all consensus so far.
    """

    def __init__(self, graph: nx.Graph, hops: int, tree: Tree, make: Agree, widest: int = LONGEST) -> None:
        self.peers, self.diameter = len(graph), hops
        self.messages_sent = self.bytes_sent = self.exchanges = 0
        self.exact: ExactSums | None = None  # set: sums are secure
        self.noise: Noise | None = None  # set: they are private
        self._make, self._widest = make, widest
        self._tree = tree.rounds()
        self._sums = cycle(self._tree)
        self._flood = static(WEIGHTS["push" if graph.is_directed() else "metropolis"](graph))

    def mean(self, x: Tensor) -> Tensor:
        """The mean over all peers, (n, k) float64 -> (n, k), exact except for rounding."""
        return self._sum(x) / self.peers

    def total(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The sum over all peers, (n, k) -> (k,), exact except for rounding."""
        found: npt.NDArray[np.float64] = self._sum(torch.from_numpy(x))[0].numpy()
        return found

    @property
    def carrier(self) -> Carrier:
        """How numbers travel in the sums of learning."""
        return Integers(self.peers, self.exact.masks) if self.exact else PLAIN

    def moments(
        self, columns: Sequence[npt.NDArray[np.float64]]
    ) -> tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The number of all rows, the means (p,) and the variances (p,) of the columns (n, p) of all peers, by integers."""
        self._noiseless()
        return variances(self._exactly([moments(own) for own in columns]))

    def count(self, rows: Sequence[int]) -> float:
        """About how many rows all peers have, 1 for each peer at least, from a noised sum of those of the peers here."""
        assert self.noise, "sums are private"
        mu = self.noise.spending.promise.counting
        return float(max(self.noised("rows", [[own] for own in rows], 1.0, mu)[0], self.peers))

    def noised(self, name: str, integers: Sequence[Sequence[int]], most: float, mu: float) -> tuple[int, ...]:
        """The totals of the integers of each peer here, with noise; `most` is what a row changes, at most, by the norm."""
        assert self.noise, "sums are private"
        noise = self.noise
        return self._exactly([noise.added(name, peer, own, most, mu) for peer, own in enumerate(integers)])

    def latest(self, state: Summing | None, width: int) -> Tensor:
        """The model (1, width) of those that have one, which is the same at all of them; 0 if nobody has one.

        A sum method makes its model from totals alone. So this sum tells nothing of rows that they do not tell, and needs no
        noise of its own, if these have noise.
        """
        assert self.exact, "sums are secure"
        own = [0] * width if state is None else self.exact.integers(state.x[0].tolist())
        having, *totals = self._exactly([[int(state is not None), *own]])
        means = self.exact.numbers([total // max(having, 1) for total in totals])
        return torch.tensor([means], dtype=torch.float64)

    def minimised(
        self, method: SumMethod, rows: Sequence[Any], width: int, most: int
    ) -> tuple[Any, int, int]:
        """Run a sum method from `width` zeros to its end, or for so many sums; its state, the sums, and the numbers in them.

        `rows` are those of the peers in this process, as the method wants them.
        """
        self._noiseless()
        each, x = max(1, len(self._tree)), torch.zeros(len(rows), width, dtype=torch.float64)
        algorithm = Summed(method, rows, self.peers, each, x[0])

        def ended(run: Run) -> bool:
            return isinstance(run.state, Summing) and (run.state.finished or run.round >= most * each)

        run = self._run(algorithm, self._sums, Mixing(Sum()), x, ended)
        assert isinstance(run.state, Summing)
        inner: Record = run.state.inner
        state = rebuilt({name: t[0] for name, t in leaves(inner).items()}, inner)
        return state, run.round // each, int(run.state.released[0])

    def opened(self, method: Summed, x: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """The total (W,) of a method's first sum from x (n, d), and the maximum (k,) over all peers of `own` (n, k) with it.

        Raises:
            NetworkError: not all peers contributed.
        """
        self._noiseless()
        rows, most = torch.cat((method.opening(x), own), 1), own.shape[1]
        row = self._consensus(rows, self._sums, Mixing(Sum(most)), len(self._tree))[0]
        total, maximum = row[:-most], row[-most:]
        if method.carrier.read(total, self.peers, Place()).void:
            raise NetworkError("not all peers took part in the first sum: start this peer again")
        return total, maximum

    def _noiseless(self) -> None:
        """Raises RuntimeError where sums are private: numbers of rows leave with noise only, or not at all."""
        if self.noise is not None:
            raise RuntimeError("this sum has no noise, and sums are private: it is not sent")

    def _sum(self, x: Tensor) -> Tensor:
        """The sum over all peers, (n, k) float64 -> (n, k), the same bits at every peer."""
        self._noiseless()
        if self.exact:
            totals = self._exactly([self.exact.integers(row) for row in x.tolist()])
            return x.new_tensor(self.exact.numbers(totals)).expand(len(x), -1)
        return self._along(x)

    def anybody(self, flags: Sequence[Sequence[bool]]) -> npt.NDArray[np.bool_]:
        """Which flags some peer raises, (k,), of the flags of each peer here; nobody sees who, nor how many."""
        self._noiseless()
        assert self.exact, "sums are secure"
        found: npt.NDArray[np.bool_] = np.array([total != 0 for total in self._told(self.exact.flags(flags))])
        return found

    def _exactly(self, integers: Sequence[Sequence[int]]) -> tuple[int, ...]:
        assert self.exact, "sums are secure"
        return self._told(self.exact.rows(integers))

    def _told(self, rows: npt.NDArray[np.int64]) -> tuple[int, ...]:
        assert self.exact, "sums are secure"
        found: npt.NDArray[np.int64] = self._along(torch.from_numpy(rows))[0].numpy()
        return self.exact.read(found)

    def _along(self, x: Tensor) -> Tensor:
        """The sum over all peers, (n, k) -> (n, k), along the tree."""
        return self._consensus(x, self._sums, Mixing(Sum()), len(self._tree))

    def maximum(self, x: Tensor) -> Tensor:
        """The elementwise maximum over all peers, (n, k) -> (n, k)."""
        return self._consensus(x, self._flood, Mixing(Maximum()), self.diameter)

    def part(self, x: npt.NDArray[np.float64]) -> None:
        """One exchange with all neighbours: who hears them all knows that they need nothing more. `x` (n, k) means nothing."""
        self._consensus(torch.from_numpy(x[:, :1]), self._flood, Mixing(Maximum()), 1)

    def union(self, words: Sequence[Iterable[str]], read: Callable[[str], object] = str) -> set[str]:
        """The union of the words of all peers; `words` has those of the peers in this process.

        A message with a word for which `read` raises ValueError, TypeError or RecursionError counts as lost.
        """
        rows, channel = [to_row(json.dumps(word) for word in own) for own in words], Words(read)
        try:
            row = self._united(rows, FIRST, channel)
            if too_long(row):
                row = self._long(rows, channel)
            return {unquoted(word) for word in to_set(row)}
        except ValueError as error:
            raise NetworkError(
                f"a peer sent classes or category levels that cannot be read: {error}"
            ) from error

    def _long(self, rows: Sequence[Tensor], channel: Words) -> Tensor:
        """As `_united`, in messages that grow from twice the words of one peer to those of all."""
        longest = int(
            self.maximum(torch.tensor([[float(len(row) + 1)] for row in rows], dtype=torch.float64))[0]
        )
        if 2 * longest > self._widest:  # nobody would accept the message
            raise ValueError(f"those of one peer are longer than {self._widest // 2:,} bytes")
        # the union of all is no longer than `most`
        width, most = 2 * longest, min(max(2, self.peers) * longest, self._widest)
        while too_long(row := self._united(rows, width, channel)):
            if width == most:
                raise ValueError(f"they are longer than {most:,} bytes")
            width = min(2 * width, most)
        return row

    def _united(self, rows: Sequence[Tensor], width: int, channel: Words) -> Tensor:
        """The union of the rows of all peers, (width,) uint8; `TOO_LONG` in each byte if it is longer."""
        wide = torch.full((len(rows), width), TOO_LONG, dtype=torch.uint8)
        for mine, row in zip(wide, rows, strict=True):
            if len(row) <= width:
                mine[:] = torch.nn.functional.pad(row, (0, width - len(row)))
        return self._consensus(wide, self._flood, Mixing(Union(), channel), self.diameter)[0]

    def _consensus(self, x: Tensor, topology: Topology, mixing: Mixing, rounds: int) -> Tensor:
        # A peer follows others that go on without it, so that rounds may be left out.
        return self._run(CONSENSUS, topology, mixing, x, lambda run: run.round >= rounds).state.x

    def _run(
        self,
        algorithm: Algorithm,
        topology: Topology,
        mixing: Mixing,
        x: Tensor,
        ended: Callable[[Run], bool],
    ) -> Run:
        engine = self._make(algorithm, topology, mixing)
        before = engine.messages_sent, engine.bytes_sent
        run = engine.init(x)
        while not ended(run):
            run = engine.step(run)
        self.exchanges += run.round
        self.messages_sent += engine.messages_sent - before[0]
        self.bytes_sent += engine.bytes_sent - before[1]
        return run
