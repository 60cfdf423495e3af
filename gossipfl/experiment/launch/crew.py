"""Start, watch and stop the peers of a study, wherever they run; must not take part in the learning.

A crew waits for events only: a message of a peer, the end of a peer, or the time of a fault.
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

TERMINATED = "killed by SIGTERM"  # the end of a peer that was asked to end before it could answer
Told = Progress | Struck | Warned


class Crew:
    """The peers of a study, their state and their reports. A peer that is started again replaces its earlier state.

    Args:
        made: the study.
        placement: where the peers run. The crew starts them at once.
        between: the network between the peers, with its faults.
        rejoin: whether the peers continue from their checkpoints.
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
        self._warned: set[str] = set()
        self._away: set[int] = set()  # they may continue, and have sent no progress since
        self._restarted: set[int] = set()  # those of them that began again
        self._round = 0
        for me in range(len(self.names)):
            placement.start(me, placement.endpoint(me), rejoin)

    def follow(self) -> Iterator[Told]:
        """Progress (one line for each round), warnings and faults, as they come, until all peers have ended."""
        interrupted = False
        while self._placement.present - self._placement.stopped - self._late:
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
        for me in list(self._placement.present):  # they are stopped, or came back when no other peer was left
            self._killed.add(me)
            self._placement.signal(me, "kill")
            yield from self._drain(me)

    def interrupt(self) -> None:
        """Ask all peers to end early. No fault is carried out after this."""
        self._asked = True
        self._director.end()
        for me in list(self._placement.present):
            if me in self._placement.stopped:
                self._placement.signal(me, "continue")
            self._placement.signal(me, "interrupt")

    @property
    def missed(self) -> int:
        """How many faults have not been carried out."""
        return self._director.coming

    @property
    def lost(self) -> list[int]:
        """The peers that died without a report, and neither because of a fault nor because they were asked to end."""
        return [
            me
            for me in sorted(self.status)
            if me not in self.reports
            and me not in self._killed
            and not (self._asked and self.status[me] == TERMINATED)
        ]

    def failure(self) -> GossipError | None:
        """The error that ended the run, or None."""
        return failure([f"{self.names[me]} {self.status[me]}" for me in self.lost], self.reports)

    def close(self) -> None:
        """End all peers that still run, and wait for them."""
        self._placement.close()
        self._between.close()

    def _seconds(self) -> float | None:
        return time.monotonic() - self.learning_since if self._began else None

    def _take(self, me: int) -> Sequence[Told]:
        """Read the next message of one peer, or its end; returns what to show of it."""
        if me not in self._placement.present:  # `_drain` has read its end
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
            case "agreed":
                return self._once(what)
            case "warning":
                return [Warned(self.names[me], what)]
            case "report":
                self.reports[me] = what
                if what.error and not self._began:  # then nobody can begin
                    self.interrupt()
        return []

    def _once(self, warning: str) -> list[Warned]:
        """A warning that all peers give, when the first one gives it."""
        if warning in self._warned:
            return []
        self._warned.add(warning)
        return [Warned("", warning)]

    def _back(self, me: int) -> list[Struck]:
        """An event if this peer was away and learns again."""
        if me not in self._away:
            return []
        self._away.discard(me)
        return [self._struck(f"{self.names[me]} learns again", "back", (me,), False)]

    def _struck(self, words: str, do: str, peers: Sequence[int], begins: bool) -> Struck:
        now = time.monotonic() - self.learning_since
        return Struck(words, now, do, begins, tuple(self.names[me] for me in peers))

    def _drain(self, me: int) -> Iterator[Told]:
        """Read all messages of a dead peer."""
        while me in self._placement.present:
            yield from self._take(me)

    def _listens(self, me: int, endpoint: str) -> None:
        """Note an endpoint. Send the endpoints of neighbours to all peers once all listen, or to this one if it came back."""
        for one in self._between.listens(me, endpoint):
            if one in self._placement.present:
                self._placement.say(one, self._between.connections(one))

    @property
    def _late(self) -> set[int]:
        """The peers that began again, and have not learned before others ended."""
        return self._restarted & self._away if self.reports else set()

    def _begin(self) -> None:
        """Take the time when all present peers learn."""
        if not self._began and self._learning and self._learning >= self._placement.present:
            self._began, self.learning_since = True, time.monotonic()

    def _ended(self, me: int) -> Sequence[Told]:
        how, report = self._placement.outcome(me), self.reports.get(me)
        if report is not None:
            self.status[me] = f"failed: {report.error}" if report.error else report.stopped
        else:
            self.status[me] = "killed, as the faults say" if me in self._killed else how
        if not self._between.complete:  # a peer ended before it listened: no peer can begin
            self.interrupt()
        self._begin()
        return self._chorus.leave(me)

    def _carry_out(self, due: Due) -> Iterator[Told]:
        """Carry out a fault on those of its peers that can still have it."""
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
                    self._restarted.add(me)
                    self._killed.discard(me)
                    self.status.pop(me, None)
                    self._placement.start(
                        me, self._between.endpoints[me], rejoin=not due.fresh, fresh=due.fresh
                    )
