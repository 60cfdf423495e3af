"""One line of metrics for all present peers, from the line of each; must not know where the lines come from."""

from gossipfl.runs.events import Progress

WAITING = 64  # maximum number of rounds that wait for a slow peer


class Chorus:
    """Joins the peers' lines of each round. Peers may leave, come back, and skip rounds.

    A round is complete when each present peer has sent a line of it or of a later round. Each round gives at most one line.
    """

    def __init__(self, peers: int) -> None:
        self._newest: dict[int, Progress | None] = dict.fromkeys(range(peers))  # of each present peer
        self._lines: dict[int, dict[int, Progress]] = {}  # of each round that is not complete, by peer
        self._last = 0  # the newest complete round

    def hear(self, peer: int, line: Progress) -> list[Progress]:
        """The joint lines that this line completes. A peer that sends a line is present."""
        self._newest[peer] = line
        if line.round > self._last:
            self._lines.setdefault(line.round, {})[peer] = line
        return self._complete()

    def leave(self, peer: int) -> list[Progress]:
        """The joint lines that waited only for this peer, which has left."""
        self._newest.pop(peer, None)
        return self._complete()

    def _complete(self) -> list[Progress]:
        newest = [line.round if line else 0 for line in self._newest.values()]
        all_have, rounds = min(newest, default=self._last), sorted(self._lines)
        ready = [round for round in rounds if round <= all_have] or rounds[: max(0, len(rounds) - WAITING)]
        self._last = ready[-1] if ready else self._last
        return [self._joined(round, self._lines.pop(round)) for round in ready]

    def _joined(self, round: int, lines: dict[int, Progress]) -> Progress:
        """The mean loss, the largest disagreement, the largest time (a restarted peer counts its own seconds) and all messages.

        For a peer that skipped the round, its newest line counts.
        """
        later = {peer: line for peer, line in self._newest.items() if line and line.round > round}
        every = (later | lines).values()
        return Progress(
            round,
            sum(line.loss for line in every) / len(every),
            max(line.disagreement for line in every),
            max(line.seconds for line in every),
            sum(line.messages for line in every),
        )
