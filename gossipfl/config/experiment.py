"""The keys of an experiment file, their bounds, defaults and meaning; must not know how the file is read.

Editors show the texts below the keys, and `gossipfl config schema` prints them.
"""

import json
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from gossipfl.config.algorithm import AlgorithmSettings
from gossipfl.config.code import reference
from gossipfl.config.fault import FaultSettings
from gossipfl.config.gossip import GossipSettings
from gossipfl.config.section import NonNegative, Section


def _scheme(value: object) -> object:
    """Accept the name of a scheme in place of a table with that scheme."""
    return {"scheme": value} if isinstance(value, str) else value


def _word(value: object) -> object:
    """Accept a number or a truth value in place of its word."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


Word = Annotated[str, BeforeValidator(_word)]


class DataSettings(Section):
    """The data, and which peer holds which rows."""

    source: str
    """One of scikit-learn's data sets (breast_cancer, diabetes, digits, iris, wine); a file; a folder or glob (one file for
    each peer); or "openml:NAME". Paths are relative to the experiment file."""
    target: str | None = None
    """The column to predict; required for files."""
    positive: Word | None = None
    """The class of which a positive coefficient makes a row more likely, if there are two classes. The default is the last of
    them in natural order."""
    columns: tuple[str, ...] | None = None
    """The names of the columns, for CSV files without a header."""
    drop: tuple[str, ...] = ()
    """Columns to leave out. A site's file may lack them."""
    categorical: tuple[str, ...] = ()
    """Categorical columns; each becomes one-hot columns, without the first level."""
    levels: dict[str, tuple[Word, ...]] = Field({})
    """All levels of categorical columns, { town = ["bern", "oslo"] }. Then no peer shows which of them its rows have."""
    bounds: dict[str, tuple[float, float]] = Field({})
    """For private sums with standardisation: the range of each column, and of a target that is a number, from knowledge and not
    from rows, { age = [0, 120] }."""
    classes: tuple[Word, ...] | None = None
    """All classes of the target. Then no peer shows which of them its rows have."""
    missing: Literal["refuse", "drop", "mean", "mode", "median", "level"] = "refuse"
    """Missing values: refuse the file; drop the rows; fill in the mean, the most frequent value or the median of the column,
    over the training rows of all peers, by gossip; or, in categorical columns, a level of their own, "(missing)"."""
    missing_words: tuple[Word, ...] | None = None
    """The words in text files and data frames that count as missing, for example ["NA", "-9"] if "None" is a level; an empty
    field always does. The default is ?, NA, N/A, n/a, #N/A, #NA, #N/A N/A, <NA>, NaN, nan, -NaN, -nan, NULL, null, None,
    1.#IND, -1.#IND, 1.#QNAN and -1.#QNAN."""
    decimal: Literal[".", ","] = "."
    """The decimal sign of numbers in text files, and in words of data frames."""
    row_weights: str | None = None
    """The column with the weight of each row in the objective: a number, 0 or above. It is no feature. A training row of weight
    0 counts nowhere, nor in standardisation."""
    offset: str | None = None
    """The column with a number that is added to each row's margin, for example log(exposure). It is no feature."""
    partition: Annotated[dict[str, str | int | float], BeforeValidator(_scheme)] = Field({"scheme": "iid"})
    """How one source is split: { scheme = "iid" | "dirichlet" | "shards" | "sorted" | "column" | "quantity", ... }, or the
    scheme alone."""
    test: Annotated[float, Field(ge=0, lt=1)] | str = 0.2
    """Each peer's test rows: a fraction of its rows, or the name of a 0/1 column."""
    standardise: Literal["gossip", "local", "none"] = "gossip"
    """Scale features to mean 0 and standard deviation 1: over the rows of all peers, by gossip ("gossip"); each peer over its
    own rows ("local"); or not at all ("none"). Sparse features are only divided by their root mean square, by "gossip"."""

    @property
    def sparse(self) -> bool:
        """Whether the rows come from LIBSVM files, and so stay sparse."""
        plain = self.source.lower()
        for packed in (".gz", ".xz", ".bz2"):
            plain = plain.removesuffix(packed)
        return plain.endswith((".libsvm", ".svmlight", ".svm"))


class TopologySettings(Section):
    """The graph of peers, and the weights of its links."""

    graph: str = "ring:16"
    """A shorthand ("ring:16", "torus:4x4", "regular:16:4", ...), a topology file, or your own function "file.py:function" that
    returns a graph of networkx."""
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
    """The rule for the mixing weight of each edge; "auto" is "metropolis", or "push" on directed links."""
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The probability that a link fails in a round of learning. Both ends know of the failure."""
    loss: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The probability that a message of learning is lost. Its sender does not know of the loss."""


class ModelSettings(Section):
    """The model and its objective."""

    kind: (
        Literal["linear", "logistic", "softmax", "svm", "squared-svm", "huber", "poisson", "module"]
        | Annotated[str, AfterValidator(reference("losses"))]
    ) = "logistic"
    """The loss of a linear model; or one of your own, "file.py:Class"; or "module" for your own torch.nn.Module."""
    l2: NonNegative | Literal["cv", "cv-1se"] = 0.0
    """Adds l2/2 |w|^2 to the objective; the intercept is not penalised. Ridge regression is "linear" with l2. "cv": the peers
    choose the one of ten values from 10 to 1e-5 with the least loss in cross-validation; "cv-1se": the largest one whose loss
    is at most one standard error above the least."""
    l1: NonNegative | Literal["cv", "cv-1se"] = 0.0
    """Adds l1 |w|_1 to the objective, by a proximal step; the intercept is not penalised. "cv", "cv-1se": as for l2, with ten
    values from the one that makes all coefficients 0 to a thousandth of it."""
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """For "cv" and "cv-1se": the folds into which each peer divides its training rows, with 5 rows or more in each."""
    class_weight: Literal["balanced"] | dict[str, NonNegative] | None = None
    """The weight of the rows of each class: { yes = 5.0 }, and 1 for others; or "balanced": the same total for each class, over
    the training rows of all peers."""
    personal: bool = False
    """Also give each peer a model of its own: near the shared one, as strongly held to it as its own folds say is best."""
    delta: PositiveFloat = 1.0
    """The residual at which the Huber loss becomes linear, in units of the target."""
    intercept: bool = True
    dtype: Literal["float64", "float32"] = "float64"
    device: Literal["cpu", "cuda"] = "cpu"
    """The device of the simulator; live peers always use the CPU."""
    module: str | None = None
    """For kind = "module": "file.py:function". The function returns (torch.nn.Module, loss)."""

    @property
    def selects(self) -> Literal["l1", "l2"] | None:
        """The penalty that is to be chosen by cross-validation."""
        return "l1" if isinstance(self.l1, str) else "l2" if isinstance(self.l2, str) else None

    @model_validator(mode="after")
    def _one_selected(self) -> Self:
        if isinstance(self.l1, str) and isinstance(self.l2, str):
            raise ValueError(
                "only one of l1 and l2 can be chosen by cross-validation: give the other one a number"
            )
        if not self.selects and self.folds != type(self).model_fields["folds"].default:
            raise ValueError('folds is for l2 = "cv" or l1 = "cv": leave it out')
        return self

    @model_validator(mode="after")
    def _module_named(self) -> Self:
        if (self.kind == "module") != (self.module is not None):
            raise ValueError(
                'kind = "module" and module = "file.py:function" need each other: set both, or none'
            )
        return self


class ChannelSettings(Section):
    """Compression of the messages."""

    compress: Literal["none", "top-k", "random-k", "int8", "int4", "sign", "fp16", "bf16", "low-rank"] = (
        "none"
    )
    """The compressor; "none" sends all numbers in full precision."""
    keep: Annotated[float, Field(gt=0, le=1)] = 0.1
    """For top-k and random-k: the fraction of the numbers that is sent."""
    rank: PositiveInt = 1
    """For low-rank: the rank that is sent of the matrix of softmax coefficients."""
    feedback: bool = True
    """Error feedback: what is left out now is sent later. d-psgd becomes CHOCO-SGD, gradient-tracking becomes BEER."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.3
    """The mixing step for compressed messages; algorithm.gamma overrides it."""


class StopSettings(Section):
    """When learning ends."""

    rounds: PositiveInt = 1000
    """The maximum number of rounds. With local steps, only steps with an exchange count. For gossip learning: cycles."""
    tolerance: NonNegative = 0.0
    """Stop when the relative change and the disagreement of all peers are below this and, for exact methods, so is the distance
    to the optimum of all data by the certificate; 0 switches the test off."""
    certificate: bool = True
    """Tell how far the model is from the optimum of all data. Each peer sends sums over its rows, with the second derivative of
    its loss, to one neighbour for that. Without it only agreement decides."""
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Stop when one peer has learned for so many seconds. All peers stop together, converged or not."""
    absent: NonNegative = 60.0
    """If a peer disappears without goodbye, wait so many seconds for it before stopping (at `rounds` learning ends anyway), so
    that the two sides of a network cut do not finish apart. The simulator knows who comes back, and waits for those only. A
    peer that then meets the tolerance without others ends with exit code 6, unless this is set to other seconds than 60: then
    that is wanted."""


class PeersSettings(Section):
    """How live peers communicate."""

    transport: Literal["tcp", "ipc"] = "tcp"
    security: Literal["auto", "keys", "none"] = "auto"
    """Whether links are encrypted, and only known peers get in. "auto": if the topology file names public keys; without them a
    `peer` refuses links to other machines. "keys": always; `run` makes keys that it throws away. "none": never."""
    wait: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """Seconds to wait for the first message of each neighbour. Default: `peer` waits without end and says who is missing; `run`
    waits 30 seconds. A neighbour that was there and falls silent before all have agreed, or while a method needs every
    peer, is an error after `stop.absent` seconds."""
    patience: Literal["auto", "loopback", "lan", "wan"] = "auto"
    """How soon learning goes on without a neighbour that does not answer: time limits for peers on one machine, in one
    building, or far apart. "auto" is "loopback" if all neighbours are on this machine, else "lan"."""
    checkpoint: NonNegative = 5.0
    """Seconds of learning between two checkpoints of a peer; 0 for no checkpoints."""
    report: PositiveInt | None = None
    """Rounds between two lines of metrics. By default lines become rarer with the rounds; there are about 25 to 70 in all."""


class PrivacySettings(Section):
    """What peers learn about each other's rows."""

    sums: Literal["plain", "secure", "private"] | None = None
    """What a neighbour sees of the sums of a method such as "newton": each peer's own ("plain"), the total of all peers
    alone ("secure"), or that total with noise that hides each row ("private"). The default is "plain"; for `gossipfl peer` with
    keys, three peers or more and such a method "secure"."""
    on_leave: Literal["wait", "pods", "disclose"] = "wait"
    """With secure sums, when a peer has been away for `stop.absent` seconds: all stop with exit code 5 ("wait"); its pod leaves
    with it, and the others go on ("pods"); or they go on without it alone, and by the difference of the totals learn what it
    contributed ("disclose")."""
    pod: Annotated[int, Field(ge=3)] = 3
    """The fewest peers of a pod: by their order in the topology, each `pod` peers are one."""
    min_peers: Annotated[int, Field(ge=3)] = 3
    """The fewest peers of a secure sum, of a class, and in whose rows a column differs: what two peers add up, each of them
    knows of the other."""
    min_cell: Annotated[int, Field(ge=1)] = 3
    """With secure sums, the fewest training rows of a class, and that differ in a column from most rows of their peer."""
    max_parameters_per_row: Annotated[float, Field(gt=0, le=1)] = 0.33
    """The most parameters for each training row of all peers, with secure sums."""
    epsilon: Annotated[float, Field(gt=0, le=100)] | None = None
    """With private sums: the privacy budget of each row. Below 1 is little."""
    delta: Annotated[float, Field(gt=0, lt=0.1)] = 1e-5
    """The chance with which more may be told; it should be far below one in the number of rows."""
    clip: PositiveFloat = 1.0
    """The norm to which the gradient of each row is clipped; for "adassp" the row itself, in units of deviations."""
    colluders: Annotated[int, Field(ge=0)] | None = None
    """How many peers may put together what they know, their own noise included. The default is half of them, rounded up."""


class Experiment(Section):
    """One experiment, for the simulator and for live peers."""

    name: str = Field("experiment", min_length=1, max_length=80, pattern=r"^[^/\\\x00-\x1f]+$")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    reference: bool = False
    """Compare with the pooled optimum. This needs all data in one place: for simulations and peers on one machine only."""
    data: DataSettings
    topology: TopologySettings = TopologySettings()
    model: ModelSettings = ModelSettings()
    algorithm: AlgorithmSettings = AlgorithmSettings()
    channel: ChannelSettings = ChannelSettings()
    gossip: GossipSettings = GossipSettings()
    stop: StopSettings = StopSettings()
    peers: PeersSettings = PeersSettings()
    privacy: PrivacySettings = PrivacySettings()
    faults: tuple[FaultSettings, ...] = ()
    """The faults to cause, one [[faults]] table each."""
