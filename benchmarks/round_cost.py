"""What a peer's round costs, compared with the bare exchange of the same bytes; must not know experiments or files.

Every process runs three parts in turn. The first is a loop of pyzmq calls that sends and receives frames of the same lengths
and does nothing else (in some cases it also computes the two products of a gradient). The second is the same loop with the
peer's own gradient; it shows how much of the rest is due to torch. The third is a complete D-PSGD round of a real peer. CPU
time is user plus system time of whole processes during the rounds, including ZeroMQ's I/O threads. The figure is the mean over
peers, then the median over repetitions. The last rows are real peers on encrypted links (CURVE), and on encrypted links where
every second peer only dials; they are compared with the same peers on open links, whose rounds run in turn with theirs.

    python benchmarks/round_cost.py
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median
from time import process_time
from typing import NamedTuple

import numpy as np
import torch
import zmq

from gossipfl import topology
from gossipfl.algorithms import DPSGD
from gossipfl.keys import fresh
from gossipfl.models import LOSSES, Linear
from gossipfl.peer import Exchange, Peer, ZeroMQ
from gossipfl.peer.gate import LinkKeys
from gossipfl.peer.wire import Header, Opening, encode

BATCH, STUDY, WAIT = 32, b"roundcst", 60.0
Part = Callable[[int], None]  # runs a number of rounds


class Case(NamedTuple):
    """One comparison: a ring of peers with logistic models of `features` features, `rounds` in a repetition."""

    peers: int
    features: int
    rows: int
    rounds: int
    gradient: bool  # whether the bare part also computes the two products of a gradient
    limit: float
    links: tuple[str, ...] = ("open",)  # of the real peers


CASES = (
    Case(8, 57, 287, 1000, False, 2.5),
    Case(16, 57, 287, 1000, False, 2.5),
    Case(8, 100_000, 40, 20, True, 1.3),
)
KEYED = Case(8, 57, 287, 1000, False, 2.5, ("open", "keys", "dial-only"))
AIMS = {"keys": 1.3, "dial-only": 1.2}
REPETITIONS = 5


def problem(case: Case, me: int) -> Linear:
    """A peer's own rows, which are noise."""
    torch.manual_seed(me)
    x, y = torch.randn(case.rows, case.features).double().numpy(), np.arange(case.rows) % 2.0
    return Linear([(x, y)], LOSSES["logistic"](), l2=0.1, rows=torch.tensor([me]), batch=BATCH)


def real(case: Case, me: int, own: Linear, transport: ZeroMQ) -> Part:
    """A real peer."""
    graph = topology.load(f"ring:{case.peers}")
    links = topology.WEIGHTS["metropolis"](graph)
    neighbours = links.senders[links.receivers == me].tolist()
    openings = dict.fromkeys(neighbours, Opening(1 / 3, STUDY))
    exchange = Exchange(me, dict(enumerate(graph)), STUDY, openings, transport, WAIT)
    exchange.begin(0)  # all have agreed
    peer = Peer(exchange, DPSGD(0.01), own, topology.static(links))
    runs = peer.rounds(peer.init(torch.zeros(1, own.width, dtype=torch.float64)))
    return lambda rounds: [None for _ in islice(runs, rounds)].clear()


def bare(
    me: int,
    work: Callable[[int], object],
    width: int,
    inbox: "zmq.Socket[bytes]",
    outboxes: "list[zmq.Socket[bytes]]",
) -> Part:
    """The exchange of the same bytes, and `work`."""
    frames = [encode(Header(STUDY, me, 1000)), bytes(8 * width)]

    def part(rounds: int) -> None:
        for round in range(rounds):
            work(round)
            for outbox in outboxes:
                outbox.send_multipart(frames, copy=False)
            for _ in outboxes:
                inbox.recv_multipart()

    return part


def products(case: Case) -> Callable[[int], object]:
    """The two products that every gradient needs, or nothing."""
    width = case.features + 1
    batch, w, slopes = (torch.randn(shape).double() for shape in ((BATCH, width), (width, 1), (1, BATCH)))
    return (lambda _: (torch.mm(batch, w), torch.mm(slopes, batch))) if case.gradient else (lambda _: None)


def peer(pipe: Connection, case: Case, me: int) -> None:
    """One process: bind, connect, run a part on request, and return the CPU time that it took."""
    torch.set_num_threads(1)
    context = zmq.Context()
    inbox = context.socket(zmq.PULL)
    inbox.bind("tcp://127.0.0.1:*")
    secret = fresh()
    transports = [
        ZeroMQ(
            "" if links == "dial-only" and me % 2 else "tcp://127.0.0.1:*",
            2**21,
            None if links == "open" else LinkKeys(secret.link, {}),
        )
        for links in case.links
    ]
    places = [transport.endpoint for transport in transports]
    pipe.send((inbox.getsockopt_string(zmq.LAST_ENDPOINT), places, secret.public.link))
    endpoints: Mapping[int, tuple[str, list[str], bytes]] = pipe.recv()
    outboxes = [context.socket(zmq.PUSH) for _ in endpoints]
    for outbox, (endpoint, *_) in zip(outboxes, endpoints.values(), strict=True):
        outbox.connect(endpoint)
    keys = {other: [key] for other, (*_, key) in endpoints.items()}
    for which, transport in enumerate(transports):
        near = {other: there[which] for other, (_, there, _) in endpoints.items()}
        transport.connect(near, keys=keys if case.links[which] != "open" else None)
    own = problem(case, me)
    start = torch.zeros(1, own.width, dtype=torch.float64)
    parts = (
        bare(me, products(case), own.width, inbox, outboxes),
        bare(me, lambda round: own.grad(round)(start), own.width, inbox, outboxes),
        *(real(case, me, own, transport) for transport in transports),
    )
    torch.inference_mode().__enter__()  # as live peers do
    while (order := pipe.recv()) is not None:
        part, rounds = order
        began = process_time()
        parts[part](rounds)
        pipe.send(process_time() - began)
    for transport in transports:
        transport.close()
    context.destroy(linger=0)


def costs(case: Case) -> Iterator[tuple[float, ...]]:
    """CPU seconds of a peer's round, (bare, with its gradient, real for each kind of links), in each repetition."""
    processes = get_context("forkserver")
    pipes, crew = [], []
    for me in range(case.peers):
        mine, theirs = processes.Pipe()
        crew.append(processes.Process(target=peer, args=(theirs, case, me), daemon=True))
        crew[-1].start()
        pipes.append(mine)
    endpoints = [pipe.recv() for pipe in pipes]
    for me, pipe in enumerate(pipes):
        near = sorted({(me - 1) % case.peers, (me + 1) % case.peers})
        pipe.send({other: endpoints[other] for other in near})

    def cost(part: int) -> float:
        for pipe in pipes:
            pipe.send((part, case.rounds))
        return sum(pipe.recv() for pipe in pipes) / (case.peers * case.rounds)

    for repetition in range(REPETITIONS + 1):
        each = tuple(cost(part) for part in range(2 + len(case.links)))
        if repetition:  # the first one is a warm-up
            yield each
    for pipe, process in zip(pipes, crew, strict=True):
        pipe.send(None)
        process.join()


def main() -> None:
    print(
        f"CPU microseconds of a peer's round, median of {REPETITIONS}; batch {BATCH}, float64, {os.cpu_count()} cores"
    )
    print(
        f"{'ring':>5} {'parameters':>11} {'bare':>9} {'+gradient':>10} {'real':>9} {'ratio':>6} {'aim':>5}   bare is"
    )
    for case in CASES:
        bares, gradients, reals = zip(*costs(case), strict=True)
        ratio = median(r / b for b, r in zip(bares, reals, strict=True))
        print(
            f"{case.peers:>5} {case.features + 1:>11,} {1e6 * median(bares):>9.1f} {1e6 * median(gradients):>10.1f} "
            f"{1e6 * median(reals):>9.1f} {ratio:>6.2f} {case.limit:>5.1f}   "
            f"the exchange{' + two products' if case.gradient else ''}",
            flush=True,
        )
    print(
        f"{'ring':>5} {'parameters':>11} {'links':>10} {'real':>9} {'ratio':>6} {'aim':>5}   to the first row"
    )
    rows = [*zip(*costs(KEYED), strict=True)][2:]
    for links, reals in zip(KEYED.links, rows, strict=True):
        ratio = median(r / o for o, r in zip(rows[0], reals, strict=True))
        print(
            f"{KEYED.peers:>5} {KEYED.features + 1:>11,} {links:>10} {1e6 * median(reals):>9.1f} {ratio:>6.2f} "
            f"{AIMS.get(links, 1.0):>5.1f}"
        )


if __name__ == "__main__":
    main()
