"""What is known of the algorithms, read off their code; must not know how experiments are run.

Formula and papers are those of the docstrings; where an algorithm may be used follows from what it requires.
"""

import re
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from gossipfl.algorithms import ALGORITHMS, Algorithm, Ingredients, PushSum, made
from gossipfl.config.gossip import GOSSIP
from gossipfl.gossip import GossipLearning, Pegasos
from gossipfl.mixing import COMPRESSORS, Amount, Average, Property
from gossipfl.models import LOSSES


@dataclass(frozen=True)
class Entry:
    """One algorithm."""

    name: str
    summary: str
    formula: str
    sends: str  # numbers along each link in a round, d being the parameters
    links: str
    exact: bool
    about: str
    papers: str


class Composed(NamedTuple):
    """What papers, or experiment files, have a name for, and settings make of the algorithms that there are."""

    about: str
    settings: dict[str, str | float | bool]


COMPOSED = {
    "beer": Composed(
        "Gradient tracking whose messages are compressed, by any compressor; what is left out now is sent later, which is "
        "error feedback. Zhao, Li, Li, Richtarik, Chi, NeurIPS 2022.",
        {"algorithm.kind": "gradient-tracking", "channel.compress": "top-k", "channel.feedback": True},
    ),
    "choco-sgd": Composed(
        "D-PSGD whose messages are compressed, by any compressor, with error feedback; biased, as D-PSGD is. Koloskova, "
        "Stich, Jaggi, ICML 2019.",
        {"algorithm.kind": "d-psgd", "channel.compress": "top-k", "channel.feedback": True},
    ),
    "nids": Composed(
        "Exact diffusion with a proximal step, which it takes where there is an l1 penalty. Li, Shi, Yan, IEEE Trans. Signal "
        "Processing 67(17), 2019.",
        {"algorithm.kind": "exact-diffusion", "model.l1": 0.01},
    ),
    "auto": Composed(
        "The default: newton for up to 1,000 parameters where it fits, else exact-diffusion; on directed links push-diging, or "
        "push-pull where these lose messages; gradient-tracking over a compressed channel.",
        {"algorithm.kind": "auto"},
    ),
    "local": Composed(
        "A baseline: no peer ever talks, and each keeps a model of its own.",
        {"algorithm.kind": "local", "stop.tolerance": 0},
    ),
    "pooled": Composed(
        "A baseline: one place holds all rows, and learns alone.", {"algorithm.kind": "pooled"}
    ),
}


def entries() -> list[Entry]:
    """All algorithms, in the order of their table."""
    return [*(_entry(name) for name in ALGORITHMS), _gossip(GossipLearning(Pegasos(LOSSES["svm"]())))]


def as_json() -> dict[str, Any]:
    """The algorithms by name, what is composed of them, and the names of the compressors."""
    return {
        "algorithms": {entry.name: asdict(entry) for entry in entries()},
        "composed": {name: composed._asdict() for name, composed in COMPOSED.items()},
        "compressors": {name: _paragraphs(make(Amount()))[0] for name, make in COMPRESSORS.items()},
    }


def _entry(name: str) -> Entry:
    method, algorithm = ALGORITHMS[name], made(name, Ingredients(1.0))
    formula, *about, papers = _paragraphs(algorithm)
    if isinstance(algorithm, PushSum):
        inner, *_ = _paragraphs(algorithm.inner)
        formula = f"{formula} Moving u by: {inner}"
    return Entry(
        name,
        method.summary,
        formula,
        method.least,
        _links(name, algorithm),
        method.exact,
        " ".join(about),
        papers,
    )


def _gossip(learning: GossipLearning) -> Entry:
    """Gossip learning, which has no rounds: its parts tell what they do."""
    formula, settings = _paragraphs(learning)
    rule, *about, papers = _paragraphs(learning.rule)
    made = _paragraphs(learning.create)[0]
    return Entry(
        GOSSIP,
        "models that wander and merge, asynchronously: nobody waits for anybody",
        f"{formula} Create: {made} Rule, t being the age of the model: {rule}",
        "d",
        "any, fixed; messages may get lost",
        False,
        " ".join([*about, f"Settings: {settings}"]),
        papers,
    )


def _links(name: str, algorithm: Algorithm) -> str:
    """The topologies that an algorithm is right on, from what it requires."""
    method = ALGORITHMS[name]
    if not isinstance(method.aggregator, Average):
        lossy = Property.RELIABLE not in algorithm.requires
        return "directed, changing" if not lossy else "directed, fixed, messages may get lost"
    if name == "newton":
        return "undirected, fixed, or with exact averages"
    if algorithm.accounts and Property.LINEAR in algorithm.requires:
        return "undirected, may change, messages may get lost"
    if Property.MEAN in algorithm.requires:
        return "balanced, may change; may be compressed; undirected, messages may get lost"
    return "any, also compressed or lossy"


def _paragraphs(algorithm: object) -> list[str]:
    parts = re.split(r"\n\s*\n", (type(algorithm).__doc__ or "").strip())
    return [" ".join(part.split()) for part in parts if not part.lstrip().startswith("Args:")]
