"""The keys of a [[faults]] table: what is to go wrong, when and to whom; must not know how it is done."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from gossipfl.config.section import NonNegative, Section

Do = Literal["kill", "stop", "continue", "restart", "cut", "heal", "delay", "loss", "duplicate", "reset"]
Kind = Literal["kill", "stop", "cut", "delay", "loss", "duplicate", "reset"]
PeerName = Annotated[str, Field(min_length=1)]

LASTING = ("kill", "stop", "cut", "delay", "loss", "duplicate", "random")
MEASURED = ("delay", "loss", "duplicate")
KEYS: dict[str, tuple[str, ...]] = {  # which faults have a key at all
    "lasts": LASTING,
    "amount": (*MEASURED, "random"),
    "jitter": ("delay", "random"),
    "fresh": ("kill", "restart", "random"),
    "every": ("random",),
    "until": ("random",),
    "kinds": ("random",),
}
RANDOM: tuple[Kind, ...] = ("kill", "stop", "cut", "loss")
AMOUNT = 0.05  # of random faults, where nothing is said


class FaultSettings(Section):
    """Something that goes wrong once, or again and again at random."""

    do: Do | Literal["random"]
    """kill, stop (as SIGSTOP does), cut from all other peers, loss or duplicate of what a peer sends (in the simulator also of
    what it is sent), delay or reset of its connections; continue, restart and heal undo; "random" draws from `kinds`, one
    each `every`."""
    at: NonNegative | None = None
    """Seconds after learning began; for live peers."""
    round: PositiveInt | None = None
    """The round, in place of `at`; for live peers the first that is reported at or after it."""
    peers: tuple[PeerName, ...] = ()
    """To whom. Delay, loss, duplicate and reset are for all unless given, and what undoes for all that need it."""
    count: PositiveInt | None = None
    """How many peers, drawn from the seed, in place of `peers`."""
    lasts: PositiveFloat | None = None
    """After so long, in seconds or rounds, it is undone; for "random" the longest, twice `every` unless given."""
    amount: PositiveFloat | None = None
    """The probability of loss and duplicate, the seconds of delay; for "random" each of them, 0.05 unless given."""
    jitter: NonNegative = 0.0
    """Up to so many seconds more of delay, drawn for each piece that is passed on; the order is kept."""
    fresh: bool = False
    """Restart without the checkpoint; for "random" a coin decides each time."""
    every: PositiveFloat | None = None
    """Seconds or rounds between two random faults."""
    until: PositiveFloat | None = None
    """When the random faults end and are all undone, on the same clock as `at` or `round`."""
    kinds: tuple[Kind, ...] = RANDOM
    """What "random" draws from; a kind named twice comes twice as often."""

    @property
    def when(self) -> float:
        """Seconds since learning began, or a round."""
        return float(self.at if self.at is not None else self.round or 0)

    @property
    def title(self) -> str:
        """How a complaint names it."""
        return f"{self.do} at {self.at:g} s" if self.at is not None else f"{self.do} in round {self.round}"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.at is None) == (self.round is None):
            raise ValueError("say when: either at = seconds after learning began, or round = R")
        for key, kinds in KEYS.items():
            if self.do not in kinds and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f'{key} has no meaning for do = "{self.do}"; it is for {", ".join(kinds)}')
        if self.do in ("kill", "stop", "cut") and not (self.peers or self.count):
            raise ValueError("say to whom: peers = [names] or count = how many")
        if self.peers and self.count:
            raise ValueError("peers and count exclude each other")
        if self.do == "random" and (self.peers or self.count):
            raise ValueError('"random" draws its peers: leave out peers and count')
        if self.fresh and self.do == "kill" and self.lasts is None:
            raise ValueError("fresh is how a peer restarts: say with lasts when it does")
        self._amounts()
        self._times()
        return self

    def _amounts(self) -> None:
        if self.do in MEASURED and self.amount is None:
            raise ValueError(f'amount is missing: do = "{self.do}" needs it')
        chance = self.do in ("loss", "duplicate") or (
            self.do == "random" and {"loss", "duplicate"} & {*self.kinds}
        )
        if chance and self.amount is not None and self.amount > 1:
            raise ValueError(f"amount = {self.amount:g} is a probability here: at most 1")

    def _times(self) -> None:
        if self.do == "random":
            if self.every is None or self.until is None:
                raise ValueError('do = "random" needs every and until')
            if self.until <= self.when:
                raise ValueError(f"until = {self.until:g} is not after the beginning")
            if not self.kinds:
                raise ValueError("kinds is empty: name what is to happen")
        if self.round is not None:
            for key in ("lasts", "every", "until"):
                value = getattr(self, key)
                if value is not None and value != int(value):
                    raise ValueError(f"{key} = {value:g} counts rounds here, as round does: a whole number")
