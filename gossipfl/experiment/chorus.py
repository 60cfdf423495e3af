"""One line of metrics from those of all peers that are there; must not know where they come from."""

from gossipfl.experiment.learn import Progress

WAITING = 64  # rounds that may wait for a peer that lags


class Chorus:
    """Puts the peers' lines of each round together. Peers leave, come back, and jump over rounds.

    A round is complete when all that are there have told a line of it or of a later one. Nothing is told twice.
    """

    def __init__(self, peers: int) -> None:
        self._newest = dict.fromkeys(range(peers), 0)  # the round of each peer that is there
        self._lines: dict[int, list[Progress]] = {}
        self._told = 0

    def hear(self, peer: int, line: Progress) -> list[Progress]:
        """The lines that this one completes. A peer that speaks is there."""
        self._newest[peer] = line.round
        if line.round > self._told:
            self._lines.setdefault(line.round, []).append(line)
        return self._complete()

    def leave(self, peer: int) -> list[Progress]:
        """The lines that waited for this peer only, which is gone."""
        self._newest.pop(peer, None)
        return self._complete()

    def _complete(self) -> list[Progress]:
        all_have = min(self._newest.values(), default=self._told)
        rounds = sorted(self._lines)
        ready = [round for round in rounds if round <= all_have] or rounds[: max(0, len(rounds) - WAITING)]
        self._told = ready[-1] if ready else self._told
        return [together(self._lines.pop(round)) for round in ready]


def together(lines: list[Progress]) -> Progress:
    """The mean loss, and the largest distance and time."""
    return Progress(
        lines[0].round,
        sum(line.loss for line in lines) / len(lines),
        max(line.disagreement for line in lines),
        max(line.seconds for line in lines),
    )
