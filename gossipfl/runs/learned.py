"""The result of a learning session; must not know which engine learned, or which files are written."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gossipfl.data import Rows, Schema
from gossipfl.data.scale import Scale
from gossipfl.runs.facts import Selection

Summary = dict[str, Any]


@dataclass
class Learned:
    """The result of a session, from either engine: the peers' models and figures."""

    engine: str  # "simulator" or "peers"
    algorithm: str
    names: list[str]  # the peers, in the order of models
    models: Tensor  # (n, d)
    schema: Schema
    scales: list[Scale | None]
    step: float
    rounds: int
    stopped: str
    why: str
    messages_sent: int
    bytes_sent: int
    startup: float
    seconds: float
    cpu: float  # seconds of all peers together, while learning
    status: dict[str, str]
    train: list[Rows]  # encoded and standardised
    test: list[Rows]
    kept: Tensor | None = None  # (n, cache, d), the newest models of each peer; gossip learning only
    certificate: float | None = None  # the predicted distance to the optimum; None if there is none
    selection: Selection | None = None  # the penalty that the peers have chosen
    scores: Summary | None = None  # on the test rows of all peers, by sums; see `learning.scores`
