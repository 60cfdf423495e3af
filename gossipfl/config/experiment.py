"""The keys of an experiment file, their bounds, defaults and meaning; must not know how the file is read.

The sections mirror the constructors. The texts below the keys are what editors show.
"""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from gossipfl.config.algorithm import AlgorithmSettings
from gossipfl.config.fault import FaultSettings
from gossipfl.config.gossip import GossipSettings
from gossipfl.config.section import NonNegative, Section


def _scheme(value: object) -> object:
    """A scheme without parameters may be written as its name."""
    return {"scheme": value} if isinstance(value, str) else value


class DataSettings(Section):
    """Which rows there are, and who holds them."""

    source: str
    """scikit-learn's breast_cancer, diabetes, digits, iris or wine; a file; a folder or glob (one file per peer);
    "openml:NAME". Relative to the experiment file."""
    target: str | None = None
    """The column to predict; needed for files."""
    columns: tuple[str, ...] | None = None
    """Names of the columns, for CSV files without a header."""
    drop: tuple[str, ...] = ()
    """Columns to leave out."""
    categorical: tuple[str, ...] = ()
    """Columns of categories, to become one-hot without the first level."""
    missing: Literal["refuse", "drop", "mean"] = "refuse"
    """Missing values: refuse the file, drop the rows, or fill in the mean of the peer's training rows."""
    partition: Annotated[dict[str, str | int | float], BeforeValidator(_scheme)] = Field({"scheme": "iid"})
    """How one source is split: { scheme = "iid" | "dirichlet" | "shards" | "sorted" | "column" | "quantity", ... }, or the
    scheme alone."""
    test: Annotated[float, Field(ge=0, lt=1)] | str = 0.2
    """Each peer's test rows: a fraction, or the name of a 0/1 column."""
    standardise: Literal["gossip", "local", "none"] = "gossip"
    """Features to mean 0 and deviation 1: over all peers, agreed by gossip; each peer by itself; or not."""


class TopologySettings(Section):
    """Who talks to whom."""

    graph: str = "ring:16"
    """A shorthand ("ring:16", "torus:4x4", "regular:16:4", ...) or a topology file."""
    weights: Literal[
        "auto",
        "metropolis",
        "uniform",
        "best-constant",
        "lazy",
        "file",
        "fdla",
        "fastest-mixing",
        "push",
        "pull",
    ] = "auto"
    """The rule that gives each edge its mixing weight; "auto" is "metropolis", and "push" on directed links."""
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The probability that a link fails in a round of learning, of which both ends know."""
    loss: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The probability that a message of learning is lost, of which its sender learns nothing."""


class ModelSettings(Section):
    """What is learned."""

    kind: Literal["linear", "logistic", "softmax", "svm", "squared-svm", "huber", "poisson", "module"] = (
        "logistic"
    )
    """The loss of a linear model; "module" for a torch.nn.Module of yours."""
    l2: NonNegative = 0.0
    """The objective has l2/2 |w|^2; the intercept is free. Ridge is linear with l2."""
    l1: NonNegative = 0.0
    """The objective has l1 |w|_1, by a proximal step."""
    delta: PositiveFloat = 1.0
    """Where Huber's loss becomes linear, in units of the target."""
    intercept: bool = True
    dtype: Literal["float64", "float32"] = "float64"
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the simulator computes; live peers always use the CPU."""
    module: str | None = None
    """For kind = "module": "file.py:function"; the function returns (torch.nn.Module, loss)."""

    @model_validator(mode="after")
    def _module_named(self) -> Self:
        if (self.kind == "module") != (self.module is not None):
            raise ValueError('kind = "module" and module = "file.py:function" go together')
        return self


class ChannelSettings(Section):
    """How numbers cross an edge."""

    compress: Literal["none", "top-k", "random-k", "int8", "int4", "sign", "fp16", "bf16", "low-rank"] = (
        "none"
    )
    """What is sent instead of whole numbers."""
    keep: Annotated[float, Field(gt=0, le=1)] = 0.1
    """For top-k and random-k: the part of the numbers that is sent."""
    rank: PositiveInt = 1
    """For low-rank: of the matrix that softmax coefficients are."""
    feedback: bool = True
    """What is left out now is sent later (CHOCO-SGD over d-psgd, BEER over gradient-tracking)."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.3
    """How far to go towards what compressed messages say; algorithm.gamma comes first."""


class StopSettings(Section):
    """When it ends."""

    rounds: PositiveInt = 1000
    """At the latest after so many rounds; of local steps only the last, which exchanges, counts. Of gossip learning, cycles."""
    tolerance: NonNegative = 0.0
    """As soon as all peers' relative change and disagreement are below; 0 switches it off."""
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """As soon as one peer has learned for so long: all stop together, where they are."""
    absent: NonNegative = 60.0
    """While a neighbour is gone without goodbye, for so many seconds, nobody stops before `rounds`: two sides of a cut are
    not to finish apart. The simulator, which knows who will be back, waits for those, and for nobody else."""


class PeersSettings(Section):
    """How live peers talk."""

    transport: Literal["tcp", "ipc"] = "tcp"
    wait: Annotated[float, Field(gt=0, le=1_000_000)] = 30.0
    """Seconds after which a silent neighbour is an error, while peers agree, and for methods that need everybody."""
    patience: Literal["auto", "loopback", "lan", "wan"] = "auto"
    """How soon learning goes on without a neighbour that does not answer: made for peers on one machine, in one building, far
    apart; "auto" is "loopback" where all neighbours are on this machine, else "lan"."""
    checkpoint: NonNegative = 5.0
    """Seconds of learning between two checkpoints of a peer; 0 for none."""
    report: PositiveInt | None = None
    """Rounds between two lines of metrics; by default 200 lines in all."""


class Experiment(Section):
    """One experiment: everything that both engines need to know."""

    name: str = Field("experiment", min_length=1, max_length=80, pattern=r"^[^/\\\x00-\x1f]+$")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    reference: bool = False
    """Compare with the pooled optimum. The launcher then reads all data: for simulations and this machine only."""
    data: DataSettings
    topology: TopologySettings = TopologySettings()
    model: ModelSettings = ModelSettings()
    algorithm: AlgorithmSettings = AlgorithmSettings()
    channel: ChannelSettings = ChannelSettings()
    gossip: GossipSettings = GossipSettings()
    stop: StopSettings = StopSettings()
    peers: PeersSettings = PeersSettings()
    faults: tuple[FaultSettings, ...] = ()
    """What is to go wrong, a [[faults]] table each."""
