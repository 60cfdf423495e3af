"""Small worlds for the tests of the core: graphs, problems in closed form, and runs of both engines."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from gossipfl import topology
from gossipfl.algorithms import ALGORITHMS, Ingredients, Prox, made, no_penalty
from gossipfl.engine import Run
from gossipfl.mixing import COMPRESSORS, Amount, Compressed, Feedback, Mixing
from gossipfl.peer import Exchange, Transport, ZeroMQ
from gossipfl.peer.neighbour import Neighbour
from gossipfl.peer.patience import LOOPBACK
from gossipfl.peer.wire import Opening
from gossipfl.testing.worlds import (
    DATA,
    PEERS,
    STEP,
    STUDY,
    WIDTH,
    Exchanges,
    Instance,
    Spied,
    Toy,
    act_live,
    after,
    in_memory,
    metropolis,
    neighbours,
    openings,
    runner,
    simulate,
    spied,
    start,
    timetable,
)  # fmt: skip
from gossipfl.topology import Links

__all__ = [
    "DATA", "PEERS", "STEP", "STUDY", "WIDTH", "Exchanges", "Instance", "Spied", "Toy", "after", "metropolis", "neighbours",
    "openings", "simulate", "spied", "start", "timetable",
]  # fmt: skip


def soft(x: Tensor, step: float, l1: float | Tensor = 0.05) -> Tensor:
    """The proximal map of step * l1 |x|_1."""
    return x.sign() * (x.abs() - step * l1).clamp(min=0.0)


def graphs() -> dict[str, nx.Graph]:
    return {
        spec: topology.load(spec) for spec in ("ring:5", "line:4", "star:6", "full:4", "ring:2", "tree:2:2")
    }


def dense(links: Links, peers: int, gamma: float = 1.0) -> np.ndarray:
    """(1 - gamma) I + gamma W, computed edge by edge."""
    w = np.eye(peers)
    for i, j, weight in zip(*(t.tolist() for t in links[:3]), strict=True):
        w[i, j] += gamma * weight
        w[i, i] -= gamma * weight
    return w


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


@contextmanager
def network(kind: str, graph: nx.Graph) -> Iterator[list[Transport]]:
    """Connected transports, one for each peer of the graph."""
    if kind == "memory":
        yield in_memory(graph)
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


def met(*peers: int) -> dict[int, Neighbour]:
    """Neighbours of which nothing is known yet."""
    return {peer: Neighbour(f"p{peer}", Opening(1 / 3, STUDY), LOOPBACK, lambda: 7, 0.0) for peer in peers}


def live(kind: str, graph: nx.Graph, act: Callable[[int, Exchange], Any]) -> list[Any]:
    """The results of `act(peer, its exchange)` for all peers, each in its own thread."""
    with network(kind, graph) as transports:
        return act_live(graph, transports, act)


def run_live(
    kind: str, instance: Instance, rounds: int, graph: nx.Graph, *, batch: int = 0, period: int = 1
) -> list[list[Run]]:
    """All runs of each live peer, from the same start as `simulate`."""
    return live(kind, graph, runner(instance, rounds, graph, batch, period))


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
    receivers, senders = np.array(edges).T
    given = np.bincount(senders, minlength=PEERS)
    return Links(receivers, senders, 1 / (1 + given[senders]))
