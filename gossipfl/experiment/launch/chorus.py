"""One line of metrics from those of all peers that are there; must not know where they come from."""

from gossipfl.runs.events import Progress

WAITING = 64  # rounds that may wait for a peer that lags


class Chorus:
    """Puts the peers' lines of each round together. Peers leave, come back, and jump over rounds.

    A round is complete when all that are there have told a line of it or of a later one. No round is told twice.
    """

    def __init__(self, peers: int) -> None:
        self._newest: dict[int, Progress | None] = dict.fromkeys(range(peers))  # of each peer that is there
        self._lines: dict[int, dict[int, Progress]] = {}  # of each round that is not told yet, by peer
        self._told = 0

    def hear(self, peer: int, line: Progress) -> list[Progress]:
        """The lines that this one completes. A peer that speaks is there."""
        self._newest[peer] = line
        if line.round > self._told:
            self._lines.setdefault(line.round, {})[peer] = line
        return self._complete()

    def leave(self, peer: int) -> list[Progress]:
        """The lines that waited for this peer only, which is gone."""
        self._newest.pop(peer, None)
        return self._complete()

    def _complete(self) -> list[Progress]:
        newest = [line.round if line else 0 for line in self._newest.values()]
        all_have, rounds = min(newest, default=self._told), sorted(self._lines)
        ready = [round for round in rounds if round <= all_have] or rounds[: max(0, len(rounds) - WAITING)]
        self._told = ready[-1] if ready else self._told
        return [self._together(round, self._lines.pop(round)) for round in ready]

    def _together(self, round: int, lines: dict[int, Progress]) -> Progress:
        """The mean loss, and the largest distance and time: one that began anew counts seconds of its own.

        Of who jumped over the round, the newest line counts.
        """
        later = {peer: line for peer, line in self._newest.items() if line and line.round > round}
        every = (later | lines).values()
        return Progress(
            round,
            sum(line.loss for line in every) / len(every),
            max(line.disagreement for line in every),
            max(line.seconds for line in every),
        )
