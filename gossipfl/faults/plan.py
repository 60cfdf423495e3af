"""[[faults]] tables -> a plan; must not know how it is carried out.

The plan depends only on the tables, the graph and the seed, so that it is the same at every place that computes it.
"""

from collections.abc import Sequence

import networkx as nx

from gossipfl.config.fault import AMOUNT, MEASURED, Do, FaultSettings
from gossipfl.errors import BadExperiment
from gossipfl.faults.course import Course, Due, Plan
from gossipfl.faults.draw import Draw


def plan(faults: Sequence[FaultSettings], graph: nx.Graph, seed: int) -> Plan:
    """The plan of the tables.

    It keeps these laws: the last peer is never killed or stopped; a kill leaves the graph of the living peers connected; only
    dead peers restart; a fault with `lasts`, and each random fault, is undone in time.

    Args:
        faults: the tables of the experiment.
        graph: its nodes are the peers' names; peer number i is the i-th node.
        seed: of the random choices.

    Raises:
        BadExperiment: a fault contradicts the graph or an earlier fault, or some faults have a time and others a round.
    """
    if len({fault.at is None for fault in faults}) > 1:
        raise BadExperiment(
            "faults: some have a time (at) and some a round, and these have no common order: use at for all of them or "
            "round for all of them"
        )
    planner = Planner(graph, seed)
    for fault in faults:
        planner.add(fault)
    planner.course.run()
    unit = "rounds" if faults and faults[0].at is None else "seconds"
    return Plan(unit, tuple(planner.course.events))  # type: ignore[arg-type]


class Planner:
    """Turns faults into a course of events."""

    def __init__(self, graph: nx.Graph, seed: int) -> None:
        self._numbers = {name: me for me, name in enumerate(graph)}
        self._names = list(graph)
        self._draw = Draw(seed)
        self.course = Course(nx.relabel_nodes(graph, self._numbers))

    def add(self, fault: FaultSettings) -> None:
        if unknown := [name for name in fault.peers if name not in self._numbers]:
            raise _wrong(fault, f"there is no peer {unknown[0]}; the peers are {', '.join(self._names[:20])}")
        if fault.do == "random":
            self.course.later(fault.when, lambda _: self._random(fault, 0))
        else:
            self.course.later(fault.when, lambda now: self._named(fault, now))

    def _named(self, fault: FaultSettings, now: float) -> None:
        """A fault that is not random, at its time."""
        peers = tuple(sorted(self._numbers[name] for name in fault.peers))
        match fault.do:
            case "heal":
                self._heal(fault, peers, now)
            case "restart" | "continue":
                self._back(fault, peers, now)
            case "random":
                raise AssertionError("_random handles random faults")
            case do:
                struck = peers or self._whom(fault, do)
                if do in ("kill", "stop"):
                    self._allow(fault, do, struck)
                elif do == "cut" and not 0 < len(struck) < len(self._names):
                    raise _wrong(fault, "a cut needs peers on both of its sides: cut fewer peers")
                elif do == "cut" and struck in self.course.cuts.values():
                    raise _wrong(fault, "the same peers are cut off already at that time")
                due = Due(now, do, struck, fault.amount or 0.0, fault.jitter, fault.fresh)
                self.course.strike(due, None if fault.lasts is None else now + fault.lasts)

    def _whom(self, fault: FaultSettings, do: Do) -> tuple[int, ...]:
        """`count` peers, drawn; all peers without a count."""
        count = fault.count or len(self._names)
        if count > len(self._names):
            raise _wrong(fault, f"count = {count}, but there are only {len(self._names)} peers")
        if do == "cut":
            return self._draw.group(self.course.graph, count)
        if do not in ("kill", "stop"):
            left = list(self.course.graph)
            return tuple(sorted(left.pop(int(self._draw.uniform() * len(left))) for _ in range(count)))
        found = self._removed(do, count)
        if len(found) < count:
            raise _wrong(
                fault, f"no {count} peers can go at that time and leave the others connected: set count lower"
            )
        return found

    def _removed(self, do: Do, count: int) -> tuple[int, ...]:
        """Up to `count` peers whose removal leaves the others connected."""
        here = self.course.alive if do == "kill" else self.course.running
        found: list[int] = []
        while len(found) < count:
            rest = self.course.graph.subgraph(here - {*found})
            peer = self._draw.removable(rest)
            if peer is None or not self.course.running - {*found, peer}:
                break
            found.append(peer)
        return tuple(sorted(found))

    def _allow(self, fault: FaultSettings, do: Do, peers: tuple[int, ...]) -> None:
        """Refuse peers that cannot be killed or stopped."""
        course = self.course
        here = course.alive if do == "kill" else course.running
        if gone := [self._names[peer] for peer in peers if peer not in here]:
            raise _wrong(
                fault,
                f"already {'dead' if do == 'kill' else 'dead or stopped'} at that time: {', '.join(gone)}",
            )
        if not course.running - {*peers}:
            raise _wrong(fault, "no running peer would be left")
        if do == "kill" and not course.joined(course.alive - {*peers}):
            raise _wrong(fault, "the remaining peers would not be connected: name other peers, or use cut")

    def _back(self, fault: FaultSettings, peers: tuple[int, ...], now: float) -> None:
        do, kind, state = (
            ("restart", "kill", "dead") if fault.do == "restart" else ("continue", "stop", "stopped")
        )
        hit = self.course.hit(kind)
        if idle := [self._names[peer] for peer in peers if peer not in hit]:
            raise _wrong(fault, f"not {state} at that time: {', '.join(idle)}")
        chosen = peers or tuple(sorted(hit))
        if fault.count and fault.count < len(chosen):
            left = list(chosen)
            chosen = tuple(left.pop(int(self._draw.uniform() * len(left))) for _ in range(fault.count))
        if not chosen:
            raise _wrong(fault, f"no peer is {state} at that time")
        self.course.back(do, tuple(sorted(chosen)), now, fault.fresh)  # type: ignore[arg-type]

    def _heal(self, fault: FaultSettings, peers: tuple[int, ...], now: float) -> None:
        cuts = [cut for cut, group in self.course.cuts.items() if not peers or group == peers]
        if not cuts:
            raise _wrong(fault, "there is no such cut at that time: name the same peers as the cut, or none")
        for cut in cuts:
            self.course.heal(cut, now)

    def _random(self, fault: FaultSettings, k: int) -> None:
        """Plan the k-th random fault and schedule the next one. A draw that is impossible has no effect."""
        if fault.every is None or fault.until is None:
            raise AssertionError("checked when the file was read")
        every, end, now = fault.every, fault.until, fault.when + k * fault.every
        if now >= end:
            return
        self.course.later(fault.when + (k + 1) * every, lambda _: self._random(fault, k + 1))
        kind = self._draw.one(fault.kinds)
        span = (fault.lasts or 2 * every) * (0.25 + 0.75 * self._draw.uniform())
        until = min(end, now + (span if fault.at is not None else max(1, round(span))))
        fresh = fault.fresh and self._draw.uniform() < 0.5
        if peers := self._victims(kind):
            amount = (fault.amount or AMOUNT) if kind in MEASURED else 0.0
            due = Due(now, kind, peers, amount, fault.jitter if kind == "delay" else 0.0, fresh)
            self.course.strike(due, until, every, end)

    def _victims(self, kind: Do) -> tuple[int, ...]:
        """The peers that a random fault strikes; none if it is impossible."""
        if kind in ("kill", "stop"):
            return self._removed(kind, 1)
        graph = self.course.graph
        if kind == "cut":
            free = not self.course.cuts and len(graph) > 1
            return self._draw.group(graph, 1 + int(self._draw.uniform() * (len(graph) // 2))) if free else ()
        spared = [peer for peer in graph if peer not in self.course.hit(kind)]
        return (self._draw.one(spared),) if spared else ()


def _wrong(fault: FaultSettings, why: str) -> BadExperiment:
    return BadExperiment(f"faults, {fault.title}: {why}")
