"""Small worlds for the tests of the core: graphs, problems in closed form, and runs of both engines."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import Any

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from gossipfl import rng, topology
from gossipfl.algorithms import ALGORITHMS, Algorithm, Grad, Ingredients, Mix, Prox, State, made, no_penalty
from gossipfl.engine import Run
from gossipfl.mixing import COMPRESSORS, Amount, Compressed, Feedback, Mixing
from gossipfl.peer import Exchange, Memory, Peer, Transport, ZeroMQ
from gossipfl.peer.neighbour import Neighbour
from gossipfl.peer.patience import LOOPBACK
from gossipfl.peer.wire import Opening
from gossipfl.simulator import Simulator
from gossipfl.topology import WEIGHTS, Links, Topology, static

PEERS, WIDTH, DATA, STEP = 5, 4, 12, 0.05
STUDY = b"8 bytes."


def soft(x: Tensor, step: float, l1: float | Tensor = 0.05) -> Tensor:
    """The proximal map of step * l1 |x|_1."""
    return x.sign() * (x.abs() - step * l1).clamp(min=0.0)


def graphs() -> dict[str, nx.Graph]:
    return {
        spec: topology.load(spec) for spec in ("ring:5", "line:4", "star:6", "full:4", "ring:2", "tree:2:2")
    }


def metropolis(graph: nx.Graph) -> Links:
    return WEIGHTS["metropolis"](graph)


def dense(links: Links, peers: int, gamma: float = 1.0) -> np.ndarray:
    """(1 - gamma) I + gamma W, computed edge by edge."""
    w = np.eye(peers)
    for i, j, weight in zip(*(t.tolist() for t in links[:3]), strict=True):
        w[i, j] += gamma * weight
        w[i, i] -= gamma * weight
    return w


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
            below = torch.full((len(a),), DATA)
            drawn = rng.integers(3, "batch", self.rows, round, self.batch, below)
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
        return top * (1.0 if self.squares else 0.25) + self.l2


@dataclass(frozen=True)
class Instance:
    """One row of the table of cases for all laws."""

    name: str
    make: Callable[["Toy"], Algorithm]
    mixing: Mixing

    def __str__(self) -> str:
        return self.name


def instance(
    name: str, mixing: Mixing, prox: Prox = no_penalty, beta: float = 0.0, step: float = STEP, cycle: int = 3
) -> Instance:
    words = [name, f"gamma {mixing.gamma}"] + ["l1"] * (prox is soft) + [f"beta {beta}"] * (beta > 0)
    if isinstance(mixing.channel, Feedback | Compressed):
        words.append(f"{type(mixing.channel).__name__} {mixing.channel.compressor}")
    return Instance(
        ", ".join(words),
        lambda toy: made(name, Ingredients(step, prox, beta=beta, hessian=toy.hessian, cycle=cycle)),
        mixing,
    )


LOSSY = [COMPRESSORS[name](Amount(0.5, 1, 2, 7)) for name in COMPRESSORS]
PLAIN = [instance(name, Mixing(method.aggregator, gamma=method.gamma)) for name, method in ALGORITHMS.items()]
INSTANCES = [
    *PLAIN,
    *(
        instance(name, Mixing(method.aggregator, gamma=1.5 - method.gamma))
        for name, method in ALGORITHMS.items()
    ),
    *(
        instance(name, Mixing(method.aggregator, gamma=method.gamma), soft)
        for name, method in ALGORITHMS.items()
        if method.penalty
    ),
    *(
        instance(name, Mixing(channel=channel(compressor), gamma=0.3))
        for name in ("d-psgd", "gradient-tracking")
        for channel in (Compressed, Feedback)
        for compressor in LOSSY
    ),
    *(
        instance(name, Mixing(ALGORITHMS[name].aggregator, gamma=ALGORITHMS[name].gamma), beta=0.5)
        for name in ("exact-diffusion", "gradient-tracking", "sgp", "push-pull")
    ),
]


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
            self.exchanges.append((sent, tuple(mixed) if isinstance(mixed, tuple | list) else (mixed,)))
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
    return rng.uniform(1, "start", torch.arange(peers), 0, width) - 0.5


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


@contextmanager
def network(kind: str, graph: nx.Graph) -> Iterator[list[Transport]]:
    """Connected transports, one for each peer of the graph."""
    if kind == "memory":
        hub: list[SimpleQueue[list[bytes]]] = [SimpleQueue() for _ in graph]
        yield [Memory(i, hub) for i in range(len(graph))]
        return
    with tempfile.TemporaryDirectory(prefix="g") as folder:
        places = ["tcp://127.0.0.1:*" if kind == "tcp" else f"ipc://{folder}/{i}" for i in range(len(graph))]
        sockets = [ZeroMQ(place, 10**6) for place in places]
        for i, near in enumerate(neighbours(graph)):
            sockets[i].connect({j: sockets[j].endpoint for j in near})
        try:
            yield list(sockets)
        finally:
            for socket in sockets:
                socket.close()


def neighbours(graph: nx.Graph) -> list[list[int]]:
    number = {peer: i for i, peer in enumerate(graph)}
    return [sorted(number[other] for other in graph[peer]) for peer in graph]


def openings(graph: nx.Graph, me: int) -> dict[int, Opening]:
    """The openings of a peer's sessions, with Metropolis weights."""
    links = metropolis(graph)
    mine = links.receivers == me
    weights = zip(links.senders[mine].tolist(), links.weights[mine].tolist(), strict=True)
    return {peer: Opening(weight, STUDY) for peer, weight in weights}


def met(*peers: int) -> dict[int, Neighbour]:
    """Neighbours of which nothing is known yet."""
    return {peer: Neighbour(f"p{peer}", Opening(1 / 3, STUDY), LOOPBACK, lambda: 7, 0.0) for peer in peers}


def live(kind: str, graph: nx.Graph, act: Callable[[int, Exchange], Any]) -> list[Any]:
    """The results of `act(peer, its exchange)` for all peers, each in its own thread."""
    names = dict(enumerate(graph))
    with network(kind, graph) as transports, ThreadPoolExecutor(len(graph)) as pool:
        jobs = [
            pool.submit(act, i, Exchange(i, names, STUDY, openings(graph, i), transports[i], 20.0))
            for i in range(len(graph))
        ]
        return [job.result() for job in jobs]


def run_live(
    kind: str, instance: Instance, rounds: int, graph: nx.Graph, *, batch: int = 0, period: int = 1
) -> list[list[Run]]:
    """All runs of each live peer, from the same start as `simulate`."""
    peers, schedule, x = len(graph), timetable(graph, period), start(len(graph))

    def act(i: int, exchange: Exchange) -> list[Run]:
        toy = Toy([i], batch, peers=peers)
        peer = Peer(exchange, instance.make(toy), toy, schedule, instance.mixing)
        return after(peer, peer.init(x[i : i + 1]), rounds)

    return live(kind, graph, act)


def rng_converged(peers: int, rounds: int) -> Tensor:
    """Peers converge one after the other, each with relapses; at the end all are converged."""
    converged = torch.rand((rounds, peers), generator=torch.Generator().manual_seed(peers)) < 0.6
    converged[rounds // 3 :] = True
    return converged


def newton(problem: Toy) -> torch.Tensor:
    """The pooled optimum of the logistic loss."""
    a, b, x = problem.a.reshape(-1, WIDTH), problem.b.reshape(-1), torch.zeros(WIDTH, dtype=torch.float64)
    for _ in range(30):
        p = torch.sigmoid(-b * (a @ x))
        gradient = -a.T @ (b * p) / len(a) + problem.l2 * x
        hessian = a.T @ (a * (p * (1 - p))[:, None]) / len(a) + problem.l2 * torch.eye(
            WIDTH, dtype=torch.float64
        )
        x = x - torch.linalg.solve(hessian, gradient)
    return x


def lopsided() -> Links:
    """A directed graph with different degrees. Each peer gives equal shares to its receivers and itself."""
    edges = sorted([(1, 0), (2, 1), (3, 2), (4, 3), (0, 4), (0, 2), (3, 0), (1, 3)])  # receiver, sender
    receivers, senders = torch.tensor(edges).T
    given = torch.bincount(senders, minlength=PEERS)
    return Links(receivers, senders, 1 / (1 + given[senders].double()))
