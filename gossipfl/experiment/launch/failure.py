"""Why a crew of peers could not go on, from what they have told; must not know processes."""

from collections.abc import Mapping, Sequence

from gossipfl.errors import GossipError, NetworkError
from gossipfl.experiment.live.reports import Report


class Failed(GossipError):
    """A peer could not go on; `exit_code` is that of its own error."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]


def failure(lost: Sequence[str], reports: Mapping[int, Report]) -> GossipError | None:
    """The first cause of why a peer could not go on, if one could not. A death that the others got over is none.

    Args:
        lost: the peers that died by themselves, each with how.
        reports: of the others.
    """
    causes = [r for r in reports.values() if r.error and not r.departed]
    well = [r for r in reports.values() if r.model is not None and not r.error]
    if lost and (causes or not well):
        who = "; ".join(f"peer {one}" for one in lost[:8]) + ("; ..." if len(lost) > 8 else "")
        return NetworkError(f"{who}: the others could not learn without; see log.jsonl in its folder")
    departed = [r for r in reports.values() if r.error]
    if first := (causes or departed)[:1]:
        return Failed(first[0].error, first[0].exit_code)
    return None
