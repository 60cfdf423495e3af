"""What is known of the algorithms, read off their code; must not know how experiments are run.

Formula and papers are those of the docstrings; where an algorithm may be used follows from what it requires.
"""

import re
from dataclasses import asdict, dataclass
from typing import Any

from gossipfl.algorithms import METHODS, Algorithm, Ingredients, Method, PushSum, Summed, made
from gossipfl.config.algorithm import KEYS
from gossipfl.gossip import GossipLearning, Pegasos
from gossipfl.mixing import COMPRESSORS, Amount, Average, Feedback, Property
from gossipfl.mixing.compressors import TopK
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
    keys: str  # of [algorithm]


AUTO = (
    "The default. On links that do not change it stands for newton with up to 1,000 parameters, and for lbfgs with more. "
    "Where these do not fit, it stands for exact-diffusion (nids with an l1 penalty); on directed links for push-diging, or "
    "push-pull where these lose messages; over compressed messages for beer; "
    "for private sums dp-gd, or adassp for linear regression."
)


def entries() -> list[Entry]:
    """All kinds of algorithms, in the order of their table."""
    return [_entry(kind) for kind in METHODS]


def as_json() -> dict[str, Any]:
    """The algorithms by kind, and the compressors by name."""
    return {
        "algorithms": {entry.name: asdict(entry) for entry in entries()},
        "auto": AUTO,
        "compressors": {name: _paragraphs(make(Amount()))[0] for name, make in COMPRESSORS.items()},
    }


def _entry(kind: str) -> Entry:
    method = METHODS[kind]
    if not method.rounds:
        return _gossip(kind, method, GossipLearning(Pegasos(LOSSES["svm"]())))
    algorithm = made(kind, Ingredients(1.0))
    formula, *about, papers = _paragraphs(algorithm.method if isinstance(algorithm, Summed) else algorithm)
    if isinstance(algorithm, PushSum):
        inner, *_ = _paragraphs(algorithm.inner)
        formula = f"{formula} Moving u by: {inner}"
    if method.feedback:
        channel, sources = _paragraphs(Feedback(TopK(0.1)))
        formula, papers = f"{formula} Over messages r' = r + C(x - r): {channel}", f"{papers} {sources}"
    return Entry(
        kind, method.summary, formula, method.sends, _links(method, algorithm), method.exact, " ".join(about), papers,
        ", ".join(KEYS[kind]),
    )  # fmt: skip


def _gossip(kind: str, method: Method, learning: GossipLearning) -> Entry:
    """Gossip learning has no rounds: its parts say what they do."""
    formula, settings = _paragraphs(learning)
    rule, *about, papers = _paragraphs(learning.rule)
    created = _paragraphs(learning.create)[0]
    return Entry(
        kind,
        method.summary,
        f"{formula} Create: {created} Rule, t being the age of the model: {rule}",
        method.sends,
        "any, fixed; messages may get lost",
        method.exact,
        " ".join([*about, f"Settings: {settings}"]),
        papers,
        ", ".join((*KEYS[kind], "and those of [gossip]")),
    )


def _links(method: Method, algorithm: Algorithm) -> str:
    """The topologies on which an algorithm is right, from what it requires."""
    if not method.talks or method.sums:
        lost = "" if method.private else "; exact diffusion takes over where messages get lost"
        return f"any, fixed{lost}" if method.talks else "none"
    if not isinstance(method.aggregator, Average):
        lossy = Property.RELIABLE not in algorithm.requires
        return "directed, changing" if not lossy else "directed, fixed, messages may get lost"
    if method.averages or method.feedback:
        return (
            "fixed, or changing with exact averages" if method.averages else "fixed; no message may get lost"
        )
    if algorithm.accounts and Property.LINEAR in algorithm.requires:
        return "undirected, may change, messages may get lost"
    if Property.MEAN in algorithm.requires:
        return "balanced, may change; undirected, messages may get lost"
    return "any, also lossy"


def _paragraphs(algorithm: object) -> list[str]:
    parts = re.split(r"\n\s*\n", (type(algorithm).__doc__ or "").strip())
    return [" ".join(part.split()) for part in parts if not part.lstrip().startswith("Args:")]
