"""A run's summary.json, read again; must not know what is done with it.

What is asked of one is as little as the verdict and the tables of results need.
"""

from pathlib import Path
from typing import Any

import msgspec

from gossipfl.errors import BadExperiment

FORMAT = 2  # of a run folder; older results stay readable, older checkpoints do not

Figures = dict[str, float | None]


class PeerSummary(msgspec.Struct):
    """How one peer ended."""

    rounds: int
    stopped: str


class Tested(msgspec.Struct):
    """Metrics on rows that nobody learned from."""

    all: Figures
    mean: Figures
    peers: dict[str, Figures]
    own: Figures = {}  # of gossiping peers
    voted: Figures = {}


class PooledSummary(msgspec.Struct):
    """What the pooled data would have given."""

    test: Tested | None


class Seconds(msgspec.Struct):
    startup: float
    learning: float


class RunSummary(PeerSummary):
    """How a run of all peers ended, or of one that judged itself."""

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
    """What the summary.json in a run folder says; empty, where the run has not ended.

    Raises:
        BadExperiment: it is empty, cut off, or not one that gossipfl writes.
    """
    try:
        content = (folder / "summary.json").read_bytes()
        told = msgspec.json.decode(content, type=dict[str, Any])
        msgspec.convert(told, RunSummary if "peers" in told else PeerSummary)
        return _today(told)
    except FileNotFoundError:
        return {}
    except OSError as why:
        raise _damaged(folder, why.strerror or "it cannot be read") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as why:
        raise _damaged(folder, str(why) if content.strip() else "it is empty") from None


def _today(told: dict[str, Any]) -> dict[str, Any]:
    """A summary in today's form. Before format 2 only gossip learning had "own" figures, and no "one_model"."""
    if "peers" in told:
        told.setdefault("one_model", "own" not in (told.get("test") or {}))
    return told


def _damaged(folder: Path, why: str) -> BadExperiment:
    return BadExperiment(
        f"{folder} is damaged: its summary.json is none that gossipfl writes ({why}). Remove that folder, or run its "
        f"experiment again: gossipfl run {folder}/config.toml"
    )
