"""The peers of a study, wherever they run, and what they say; must not take part in the learning.

It waits for events only: a word of a peer, the end of one, or the time of a fault that the experiment asks for.
"""

import time
from collections.abc import Iterator, Sequence

from gossipfl.errors import GossipError
from gossipfl.experiment.launch.chorus import Chorus
from gossipfl.experiment.launch.failure import Failed, failure
from gossipfl.experiment.launch.placement import Placement
from gossipfl.experiment.live.reports import Report
from gossipfl.experiment.study.study import Study
from gossipfl.faults import Due
from gossipfl.faults.director import Director, told
from gossipfl.faults.network import FaultyNetwork
from gossipfl.runs.events import Progress, Struck, Warned

__all__ = ["Crew", "Failed"]

Told = Progress | Struck | Warned


class Crew:
    """The peers, what happens to them, and what they have said so far: each in its last life.

    Args:
        made: the study.
        placement: where the peers run; they start at once.
        between: what lies between them.
        rejoin: they go on from their checkpoints.
    """

    def __init__(
        self, made: Study, placement: Placement, between: FaultyNetwork, rejoin: bool = False
    ) -> None:
        self.names = made.names
        self.reports: dict[int, Report] = {}
        self.status: dict[int, str] = {}
        self.learning_since = time.monotonic()
        self.faults = 0  # carried out so far
        self._placement, self._between = placement, between
        self._director = Director(made.faults)
        self._chorus = Chorus(len(self.names))
        self._learning: set[int] = set()
        self._began = self._asked = False
        self._killed: set[int] = set()  # on purpose
        self._away: set[int] = set()  # who may go on, and has not told of it yet
        self._round = 0
        for me in range(len(self.names)):
            placement.start(me, placement.endpoint(me), rejoin)

    def follow(self) -> Iterator[Told]:
        """What the peers tell until all have ended, as one line for each round, and the faults that are carried out."""
        interrupted = False
        while self._placement.present - self._placement.stopped:
            try:
                for me in self._placement.wait(self._director.patience(self._seconds())):
                    yield from self._take(me)
                for due in self._director.due(self._seconds(), self._round):
                    yield from self._carry_out(due)
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True
                self.interrupt()
        for me in list(self._placement.present):  # they are stopped, and nobody is left to go on with
            self._killed.add(me)
            self._placement.signal(me, "kill")
            yield from self._drain(me)

    def interrupt(self) -> None:
        """Ask all peers to end early and politely; nothing more goes wrong on purpose."""
        self._asked = True
        self._director.end()
        for me in list(self._placement.present):
            if me in self._placement.stopped:
                self._placement.signal(me, "continue")
            self._placement.signal(me, "interrupt")

    @property
    def missed(self) -> int:
        """Faults whose time has not come."""
        return self._director.coming

    @property
    def lost(self) -> list[int]:
        """The peers that died by themselves."""
        if self._asked:
            return []
        return [me for me in sorted(self.status) if me not in self.reports and me not in self._killed]

    def failure(self) -> GossipError | None:
        """Why the crew could not go on, if it could not."""
        return failure([f"{self.names[me]} {self.status[me]}" for me in self.lost], self.reports)

    def close(self) -> None:
        """End whatever still runs, and wait for it."""
        self._placement.close()
        self._between.close()

    def _seconds(self) -> float | None:
        return time.monotonic() - self.learning_since if self._began else None

    def _take(self, me: int) -> Sequence[Told]:
        """Hear what one peer tells next, or that it has ended: what there is to tell of it."""
        if me not in self._placement.present:  # it was drained meanwhile
            return []
        said = self._placement.hear(me)
        if said is None:
            return self._ended(me)
        word, what = said
        match word:
            case "endpoint":
                self._listens(me, what)
            case "learning":
                self._learning.add(me)
                self._begin()
            case "progress":
                self._round = max(self._round, what.round)
                return [*self._back(me), *self._chorus.hear(me, what)]
            case "warning":
                return [Warned(self.names[me], what)]
            case "report":
                self.reports[me] = what
        return []

    def _back(self, me: int) -> list[Struck]:
        """Whether a peer that was away has come as far as learning."""
        if me not in self._away:
            return []
        self._away.discard(me)
        return [self._struck(f"{self.names[me]} learns again", "back", (me,), False)]

    def _struck(self, words: str, do: str, peers: Sequence[int], begins: bool) -> Struck:
        now = time.monotonic() - self.learning_since
        return Struck(words, now, do, begins, tuple(self.names[me] for me in peers))

    def _drain(self, me: int) -> Iterator[Told]:
        """All that a dead peer has told."""
        while me in self._placement.present:
            yield from self._take(me)

    def _listens(self, me: int, endpoint: str) -> None:
        """Tell those that can be told where their neighbours listen."""
        for one in self._between.listens(me, endpoint):
            if one in self._placement.present:
                self._placement.say(one, self._between.connections(one))

    def _begin(self) -> None:
        """Learning begins when all that are there do."""
        if not self._began and self._learning and self._learning >= self._placement.present:
            self._began, self.learning_since = True, time.monotonic()

    def _ended(self, me: int) -> Sequence[Told]:
        how, report = self._placement.outcome(me), self.reports.get(me)
        if report is not None:
            self.status[me] = f"failed: {report.error}" if report.error else report.stopped
        else:
            self.status[me] = "killed, as the faults say" if me in self._killed else how
        if not self._between.complete:  # it never listened, so that nobody can begin
            self.interrupt()
        self._begin()
        return self._chorus.leave(me)

    def _carry_out(self, due: Due) -> Iterator[Told]:
        """Do what a fault says to those of its peers that it can still befall."""
        ended = set(self.reports) | {me for me in self.status if me not in self._killed}
        if due.do in ("restart", "kill", "stop", "continue"):
            can = {"restart": self._killed - ended, "continue": self._placement.stopped}
            allowed = can.get(due.do, self._placement.present - ended)
            due = due._replace(peers=tuple(me for me in due.peers if me in allowed))
            for me in due.peers:
                yield from self._strike(me, due)
        elif due.do in ("loss", "duplicate"):
            for me in due.peers:
                self._placement.chance(me, int(due.do == "duplicate"), due.amount)
        else:
            self._between.change(due)
        if due.peers:
            self.faults += 1
            yield self._struck(told(due, self.names), due.do, due.peers, due.begins)

    def _strike(self, me: int, due: Due) -> Iterator[Told]:
        match due.do:
            case "kill":
                self._away.discard(me)
                self._killed.add(me)
                self._placement.signal(me, "kill")
                yield from self._chorus.leave(me)
            case "stop":
                self._placement.signal(me, "stop")
                yield from self._chorus.leave(me)
            case "continue":
                self._away.add(me)
                self._placement.signal(me, "continue")
            case _:
                yield from self._drain(me)
                if me not in self.reports:
                    self._away.add(me)
                    self._killed.discard(me)
                    self.status.pop(me, None)
                    self._placement.start(
                        me, self._between.endpoints[me], rejoin=not due.fresh, fresh=due.fresh
                    )
