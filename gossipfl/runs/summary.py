"""Reading a run's summary.json; must not know what it is used for.

The structs have only the fields that the verdict and the tables of results need.
"""

from pathlib import Path
from typing import Any

import msgspec

from gossipfl.errors import BadExperiment

FORMAT = 2  # of a run folder; older results can still be read, older checkpoints cannot

Figures = dict[str, float | None]


class PeerSummary(msgspec.Struct):
    """How one peer ended."""

    rounds: int
    stopped: str


class Tested(msgspec.Struct):
    """Metrics on test rows."""

    all: Figures
    mean: Figures
    peers: dict[str, Figures]
    own: Figures = {}  # gossip learning only: of the peers' own models
    voted: Figures = {}  # gossip learning only: of each peer's vote


class PooledSummary(msgspec.Struct):
    """The results of the pooled optimum."""

    test: Tested | None


class Seconds(msgspec.Struct):
    startup: float
    learning: float
    reference: float = 0.0  # to compute the pooled optimum


class RunSummary(PeerSummary):
    """How a run of all peers ended, or the run of one peer with an evaluation."""

    peers: int
    why: str
    step: float
    agreed: bool
    consensus_distance: float | None
    distance_to_optimum: float | None
    messages_sent: int
    bytes_sent: int
    seconds: Seconds
    test: Tested | None
    peer_status: dict[str, str]
    pooled: PooledSummary | None = None
    lost: list[str] = []


def read_summary(folder: Path) -> dict[str, Any]:
    """The content of summary.json in a run folder; empty if the run has not ended.

    Raises:
        BadExperiment: the file is empty, cut off, or not from gossipfl.
    """
    try:
        content = (folder / "summary.json").read_bytes()
        summary = msgspec.json.decode(content, type=dict[str, Any])
        msgspec.convert(summary, RunSummary if "peers" in summary else PeerSummary)
        return _upgraded(summary)
    except FileNotFoundError:
        return {}
    except OSError as why:
        raise _damaged(folder, why.strerror or "it cannot be read") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as why:
        raise _damaged(folder, str(why) if content.strip() else "it is empty") from None


def _upgraded(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary in the present format. Format 1 has no "one_model"; in it only gossip learning has "own" figures."""
    if "peers" in summary:
        summary.setdefault("one_model", "own" not in (summary.get("test") or {}))
    return summary


def _damaged(folder: Path, why: str) -> BadExperiment:
    return BadExperiment(
        f"{folder} is damaged: its summary.json is not valid ({why}). Remove this folder, or run its experiment again: "
        f"gossipfl run {folder}/config.toml"
    )
