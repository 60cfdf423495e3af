"""What spreads from peer to peer in the headers of messages; must not know sockets or models.

Two things do: rumours, which only grow, and the stop mask, by which all peers stop in the same round.
"""

from typing import Annotated

import msgspec

MAX_EXCHANGE = 2**62
MASK = 3072  # bytes of the longest stop mask
MAX_DEPTH = 8 * MASK  # hops that a stop mask has room for
CUTS = 32  # edges in `Rumours.cuts`: word of more of them is not passed on
FAR = 64  # exchanges beyond the one at hand that `broken` may name

_Exchange = Annotated[int, msgspec.Meta(ge=0, lt=MAX_EXCHANGE)]
_Depth = Annotated[int, msgspec.Meta(ge=0, lt=MAX_DEPTH)]
_Peer = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
_When = Annotated[int, msgspec.Meta(ge=0, le=2 * MAX_EXCHANGE - 1)]
_Cuts = Annotated[tuple[tuple[_Peer, _Peer, _When], ...], msgspec.Meta(max_length=CUTS)]


class Rumours(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is known of the whole network, from whoever knew it first. Rumours are joined by the maximum, field by field.

    broken: no exchange after this one is known to have been incomplete, anywhere.
    depth: hops within which all peers are reached, at least, while some are missing (see `Quorum`).
    over: the time is up for some peer.
    cuts: edges whose ends gave each other up, in order: (one end, the other end, 2 k + 1); (.., .., 2 k) where they found each
        other again; k is the exchange of the latest change.
    """

    broken: _Exchange = 0
    depth: _Depth = 0
    over: bool = False
    cuts: _Cuts = ()

    def join(self, broken: int = 0, depth: int = 0, over: bool = False, cuts: _Cuts = ()) -> "Rumours":
        """These rumours and what I found out myself."""
        cuts = _joined(self.cuts, cuts) if cuts else self.cuts
        return Rumours(max(self.broken, broken), max(self.depth, depth), self.over or over, cuts)

    def heard(self, other: "Rumours", number: int, peers: int, timed: bool = True) -> "Rumours":
        """These rumours and those of a message that comes in exchange `number`, in a network of so many peers.

        Bounds limit what one wrong message can do: the far future is neither broken nor cut, no way is longer than through all
        peers, and nobody's time is up in a study that is not `timed`.
        """
        if other in (self, NONE):
            return self
        cuts: _Cuts = ()
        if other.cuts != self.cuts:
            cuts = tuple(cut for cut in other.cuts if cut[2] // 2 <= number + FAR)
        return self.join(
            min(other.broken, number + FAR), min(other.depth, peers - 1), other.over and timed, cuts
        )

    @property
    def cut(self) -> list[tuple[int, int]]:
        """The edges whose ends have given each other up."""
        return [(one, other) for one, other, when in self.cuts if when % 2]


def _joined(cuts: _Cuts, others: _Cuts) -> _Cuts:
    """The latest word of each edge; of too many edges, of those that are cut, and of the latest."""
    latest: dict[tuple[int, int], int] = {}
    for one, other, when in (*cuts, *others):
        latest[one, other] = max(when, latest.get((one, other), 0))
    kept = sorted(latest.items(), key=lambda item: (item[1] % 2, item[1], item[0]))[-CUTS:]
    return tuple((*ends, when) for ends, when in sorted(kept))


NONE = Rumours()


class Quorum:
    """How peers decide together that they have settled: one peer's stop mask.

    Bit h of the mask says that everyone within h hops was converged h exchanges ago. A message carries the sender's mask. A
    peer keeps the bits that all masks have in common, shifts them by one hop, and sets bit 0 to its own state. When bit D is
    set, D being the diameter, every peer was converged D exchanges ago. All peers see that in the same round, so they stop
    together, without a centre.

    Args:
        diameter: of the graph, D.
    """

    def __init__(self, diameter: int) -> None:
        self._diameter = -1
        self._mask = 0
        self._common = 0
        self.deepen(diameter)

    def deepen(self, diameter: int) -> None:
        """The graph is at least so wide: where peers are missing, ways are longer."""
        if diameter > self._diameter:
            self._diameter = diameter
            self._bytes = (diameter + 8) // 8
            self._all = (2 << diameter) - 1

    def speak(self) -> bytes:
        """The mask for the next message. The masks heard after this call answer it."""
        self._common = self._mask
        return self._mask.to_bytes(self._bytes, "little") if self._mask else b""

    def hear(self, mask: bytes) -> None:
        """A neighbour's mask of the same exchange."""
        self._common &= int.from_bytes(mask, "little")

    def veto(self) -> None:
        """Something happened here that makes all earlier agreement void."""
        self._common = 0

    def settled(self, converged: bool) -> bool:
        """End the exchange with my own state; return whether everybody was converged `diameter` exchanges ago."""
        self._mask = (self._common << 1 | converged) & self._all
        return bool(self._mask >> self._diameter & 1)
