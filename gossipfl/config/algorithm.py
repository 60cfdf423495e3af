"""The keys of [algorithm], and which kinds have them; must not know how the file is read, or what a kind does.

The keys lie flat in the table: together with `kind` they are a union, in which each kind has keys of its own.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator

from gossipfl.config.section import Section

STEPS = ("step", "decay", "batch")
MIXED = (*STEPS, "local_steps", "momentum", "gamma")
PLAIN = (*MIXED, "exchanges")
KEYS: dict[str, tuple[str, ...]] = {
    "auto": ("step", "batch", "local_steps", "momentum"),
    "newton": (),
    "exact-diffusion": (*PLAIN, "precondition"),
    "nids": PLAIN,
    "d2": (*PLAIN, "precondition"),
    "extra": (*PLAIN, "precondition"),
    "opapc": (*STEPS, "gamma", "exchanges", "mu", "precondition"),
    "gradient-tracking": (*PLAIN, "precondition"),
    "beer": (*MIXED, "precondition"),
    "push-pull": (*MIXED, "precondition"),
    "push-diging": (*MIXED, "precondition"),
    "d-psgd": (*PLAIN, "precondition"),
    "choco-sgd": (*MIXED, "precondition"),
    "qg-dsgdm": (*PLAIN, "precondition"),
    "sgp": (*MIXED, "precondition"),
    "gossip-learning": ("step", "local_steps"),
    "local": (*STEPS, "momentum", "precondition"),
    "pooled": (*STEPS, "momentum", "precondition"),
}


class DecaySettings(Section):
    """How the step shrinks with the rounds."""

    kind: Literal["inverse", "inverse-sqrt"] = "inverse"
    """step / (1 + k / rounds), or its square root."""
    rounds: PositiveFloat = 100.0


class AlgorithmSettings(Section):
    """How it is learned."""

    kind: Literal[
        "auto", "newton", "exact-diffusion", "nids", "d2", "extra", "opapc", "gradient-tracking", "beer", "push-pull",
        "push-diging", "d-psgd", "choco-sgd", "qg-dsgdm", "sgp", "gossip-learning", "local", "pooled",
    ] = "auto"  # fmt: skip
    """The algorithm. "auto" is "newton" for up to 1,000 parameters where it fits, else "exact-diffusion" ("nids" with l1,
    "push-diging" on directed links, "push-pull" where these lose messages, "beer" over a compressed channel). "gossip-learning"
    has no rounds: see [gossip]. "local" never talks and "pooled" puts all rows in one place: two baselines."""
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["auto"] = "auto"
    """The learning rate. "auto" is 1/L, where L is the largest smoothness constant of any peer, agreed by gossip; for gossip
    learning it is 1/(l2 t) in step t, which is Pegasos."""
    decay: DecaySettings | None = None
    """Shrink the step, for mini-batches: { kind = "inverse", rounds = 100 }."""
    batch: PositiveInt | Literal["full"] = "full"
    """Rows drawn for each gradient."""
    local_steps: PositiveInt = 1
    """Gradient steps for each exchange; for gossip learning, rows that a model learns from at each peer."""
    gamma: Annotated[float, Field(gt=0, le=1)] | None = None
    """How far to go towards the average. Each algorithm has its own default."""
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Heavy-ball momentum at each peer. The default is none, and 0.9 for "qg-dsgdm", which has its own kind of it."""
    exchanges: Annotated[int, Field(ge=1, le=1000)] = 1
    """Exchanges in each round: Chebyshev-accelerated averaging, for links that do not change."""
    mu: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """A lower bound of the objective's curvature, model.l2 unless given. A wrong one costs rounds only."""
    precondition: Annotated[int, Field(ge=0)] = 0
    """The rank of a preconditioner: peers agree on so many of the objective's steepest directions, and learn in coordinates in
    which these are as flat as the last of them. 0 for none."""

    @field_validator(
        "step", "decay", "batch", "local_steps", "gamma", "momentum", "exchanges", "mu", "precondition"
    )
    @classmethod
    def _means_something(cls, value: Any, told: ValidationInfo) -> Any:
        kind, key = told.data.get("kind"), str(told.field_name)
        if kind is None or key in KEYS[kind] or value == cls.model_fields[key].default:
            return value
        have = ", ".join(name for name, keys in KEYS.items() if key in keys)
        raise ValueError(
            f'has no meaning for kind = "{kind}": leave it out, or set algorithm.kind to one of {have}'
        )

    @property
    def given(self) -> frozenset[str]:
        """The keys other than `kind` that are not at their defaults."""
        fields = type(self).model_fields
        return frozenset(key for key in fields if key != "kind" and getattr(self, key) != fields[key].default)
