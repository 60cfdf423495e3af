"""The stop mask, by which all peers stop in the same round; must not know messages or models."""


class Quorum:
    """How peers decide together that they have settled: one peer's stop mask.

    Bit h of the mask says that everyone within h hops was converged h exchanges ago. A message carries the sender's mask. A
    peer keeps the bits that all masks have in common, shifts them by one hop, and sets bit 0 to its own state. When bit D is
    set, D being the diameter, every peer was converged D exchanges ago. All peers see that in the same round, so they stop
    together, without a centre.

    A mask cannot speak for the peer that hears it: bit D is never set where this peer itself had not converged.

    Args:
        diameter: of the graph, D.
    """

    def __init__(self, diameter: int) -> None:
        self._diameter = -1
        self._mask = 0
        self._common = 0
        self._own = 0  # bit b: my own state b exchanges ago
        self.deepen(diameter)

    def deepen(self, diameter: int) -> None:
        """The graph is at least so wide: where peers are missing, ways are longer."""
        if diameter > self._diameter:
            self._diameter = diameter
            self._bytes = (diameter + 8) // 8
            self._all = (2 << diameter) - 1
            self._recent = (8 << 2 * diameter) - 1

    def speak(self) -> bytes:
        """The mask for the next message. The masks heard after this call answer it."""
        self._common = self._mask
        return self._mask.to_bytes(self._bytes, "little") if self._mask else b""

    def hear(self, mask: bytes) -> None:
        """A neighbour's mask of the same exchange."""
        if self._common:
            self._common &= int.from_bytes(mask, "little")

    def veto(self) -> None:
        """Something happened here that makes all earlier agreement void."""
        self._common = 0

    def forget(self) -> None:
        """Nobody had converged so far."""
        self._mask = self._common = 0

    def settled(self, converged: bool) -> bool:
        """End the exchange with my own state; return whether everybody was converged `diameter` exchanges ago."""
        self._own = (self._own << 1 | converged) & self._recent
        self._mask = (self._common << 1 | converged) & self._all
        return bool(self._mask >> self._diameter & 1)

    @property
    def ready(self) -> bool:
        """Whether I was converged in one of the last 2 D + 3 exchanges: else nobody can know that all were."""
        return self._own > 0
