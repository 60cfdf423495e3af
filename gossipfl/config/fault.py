"""The keys of a [[faults]] table: which fault, when, and at which peers; must not know how it is carried out."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from gossipfl.config.section import NonNegative, Section

Do = Literal["kill", "stop", "continue", "restart", "cut", "heal", "delay", "loss", "duplicate", "reset"]
Kind = Literal["kill", "stop", "cut", "delay", "loss", "duplicate", "reset"]
PeerName = Annotated[str, Field(min_length=1)]

LASTING = ("kill", "stop", "cut", "delay", "loss", "duplicate", "random")
MEASURED = ("delay", "loss", "duplicate")
KEYS: dict[str, tuple[str, ...]] = {  # the faults that use a key
    "lasts": LASTING,
    "amount": (*MEASURED, "random"),
    "jitter": ("delay", "random"),
    "fresh": ("kill", "restart", "random"),
    "every": ("random",),
    "until": ("random",),
    "kinds": ("random",),
}
RANDOM: tuple[Kind, ...] = ("kill", "stop", "cut", "loss")
AMOUNT = 0.05  # default of random faults


class FaultSettings(Section):
    """One fault, or a series of random faults."""

    do: Do | Literal["random"]
    """kill, stop (as SIGSTOP), cut (from all other peers), loss or duplicate (of the messages a peer sends; in the simulator
    also of those sent to it), delay or reset (of its connections). restart, continue and heal undo kill, stop and cut.
    "random" draws one of `kinds` each `every`."""
    at: NonNegative | None = None
    """Seconds after learning began; for live peers."""
    round: PositiveInt | None = None
    """The round, in place of `at`; for live peers the first reported round at or after it."""
    peers: tuple[PeerName, ...] = ()
    """Which peers. If neither peers nor count is given: all, for delay, loss, duplicate, reset and for what undoes a fault."""
    count: PositiveInt | None = None
    """How many peers, drawn from the seed, in place of `peers`."""
    lasts: PositiveFloat | None = None
    """How long until it is undone, in seconds or rounds; for "random" the maximum, by default twice `every`."""
    amount: PositiveFloat | None = None
    """The probability of loss or duplicate, or the seconds of delay; for "random" the value of each, by default 0.05."""
    jitter: NonNegative = 0.0
    """Up to so many seconds of additional delay, drawn for each piece of data; the order is kept."""
    fresh: bool = False
    """Restart without the checkpoint; for "random" each restart is with or without, half and half."""
    every: PositiveFloat | None = None
    """Seconds or rounds between two random faults."""
    until: PositiveFloat | None = None
    """When the random faults end and are all undone, in the unit of `at` or `round`."""
    kinds: tuple[Kind, ...] = RANDOM
    """What "random" draws from; a kind that is listed twice comes twice as often."""

    @property
    def when(self) -> float:
        """Seconds since learning began, or a round."""
        return float(self.at if self.at is not None else self.round or 0)

    @property
    def title(self) -> str:
        """The name of this fault in error messages."""
        return f"{self.do} at {self.at:g} s" if self.at is not None else f"{self.do} in round {self.round}"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.at is None) == (self.round is None):
            raise ValueError("set either at = SECONDS (after learning began) or round = NUMBER")
        for key, kinds in KEYS.items():
            if self.do not in kinds and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(
                    f'{key} is not used by do = "{self.do}": leave it out; it is for {", ".join(kinds)}'
                )
        if self.do in ("kill", "stop", "cut") and not (self.peers or self.count):
            raise ValueError(f'do = "{self.do}" needs peers = [NAMES] or count = NUMBER')
        if self.peers and self.count:
            raise ValueError("set either peers or count, not both")
        if self.do == "random" and (self.peers or self.count):
            raise ValueError('"random" draws its peers: leave out peers and count')
        if self.fresh and self.do == "kill" and self.lasts is None:
            raise ValueError("fresh = true needs a restart: set lasts to the time until the peer restarts")
        self._amounts()
        self._times()
        return self

    def _amounts(self) -> None:
        if self.do in MEASURED and self.amount is None:
            raise ValueError(f'do = "{self.do}" needs amount')
        chance = self.do in ("loss", "duplicate") or (
            self.do == "random" and {"loss", "duplicate"} & {*self.kinds}
        )
        if chance and self.amount is not None and self.amount > 1:
            raise ValueError(f"amount = {self.amount:g} is a probability here: set it to at most 1")

    def _times(self) -> None:
        if self.do == "random":
            if self.every is None or self.until is None:
                raise ValueError('do = "random" needs every and until')
            if self.until <= self.when:
                raise ValueError(f"until = {self.until:g} must be later than the beginning, {self.when:g}")
            if not self.kinds:
                raise ValueError("kinds is empty: list at least one kind")
        if self.round is not None:
            for key in ("lasts", "every", "until"):
                value = getattr(self, key)
                if value is not None and value != int(value):
                    raise ValueError(f"{key} = {value:g} counts rounds here: set it to a whole number")
