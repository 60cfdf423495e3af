"""All peers of a study in virtual time: their real code, one thread at a time, over a network that a test controls.

Nothing depends on the speed of the machine, and no test waits: the clock jumps to the next event.
"""

import heapq
import math
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import networkx as nx
import torch
from torch import Tensor
from worlds import STUDY, Toy, metropolis, openings

from gossipfl.algorithms import Ingredients, Objective, Summed, Units, made
from gossipfl.algorithms.sums import DampedNewton, probe
from gossipfl.engine import Engine, Run
from gossipfl.errors import Ended
from gossipfl.experiment.learning.learn import Rest, Rhythm
from gossipfl.mixing import Mixing, Sum
from gossipfl.models.losses import Logistic
from gossipfl.models.shard import Shard
from gossipfl.peer import Exchange, Peer
from gossipfl.peer.fallback import PeerFallback
from gossipfl.peer.patience import LOOPBACK
from gossipfl.peer.wire import from_bytes, to_bytes
from gossipfl.topology import Topology, averaging, cycle, diameter, static, tree

COMPUTES = 0.0004  # approximate seconds of a round
TRAVELS = 0.001, 0.003  # seconds that a message travels, from and to
ORIGIN = 20  # the exchange at which learning begins
MOST = 200_000  # rounds after which a peer that has not settled is an error


class Killed(BaseException):
    """Ends the thread of a life at once."""


class Life:
    """One life of a peer (a `Transport` and a clock): a thread that runs only when the world allows it."""

    def __init__(self, world: "World", me: int, act: Callable[["Life"], None]) -> None:
        self.world, self.me, self.box = world, me, list[list[bytes]]()
        self.stopped = self.over = self._dying = False
        self.wrong: BaseException | None = None
        self._turn = 0
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._act = act
        threading.Thread(target=self._live, daemon=True).start()
        self.wake()

    def _live(self) -> None:
        self._go.acquire()
        try:
            if not self._dying:
                self._act(self)
        except Killed:
            pass
        except Exception as wrong:  # noqa: BLE001  raised again by the world
            self.wrong = wrong
        self.over = True
        self._back.release()

    def wake(self, after: float = 0.0) -> None:
        """Run it in `after` seconds, unless something else wakes it earlier."""
        self._turn = turn = self._turn + 1
        self.world.at(self.world.now + after, lambda: self._run(turn))

    def _run(self, turn: int) -> None:
        if turn == self._turn and not (self.over or self.stopped):
            self._go.release()
            self._back.acquire()

    def kill(self) -> None:
        if not self.over:
            self._dying = True
            self._go.release()
            self._back.acquire()

    def pause(self, seconds: float) -> None:
        """Called by the life itself: let the others run until it is woken."""
        self.wake(seconds)
        self._back.release()
        self._go.acquire()
        if self._dying:
            raise Killed

    sender = None  # links have no keys

    def clock(self) -> float:
        return self.world.now

    def compute(self) -> None:
        until = self.world.now + COMPUTES * self.world.chance.uniform(0.5, 1.5)
        while self.world.now < until:
            self.pause(until - self.world.now)

    def send(self, to: int, frames: list[bytes]) -> bool:
        self.world.carry(self.me, to, frames)
        return True

    def recv(self, timeout: float) -> list[bytes] | None:
        until = self.world.now + max(timeout, 1e-5)
        while not self.box:
            if self.world.now >= until - 1e-9:
                return None
            self.pause(until - self.world.now)
        return self.box.pop(0)

    def lost(self) -> set[int]:
        return {me for me, life in self.world.lives.items() if life.over}

    def why(self, peer: int) -> str:
        return ""

    def forget(self, to: int) -> None:
        pass

    def close(self) -> None:
        pass


class World:
    """Peers that learn until all have settled.

    Args:
        graph: the links between peers.
        kind: the algorithm.
        seed: of all durations.
        absent: seconds for which a peer that left without goodbye keeps the others from settling.
        alone: seconds for which a peer that comes back waits until somebody answers.
        certified: when all have settled they sum up a certificate, and go on where a sum lacks a peer.
        tolerance: at which they settle; 0: never.
        begins: the seconds at which they begin. Then they wait for each other first, as if they agreed on something.
    """

    def __init__(
        self,
        graph: nx.Graph,
        kind: str,
        seed: int = 0,
        absent: float = 60.0,
        alone: float = math.inf,
        certified: bool = False,
        tolerance: float = 1e-11,
        begins: Sequence[float] = (),
    ) -> None:
        self.graph, self.kind, self.absent, self.alone = graph, kind, absent, alone
        self.certified, self.voids, self.tolerance = certified, 0, tolerance
        self.chance = random.Random(seed)
        self.now = 100.0
        self.lives: dict[int, Life] = {}
        self.exchanges: dict[int, Exchange] = {}  # of the present lives
        self.cuts: set[tuple[int, int]] = set()  # (sender, receiver) between which nothing arrives
        self.travels = TRAVELS
        self.loses = 0.0  # the probability that a message is lost
        self.lies: dict[int, Callable[[list[bytes]], list[bytes]]] = {}  # what becomes of a peer's messages
        self.points: dict[int, tuple[int, Tensor]] = {}  # the checkpoints: round and model
        self.states: dict[int, Any] = {}  # the latest ones
        self.ended: dict[int, tuple[int, Tensor]] = {}  # round and model of the peers that have settled
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._arrival: dict[tuple[int, int], float] = {}
        self._step = 1 / float(Toy(range(len(graph)), peers=len(graph)).smoothness().max())
        self._agrees = bool(begins)
        for me in range(len(graph)):
            if begins:
                self.at(100.0 + begins[me], lambda me=me: self.begin(me))
            else:
                self.begin(me)

    def at(self, when: float, do: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._coming, (when, self._count, do))

    def carry(self, sender: int, to: int, frames: list[bytes]) -> None:
        """Deliver a message later, in order after earlier ones, to the current life of the receiver."""
        life = self.lives.get(to)
        frames = self.lies[sender](frames) if sender in self.lies else frames
        if (
            (sender, to) in self.cuts
            or not life
            or life.over
            or (self.loses and self.chance.random() < self.loses)
        ):
            return
        when = max(self.now + self.chance.uniform(*self.travels), self._arrival.get((sender, to), 0.0))
        self._arrival[sender, to] = when
        self.at(when, lambda: self._arrive(life, frames))

    def _arrive(self, life: Life, frames: list[bytes]) -> None:
        if not life.over:
            life.box.append(frames)
            if not life.stopped:
                life.wake()

    def run(self, until: float) -> None:
        """Run until all peers have ended, or until `until` seconds have passed. Raises the error of a life, if any."""
        while self._coming and self._coming[0][0] <= 100.0 + until and len(self.ended) < len(self.graph):
            when, _, do = heapq.heappop(self._coming)
            self.now = max(self.now, when)
            do()
            for life in self.lives.values():
                if life.wrong:
                    raise life.wrong
        for life in self.lives.values():
            life.kill()

    def stop(self, me: int) -> None:
        self.lives[me].stopped = True

    def resume(self, me: int) -> None:
        self.lives[me].stopped = False
        self.lives[me].wake()

    def begin(self, me: int, fresh: bool = False, late: bool = False) -> None:
        """Begin a life, from the checkpoint if there is one, otherwise from round 0 without a model.

        Where peers have learned to the end, nobody is left to come back to, and only those that are `late` begin.
        """
        if (late or not self.ended) and (me not in self.lives or self.lives[me].over):
            point = None if fresh else self.points.get(me)
            self.lives[me] = Life(self, me, lambda life: self._learn(life, point))

    def when(self, true: Callable[[], bool], do: Callable[[], None]) -> None:
        """Do that as soon as it is true."""
        self.at(self.now + 0.01, lambda: do() if true() else self.when(true, do))

    def _learn(self, life: Life, point: tuple[int, Tensor] | None) -> None:
        me, toy = life.me, Toy([life.me], peers=len(self.graph))
        draw = lambda: self.chance.getrandbits(62) | 1  # noqa: E731
        names = {i: f"p{i}" for i in range(len(self.graph))}
        exchange = Exchange(
            me, names, STUDY, openings(self.graph, me), life, 20.0, life.clock, patience=LOOPBACK, draw=draw
        )
        self.exchanges[me] = exchange
        if self._agrees:
            near = list(openings(self.graph, me))
            for number in range(ORIGIN - diameter(self.graph) - 2, ORIGIN):
                exchange.swap(number, near, near, b"")
        exchange.begin(
            ORIGIN,
            lambda: self.points[me][0].to_bytes(8) + to_bytes((self.points[me][1],)),
            MOST,
            self._step,
        )
        exchange.alone = self.alone if point else 0.0
        engine, turns = self._engine(exchange, toy)
        run: Run = engine.init(torch.zeros(1, toy.width, dtype=torch.float64) if point is None else point[1])
        if point:
            run = run._replace(round=point[0])
        rest = Rest(engine, run, self.tolerance, Rhythm(1, lambda: turns, diameter(self.graph), 1))
        while True:
            life.compute()
            try:
                run = engine.step(run)
            except Ended as ended:
                payload = ended.words.payload
                self.ended[me] = int.from_bytes(payload[:8]), from_bytes([payload[8:]], (run.state.x,))[0]
                return
            self.points[me] = run.round, run.state.x.clone()
            self.states[me] = run.state
            if rest.reached(run, run.round):
                if not (self.certified and engine.unsettle()) or self._certifies(life, exchange, toy, run):
                    break
                self.voids += 1
                rest.postpone(run.round)
            assert run.round < MOST, f"{me} does not settle"
        exchange.leave("settled")
        self.ended[me] = run.round, run.state.x
        exchange.part(1.0)

    def _engine(self, exchange: Exchange, toy: Toy) -> tuple[Engine, int]:
        whole, hops = static(metropolis(self.graph)), diameter(self.graph)

        def peer(kind: str, topology: Topology, gamma: float, turns: int = 1) -> Peer:
            step = 0.4 * self._step if kind == "gradient-tracking" else self._step
            algorithm = made(kind, Ingredients(step, hessian=toy.hessian, cycle=turns))
            return Peer(
                exchange, algorithm, toy, topology, Mixing(gamma=gamma), hops, origin=ORIGIN, learns=True
            )

        if self.kind == "tree":
            return self._summed(exchange, toy, peer("exact-diffusion", whole, 0.5))
        if self.kind != "newton":
            alone = peer(self.kind, whole, 1.0 if self.kind == "gradient-tracking" else 0.5)
            alone.tolerate(self.absent, agreed=True)
            return alone, 1
        turns: Sequence[Any] = averaging(self.graph).rounds(self.graph)
        fast, robust = peer("newton", cycle(turns), 1.0, len(turns)), peer("exact-diffusion", whole, 0.5)
        return PeerFallback(fast, robust, len(turns), self.absent, agreed=True), len(turns)

    def _certifies(self, life: Life, exchange: Exchange, toy: Toy, run: Run) -> bool:
        """Whether all peers took part in the sums of a certificate."""
        along, since, spent = tree(self.graph), exchange.number, exchange.neighbours.rumours.aside
        objective, rows, zero = self._parts(toy)
        method = probe(objective, Logistic(), 1e-11, thorough=False)
        summed = Summed(method, [rows], len(self.graph), along.exchanges, zero)
        aside = Peer(exchange, summed, None, cycle(along.rounds()), Mixing(Sum()), origin=since, aside=True)
        sums = aside.init(run.state.x)
        sums = sums._replace(state=sums.state._replace(apart=torch.ones_like(sums.state.apart)))
        state: Any = sums.state
        while not (state.voids[0] or (state.inner.finished[0] and not state.apart[0])):
            for _ in range(along.exchanges):
                life.compute()
                sums = aside.step(sums)
            state = sums.state
        exchange.neighbours.spread(aside=spent + exchange.number - since)
        return not state.voids[0]

    def _parts(self, toy: Toy) -> tuple[Objective, Shard, Tensor]:
        """The objective of sums, a peer's rows, and zeros."""
        ones = torch.ones(toy.width, dtype=torch.float64)
        labels, weights = (toy.b[0] + 1) / 2, torch.ones(len(toy.b[0]), dtype=torch.float64)
        return (
            Objective(ones, Units(ones, 0 * ones), toy.l2),
            Shard(toy.a[0], labels, weights, Logistic(), 1),
            0 * ones,
        )

    def summed(self, toys: Sequence[Toy]) -> Summed:
        """Newton's method by sums along a tree, for the rows of these peers."""
        parts = [self._parts(toy) for toy in toys]
        objective, _, zero = parts[0]
        method = DampedNewton(objective, Logistic(), 1e-11)
        return Summed(
            method, [rows for _, rows, _ in parts], len(self.graph), tree(self.graph).exchanges, zero
        )

    def _summed(self, exchange: Exchange, toy: Toy, robust: Peer) -> tuple[Engine, int]:
        along, summed = tree(self.graph), self.summed([toy])
        fast = Peer(exchange, summed, toy, cycle(along.rounds()), Mixing(Sum()), origin=ORIGIN, learns=True)
        return PeerFallback(fast, robust, along.exchanges, self.absent, agreed=True), along.exchanges
