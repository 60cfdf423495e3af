"""A plan of faults as a list of events, and the state of the peers while it is made; must not know chance."""

import heapq
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

import networkx as nx

from gossipfl.config.fault import MEASURED, Do
from gossipfl.faults.draw import connected

PROXIED = ("cut", "heal", "delay", "reset")
UNDO: dict[str, Do] = {"kill": "restart", "stop": "continue"}  # other faults end with an amount of 0
ENDS, BEGINS = 0, 1  # at equal times, faults end before others begin
Act = Callable[[float], None]


class Due(NamedTuple):
    """One event of a plan."""

    when: float  # seconds since learning began, or a round
    do: Do
    peers: tuple[int, ...]  # a cut is between these and all others
    amount: float = 0.0  # seconds of delay, probability of loss or duplicate; 0 ends the fault
    jitter: float = 0.0
    fresh: bool = False  # restart without a checkpoint

    @property
    def begins(self) -> bool:
        """Whether this event begins a fault; otherwise it ends one."""
        return self.do not in ("restart", "continue", "heal") and (self.amount > 0 or self.do not in MEASURED)


class Plan(NamedTuple):
    """All events, in order of time."""

    unit: Literal["seconds", "rounds"] = "seconds"
    events: tuple[Due, ...] = ()

    @property
    def proxied(self) -> bool:
        """Whether an event changes connections, so that they must pass a proxy."""
        return any(event.do in PROXIED for event in self.events)

    @property
    def unreliable(self) -> bool:
        """Whether messages get lost or duplicated."""
        return any(event.do in ("loss", "duplicate") for event in self.events)


class Course:
    """The events planned so far, and the state of the peers at the time that is being planned.

    Args:
        graph: the peers, by number.
    """

    def __init__(self, graph: nx.Graph) -> None:
        self.graph = graph
        self.events: list[Due] = []
        self.cuts: dict[int, tuple[int, ...]] = {}
        self._affected: dict[str, dict[int, int]] = {}  # kind -> peer -> number of the fault that did it
        self._agenda: list[tuple[float, int, int, Act]] = []
        self._count = 0

    def later(self, when: float, act: Act, rank: int = BEGINS) -> None:
        """Call `act` when planning reaches that time."""
        heapq.heappush(self._agenda, (when, rank, self._number(), act))

    def run(self) -> None:
        while self._agenda:
            when, _, _, act = heapq.heappop(self._agenda)
            act(when)

    def hit(self, kind: str) -> dict[int, int]:
        """The peers that a kind of fault affects, each with the number of that fault."""
        return self._affected.setdefault(kind, {})

    @property
    def alive(self) -> set[int]:
        return set(self.graph) - set(self.hit("kill"))

    @property
    def running(self) -> set[int]:
        return self.alive - set(self.hit("stop"))

    def joined(self, peers: Iterable[int]) -> bool:
        """Whether the graph of these peers alone is connected."""
        return connected(self.graph.subgraph(peers))

    def strike(self, due: Due, until: float | None = None, again: float = 0.0, end: float = 0.0) -> None:
        """Begin a fault; it ends at `until`.

        A restart without a living neighbour waits for another `again`, but not beyond `end`.
        """
        number = self._number()
        self.events.append(due._replace(fresh=False))
        if due.do == "cut":
            self.cuts[number] = due.peers
        elif due.do != "reset":
            self.hit(due.do).update(dict.fromkeys(due.peers, number))
        if due.do == "kill":
            for peer in due.peers:
                self.hit("stop").pop(peer, None)
        if until is None or due.do == "reset":
            return

        def over(now: float) -> None:
            lonely = again and due.do == "kill" and not self.joined(self.alive | {*due.peers})
            if lonely and now < end:
                self.later(min(now + again, end), over, ENDS)
            elif due.do == "cut":
                self.heal(number, now)
            else:
                self._undo(due, number, now)

        self.later(until, over, ENDS)

    def heal(self, cut: int, now: float) -> None:
        if group := self.cuts.pop(cut, ()):
            self.events.append(Due(now, "heal", group))

    def back(self, do: Do, peers: tuple[int, ...], now: float, fresh: bool = False) -> None:
        """Restart or continue these peers now."""
        hit = self.hit("kill" if do == "restart" else "stop")
        for peer in peers:
            del hit[peer]
        self.events.append(Due(now, do, peers, fresh=fresh))

    def _undo(self, due: Due, number: int, now: float) -> None:
        """End a fault at the peers that no later event has changed."""
        hit = self.hit(due.do)
        left = tuple(peer for peer in due.peers if hit.get(peer) == number)
        for peer in left:
            del hit[peer]
        if left:
            fresh = due.fresh and due.do == "kill"
            self.events.append(Due(now, UNDO.get(due.do, due.do), left, fresh=fresh))

    def _number(self) -> int:
        self._count += 1
        return self._count
