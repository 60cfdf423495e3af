"""The course of events while it is planned: who is dead, stopped or cut off by then; must not know chance."""

import heapq
from collections.abc import Callable, Iterable

import networkx as nx

from gossipfl.config.fault import Do
from gossipfl.faults.draw import connected
from gossipfl.faults.due import Due

UNDO: dict[str, Do] = {"kill": "restart", "stop": "continue"}  # other things end by an amount of 0
ENDS, BEGINS = 0, 1  # at the same time something ends before something begins
Act = Callable[[float], None]


class Course:
    """What has been planned, and the state of the world at the moment that is being planned.

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
        """Plan `act` when the course has come to that time."""
        heapq.heappush(self._agenda, (when, rank, self._number(), act))

    def run(self) -> None:
        while self._agenda:
            when, _, _, act = heapq.heappop(self._agenda)
            act(when)

    def hit(self, kind: str) -> dict[int, int]:
        """The peers that are dead ("kill"), stopped, delayed and so on, and by which fault."""
        return self._affected.setdefault(kind, {})

    @property
    def alive(self) -> set[int]:
        return set(self.graph) - set(self.hit("kill"))

    @property
    def running(self) -> set[int]:
        return self.alive - set(self.hit("stop"))

    def joined(self, peers: Iterable[int]) -> bool:
        """Whether these peers alone hang together."""
        return connected(self.graph.subgraph(peers))

    def strike(self, due: Due, until: float | None = None, again: float = 0.0, end: float = 0.0) -> None:
        """Something goes wrong, and ends at `until`.

        A restart that would find no living neighbour is put off by `again`, until `end` at the latest.
        """
        mine = self._number()
        self.events.append(due._replace(fresh=False))
        if due.do == "cut":
            self.cuts[mine] = due.peers
        elif due.do != "reset":
            self.hit(due.do).update(dict.fromkeys(due.peers, mine))
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
                self.heal(mine, now)
            else:
                self._undo(due, mine, now)

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

    def _undo(self, due: Due, mine: int, now: float) -> None:
        """The end of what is still as that fault left it."""
        hit = self.hit(due.do)
        left = tuple(peer for peer in due.peers if hit.get(peer) == mine)
        for peer in left:
            del hit[peer]
        if left:
            fresh = due.fresh and due.do == "kill"
            self.events.append(Due(now, UNDO.get(due.do, due.do), left, fresh=fresh))

    def _number(self) -> int:
        self._count += 1
        return self._count
