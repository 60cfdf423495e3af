"""The keys of [algorithm], and which kinds use them; must not know how the file is read, or what a kind does.

The table is flat. It is a union over `kind`: each kind allows its own set of keys.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator

from gossipfl.config.code import reference
from gossipfl.config.section import Section

STEPS = ("step", "decay", "batch")
MIXED = (*STEPS, "local_steps", "momentum", "gamma")
PLAIN = (*MIXED, "exchanges", "aggregator")
OWN = (*PLAIN, "precondition", "mu", "options")  # of a method of the user's own


def settles(kind: str) -> bool:
    """Whether the peers of a method can agree to stop: they talk, and have rounds. Those of a method of one's own can."""
    from gossipfl.algorithms import METHODS

    method = METHODS.get(kind)
    return method is None or (method.talks and method.rounds)


KEYS: dict[str, tuple[str, ...]] = {
    "auto": ("step", "batch", "local_steps", "momentum"),
    "newton": ("averaging",),
    "lbfgs": (),
    "dp-gd": (),
    "adassp": (),
    "dp-newton": (),
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


def keys(kind: str) -> tuple[str, ...]:
    """The keys that a kind uses."""
    return KEYS.get(kind, OWN)


class DecaySettings(Section):
    """How the step shrinks over the rounds."""

    kind: Literal["inverse", "inverse-sqrt"] = "inverse"
    """The step in round k: step / (1 + k / rounds), or step / sqrt(1 + k / rounds)."""
    rounds: PositiveFloat = 100.0


class AlgorithmSettings(Section):
    """The algorithm and its parameters."""

    kind: Literal[
        "auto", "newton", "lbfgs", "dp-gd", "adassp", "dp-newton", "exact-diffusion", "nids", "d2", "extra", "opapc",
        "gradient-tracking", "beer", "push-pull", "push-diging", "d-psgd", "choco-sgd", "qg-dsgdm", "sgp", "gossip-learning",
        "local", "pooled",
    ] | Annotated[str, AfterValidator(reference("algorithms"))] = "auto"  # fmt: skip
    """The algorithm. "auto" is "newton" for up to 1,000 parameters and "lbfgs" for more, on links that do not change. Where
    these do not fit, it is "exact-diffusion" ("nids" with l1, "push-diging" on directed links, "push-pull" on directed links
    that lose messages, "beer" over a compressed channel). With private sums it is "dp-gd", or "adassp" for "linear".
    "gossip-learning" has no rounds: see [gossip]. Two baselines: "local" never communicates, "pooled" trains on all rows in one
    place. Or a method of your own, "file.py:Class": see docs/python.md."""
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["auto"] = "auto"
    """The learning rate. "auto" is 1/L, where L is the largest smoothness constant of all peers; they agree on it by gossip.
    For gossip learning "auto" is 1/(l2 t) in step t (Pegasos)."""
    averaging: Literal["auto", "tree", "exact"] = "auto"
    """How peers add up: "tree" sends sums up a tree and the total down again, "exact" repeats mixing until all hold the mean;
    "auto" takes the one with fewer exchanges, and the tree for l1, huber, rows that are not standardised (which may be sparse)
    and directed links: only the tree takes these, and says how far the optimum is."""
    decay: DecaySettings | None = None
    """A step that shrinks, for mini-batches: { kind = "inverse", rounds = 100 }."""
    batch: PositiveInt | Literal["full"] = "full"
    """Number of rows drawn for each gradient, or "full" for all."""
    local_steps: PositiveInt = 1
    """Gradient steps between two exchanges; for gossip learning, the rows that a model learns from at each peer."""
    gamma: Annotated[float, Field(gt=0, le=1)] | None = None
    """The mixing step: how far a peer moves towards the average of its neighbours. Each algorithm has its own default."""
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Heavy-ball momentum at each peer. The default is 0; "qg-dsgdm" has its own kind of momentum, 0.9 by default."""
    exchanges: Annotated[int, Field(ge=1, le=1000)] = 1
    """Exchanges in each round. More than 1 is Chebyshev-accelerated averaging; it needs links that do not change."""
    mu: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """A lower bound of the objective's curvature; the default is model.l2. A wrong value only costs rounds."""
    precondition: Annotated[int, Field(ge=0)] = 0
    """The rank r of a preconditioner. Peers agree on the r directions of largest curvature, and learn in coordinates where each
    of them has only the curvature of the r-th. 0 for none."""

    aggregator: Annotated[str, AfterValidator(reference("aggregators"))] | None = None
    """How a peer combines what it hears, in place of the weighted average: an aggregator of your own, "file.py:Class"."""
    options: dict[str, float | int | bool | str] = Field(default={})
    """Further arguments of a method of your own."""

    @field_validator(
        "averaging",
        "step",
        "decay",
        "batch",
        "local_steps",
        "gamma",
        "momentum",
        "exchanges",
        "mu",
        "precondition",
        "aggregator",
        "options",
    )
    @classmethod
    def _used_by_kind(cls, value: Any, info: ValidationInfo) -> Any:
        kind, key = info.data.get("kind"), str(info.field_name)
        if kind is None or key in keys(kind) or value == cls.model_fields[key].default:
            return value
        users = ", ".join(name for name, keys in KEYS.items() if key in keys)
        raise ValueError(
            f'is not used by kind = "{kind}": leave it out, or set algorithm.kind to one of {users}'
        )

    @property
    def given(self) -> frozenset[str]:
        """The keys other than `kind` that are not at their defaults."""
        fields = type(self).model_fields
        return frozenset(key for key in fields if key != "kind" and getattr(self, key) != fields[key].default)
