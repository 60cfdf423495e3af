"""A centralised optimiser as an algorithm of peers, which take sums along a tree; must not know any engine."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, ClassVar, NamedTuple, Protocol

from gossipfl.algorithms.algorithm import Account, Grad, Mix, Record, leaves, rebuilt
from gossipfl.algorithms.sums.carrier import PLAIN, Carrier, Place
from gossipfl.algorithms.sums.certificate import Evidence
from gossipfl.errors import Spent
from gossipfl.mixing import Property
from gossipfl.tensors import Tensor, torch


class MethodState(Record, Protocol):
    """The state of a sum method: a record of tensors of any shape, the same at all peers."""

    @property
    def x(self) -> Tensor:
        """The model, (d,)."""

    @property
    def finished(self) -> Tensor:
        """(), whether there is nothing more to gain."""


class SumMethod(Protocol):
    """An optimiser of the pooled objective that needs only sums over all rows."""

    def init(self, x: Tensor) -> MethodState:
        """The state before the first sum, from x (d,)."""

    def contribute(self, s: Any, rows: Any) -> Tensor:
        """The numbers to be summed over all rows, (D,), as far as they are of these rows: a `Shard`, or several."""

    def update(self, s: Any, total: Tensor) -> MethodState:
        """The next state from the sums, (D,). It never sees a row."""


class Summing(NamedTuple):
    """The progress of a sum, and of the optimiser.

    x: (n, d), the models.
    inner: the optimiser's state, each tensor with an axis of rows in front; equal rows share their memory.
    v: (n, W), what each peer holds of the sum at hand, as the carrier makes it.
    done: (n, 1), the exchanges done in this sum.
    apart: (n, 1), whether the models are to be averaged before the next step, because they differ.
    voids, repairs: (n, 1), sums to which not all peers contributed; averages of models that differed.
    sums, places: (n, 1), the sums that counted, or overflowed; the binary places of the next one, if it is of integers.
    released: (n, 1), the numbers whose totals are known.
    """

    x: Tensor
    inner: Any
    v: Tensor
    done: Tensor
    apart: Tensor
    voids: Tensor
    repairs: Tensor
    sums: Tensor
    places: Tensor
    released: Tensor

    @property
    def finished(self) -> bool:
        """Whether the optimiser has finished, for all rows."""
        return bool((self.inner.finished > 0).all())

    @property
    def evidence(self) -> Evidence:
        """What is known of the distance to the optimum, of the first row."""
        evidence: Evidence = self.inner.evidence
        return rebuilt({name: tensor[0] for name, tensor in leaves(evidence).items()}, evidence)


@dataclass(frozen=True)
class Summed:
    """total = sum over all peers of contribute(s, own rows), by `exchanges` exchanges; s' = update(s, total).

    All peers hold the same state, bit for bit, as long as their processors compute alike: a digest of x is summed along. Where
    it shows that models differ, the next sum is of x, and all take its mean. A sum to which not all peers contributed is void,
    and is taken again.

    rows: of the peers held here.
    peers: the number of all peers.
    exchanges: of a sum; 1 for a single peer.
    shift: (d,), the model is what the method finds, plus this; for targets that are centred.
    carrier: how numbers travel.
    allowance: the numbers whose totals may become known.
    unit: of the targets; the model is what the method finds, times this, plus the shift.
    """

    method: SumMethod
    rows: Sequence[Any]
    peers: int
    exchanges: int
    shift: Tensor
    carrier: Carrier = PLAIN
    allowance: float = math.inf
    unit: float = 1.0

    requires: ClassVar[Property] = Property.LINEAR | Property.SETTLING | Property.RELIABLE
    min_eigenvalue: ClassVar[float] = float("-inf")
    accounts: ClassVar[Mapping[str, Account]] = {}
    weighted: ClassVar[bool] = False

    def init(self, x: Tensor) -> Summing:
        zero = x.new_zeros(len(x), 1).double()
        starts = (x.cpu().double() - self.shift) / self.unit
        if bool((starts == starts[0]).all()):
            inner = _stacked([self.method.init(starts[0])] * len(x))
        else:
            inner = _stacked([self.method.init(start) for start in starts])
        return Summing(x, inner, zero, zero, zero, zero, zero, zero, zero + Place().places, zero)

    def opening(self, x: Tensor) -> Tensor:
        """The rows of the first sum from x (n, d), (n, W)."""
        return self._begun(self.init(x)).v

    def opened(self, x: Tensor, total: Tensor) -> Summing:
        """The state after a first sum from x (n, d), equal at all peers, with this total (W,)."""
        return self._concluded(self.init(x)._replace(v=total.expand(len(x), -1)))

    def round(self, s: Summing, grad: Grad, mix: Mix) -> Summing:
        """Raises Spent where the next sum would tell more than the allowance."""
        if s.done[0] == 0:
            s = self._begun(s)
        v, done = mix(s.v), s.done + 1
        if done[0] < self.exchanges:
            return s._replace(v=v, done=done)
        return self._concluded(s._replace(v=v, done=torch.zeros_like(done)))

    def _begun(self, s: Summing) -> Summing:
        """The state with the rows that are to be added up, (n, W)."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # bits depend on the number of threads
        rows = []
        try:
            for i, (inner, own) in enumerate(zip(_rows(s.inner), self.rows, strict=True)):
                numbers = inner.x if s.apart[i] else self.method.contribute(inner, own)
                if not inner.finished and s.released[i] + len(numbers) > self.allowance:
                    raise Spent(
                        f"another sum of {len(numbers):,} numbers would tell too much: {int(s.released[i]):,} numbers are "
                        f"known, and the rows bear {int(self.allowance):,}. A larger penalty or tolerance needs fewer sums"
                    )
                rows.append(self.carrier.row(numbers, self._digest(inner.x), _place(s, i)._replace(peer=i)))
            return s._replace(v=torch.stack(rows))
        finally:
            torch.set_num_threads(threads)

    def _concluded(self, s: Summing) -> Summing:
        """The state after a sum. Rows with the same state and the same total, as all usually are, share one update."""
        known: dict[bytes, _Next] = {}
        results = []
        for i, inner in enumerate(_rows(s.inner)):
            place = _place(s, i)
            key = s.v[i].numpy().tobytes() + repr((bool(s.apart[i]), place)).encode()
            if not _shared(s.inner):
                key += b"".join(tensor.numpy().tobytes() for tensor in leaves(inner).values())
            if key not in known:
                known[key] = self._next(inner, s.v[i], bool(s.apart[i]), place)
            results.append(known[key])
        flags = s.voids.new_tensor([result[1:] for result in results])
        inner = _stacked([result.inner for result in results])
        return s._replace(
            x=(inner.x * self.unit + self.shift).to(s.x),
            inner=inner,
            apart=flags[:, :1],
            voids=s.voids + flags[:, 1:2],
            repairs=s.repairs + flags[:, 2:3],
            sums=s.sums + 1 - flags[:, 1:2],
            places=flags[:, 3:4],
            released=s.released + flags[:, 4:],
        )

    def _next(self, inner: Any, v: Tensor, apart: bool, place: Place) -> "_Next":
        told = self.carrier.read(v, self.peers, place)
        known = 0 if inner.finished else told.known
        if told.numbers is None:
            return _Next(inner, apart, told.void, False, told.places, known)
        if apart:
            return _Next(inner._replace(x=told.numbers / self.peers), False, False, True, told.places, known)
        if told.digest != self.peers * self._digest(inner.x):
            return _Next(inner, True, False, False, told.places, known)
        return _Next(self.method.update(inner, told.numbers), False, False, False, told.places, known)

    def _digest(self, x: Tensor) -> int:
        """A hash of x, so small that the sum over all peers is exact."""
        bits = min(48, 52 - self.peers.bit_length())
        return int.from_bytes(blake2b(x.numpy().tobytes(), digest_size=8).digest()) >> 64 - bits


class _Next(NamedTuple):
    """The optimiser's next state; whether models differ, the sum is void, models were averaged; places of the next sum; numbers
    that are known now.
    """

    inner: Any
    apart: bool
    void: bool
    repaired: bool
    places: int
    known: int


def _place(s: Summing, i: int) -> Place:
    return Place(int(s.sums[i]), int(s.voids[i]), int(s.places[i]))


def _shared(record: Record) -> bool:
    """Whether all rows of a record are the same memory."""
    return all(len(tensor) == 1 or tensor.stride(0) == 0 for tensor in leaves(record).values())


def _rows(record: Any) -> list[Any]:
    """The record of each row, without the axis of rows."""
    tensors = leaves(record)
    n = len(record.x)
    if _shared(record):
        return [rebuilt({name: tensor[0] for name, tensor in tensors.items()}, record)] * n
    parts = {name: tensor.unbind() for name, tensor in tensors.items()}
    return [rebuilt({name: part[i] for name, part in parts.items()}, record) for i in range(n)]


def _stacked(records: Sequence[Any]) -> Any:
    """The record with an axis of rows in front; if all records are the same, or equal, they share their memory."""
    first, each = records[0], [leaves(record) for record in {id(r): r for r in records}.values()]
    if all(torch.equal(one[name], tensor) for one in each for name, tensor in each[0].items()):
        return rebuilt({name: t.expand(len(records), *t.shape) for name, t in each[0].items()}, first)
    every = [leaves(record) for record in records]
    return rebuilt({name: torch.stack([one[name] for one in every]) for name in every[0]}, first)
