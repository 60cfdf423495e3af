"""Small worlds for laws: a problem in closed form, an instance of a method, and runs of both engines in one process.

Live peers are threads here, and their messages stay in memory.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import Any

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from gossipfl import rng, topology
from gossipfl.algorithms import Algorithm, Grad, Mix, State
from gossipfl.engine import Run
from gossipfl.mixing import Mixing
from gossipfl.peer import Exchange, Memory, Peer, Transport
from gossipfl.peer.wire import Opening
from gossipfl.simulator import Simulator
from gossipfl.topology import WEIGHTS, Links, Topology, static

PEERS, WIDTH, DATA, STEP = 5, 4, 12, 0.05
STUDY = b"8 bytes."


def metropolis(graph: nx.Graph) -> Links:
    return WEIGHTS["metropolis"](graph)


class Toy:
    """A `Problem` of peers with different data: mean loss + l2/2 |x|^2, with squares r^2/2 or logistic loss."""

    def __init__(
        self, rows: Sequence[int], batch: int = 0, loss: str = "logistic", l2: float = 0.1, peers: int = PEERS
    ) -> None:
        random = np.random.default_rng(7)
        a = random.normal(size=(peers, DATA, WIDTH)) + 0.3 * np.arange(peers)[:, None, None]
        b = a @ random.normal(size=WIDTH) + random.normal(size=(peers, DATA)) + np.arange(peers)[:, None]
        self.rows = torch.tensor(rows)
        self.a = torch.from_numpy(a)[self.rows]
        self.b = torch.from_numpy(b if loss == "squares" else np.sign(b - np.median(b)))[self.rows]
        self.batch, self.squares, self.l2, self.width = batch, loss == "squares", l2, WIDTH

    def loss(self, x: Tensor) -> Tensor:
        z = torch.einsum("nmp,np->nm", self.a, x)
        each = (z - self.b) ** 2 / 2 if self.squares else torch.nn.functional.softplus(-self.b * z)
        return each.mean(1) + self.l2 / 2 * (x**2).sum(1)

    def grad(self, round: int) -> Grad:
        a, b = self.a, self.b
        if self.batch:
            below = np.full(len(a), DATA)
            drawn = torch.from_numpy(rng.integers(3, "batch", self.rows.numpy(), round, self.batch, below))
            a = a.gather(1, drawn[:, :, None].expand(-1, -1, WIDTH))
            b = b.gather(1, drawn)

        def gradient(x: Tensor) -> Tensor:
            z = torch.einsum("nmp,np->nm", a, x)
            slope = z - b if self.squares else -b * torch.sigmoid(-b * z)
            return torch.einsum("nmp,nm->np", a, slope) / a.shape[1] + self.l2 * x

        return gradient

    def hessian(self, x: Tensor) -> Tensor:
        z = torch.einsum("nmp,np->nm", self.a, x)
        p = torch.sigmoid(-self.b * z)
        curve = torch.ones_like(z) if self.squares else p * (1 - p)
        h = torch.einsum("nmp,nm,nmq->npq", self.a, curve, self.a) / DATA
        return h + self.l2 * torch.eye(WIDTH, dtype=torch.float64)

    def prox(self, x: Tensor, step: float) -> Tensor:
        return x

    def smoothness(self) -> Tensor:
        top = torch.linalg.eigvalsh(self.a.mT @ self.a / DATA)[:, -1]
        most: Tensor = top * (1.0 if self.squares else 0.25) + self.l2
        return most


@dataclass(frozen=True)
class Instance:
    """One row of the table of cases for all laws."""

    name: str
    make: Callable[["Toy"], Algorithm]
    mixing: Mixing

    def __str__(self) -> str:
        return self.name


Exchanges = list[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]


@dataclass
class Spied:
    """An algorithm that records what it sent and what it got back."""

    algorithm: Algorithm
    exchanges: Exchanges

    def __getattr__(self, name: str) -> Any:
        return getattr(self.algorithm, name)

    def init(self, x: Tensor) -> State:
        return self.algorithm.init(x)

    def round(self, s: State, grad: Grad, mix: Mix) -> State:
        def spying(*sent: Tensor) -> Any:
            mixed = mix(*sent)
            heard: Any = mixed if isinstance(mixed, tuple | list) else (mixed,)
            self.exchanges.append((sent, tuple(heard)))
            return mixed

        return self.algorithm.round(s, grad, spying)


def spied(instance: Instance) -> tuple[Exchanges, Instance]:
    """The list of an instance's exchanges, and the instance that will fill it."""
    exchanges: Exchanges = []
    return exchanges, Instance(
        instance.name, lambda toy: Spied(instance.make(toy), exchanges), instance.mixing
    )


def start(peers: int = PEERS, width: int = WIDTH) -> Tensor:
    """Different starting points, so that no law holds only because all rows are equal."""
    return torch.from_numpy(rng.uniform(1, "start", np.arange(peers), 0, width)) - 0.5


def after(engine: Any, run: Run, rounds: int) -> list[Run]:
    """`run` and the runs after each of `rounds` further rounds."""
    return [run, *islice(engine.rounds(run), rounds)]


def simulate(instance: Instance, rounds: int, graph: nx.Graph, batch: int = 0, period: int = 1) -> list[Run]:
    toy = Toy(range(len(graph)), batch, peers=len(graph))
    simulator = Simulator(instance.make(toy), toy, timetable(graph, period), instance.mixing)
    return after(simulator, simulator.init(start(len(graph))), rounds)


def timetable(graph: nx.Graph, period: int) -> Topology:
    always = static(metropolis(graph))
    return always if period == 1 else topology.every(always, period)


def neighbours(graph: nx.Graph) -> list[list[int]]:
    number = {peer: i for i, peer in enumerate(graph)}
    return [sorted(number[other] for other in graph[peer]) for peer in graph]


def openings(graph: nx.Graph, me: int) -> dict[int, Opening]:
    """The openings of a peer's sessions, with Metropolis weights."""
    links = metropolis(graph)
    mine = links.receivers == me
    weights = zip(links.senders[mine].tolist(), links.weights[mine].tolist(), strict=True)
    return {peer: Opening(weight, STUDY) for peer, weight in weights}


def act_live(
    graph: nx.Graph, transports: Sequence[Transport], act: Callable[[int, Exchange], Any]
) -> list[Any]:
    """The results of `act(peer, its exchange)` for all peers, each in its own thread, over connected transports."""
    names = dict(enumerate(graph))
    with ThreadPoolExecutor(len(graph)) as pool:
        jobs = [
            pool.submit(act, i, Exchange(i, names, STUDY, openings(graph, i), transports[i], 20.0))
            for i in range(len(graph))
        ]
        return [job.result() for job in jobs]


def in_memory(graph: nx.Graph) -> list[Transport]:
    """Connected transports of the peers of a graph, whose messages stay in this process."""
    hub: list[SimpleQueue[list[bytes]]] = [SimpleQueue() for _ in graph]
    return [Memory(i, hub) for i in range(len(graph))]


def runner(
    instance: Instance, rounds: int, graph: nx.Graph, batch: int = 0, period: int = 1
) -> Callable[[int, Exchange], list[Run]]:
    """What a live peer does to return all its runs, from the same start as `simulate`."""
    peers, schedule, x = len(graph), timetable(graph, period), start(len(graph))

    def act(i: int, exchange: Exchange) -> list[Run]:
        toy = Toy([i], batch, peers=peers)
        peer = Peer(exchange, instance.make(toy), toy, schedule, instance.mixing)
        return after(peer, peer.init(x[i : i + 1]), rounds)

    return act
