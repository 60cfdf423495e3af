"""How peers decide together that they have settled; must not know sockets or models.

Each peer keeps a mask: bit h says that everyone within h hops was converged h exchanges ago. A message carries the sender's
mask; a peer keeps what all masks have in common, moves it one hop outwards, and adds its own word as bit 0. When bit D is
set, D being the graph's diameter, every peer was converged D exchanges ago. All peers see that in the same round, so all
stop in the same round, and nobody was asked.
"""


class Quorum:
    """One peer's mask, for a graph of that diameter."""

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
        """What the next message says; from here on the masks that are heard answer it."""
        self._common = self._mask
        return self._mask.to_bytes(self._bytes, "little") if self._mask else b""

    def hear(self, mask: bytes) -> None:
        """A neighbour's mask of the same exchange."""
        self._common &= int.from_bytes(mask, "little")

    def settled(self, converged: bool) -> bool:
        """Close the exchange with my own word for it; whether everybody was converged `diameter` exchanges ago."""
        self._mask = (self._common << 1 | converged) & self._all
        return bool(self._mask >> self._diameter & 1)
