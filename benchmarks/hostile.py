"""What strangers can do to learning peers: how long these halt, and how much they grow; must not know their defences.

    python benchmarks/hostile.py [--only zeros,small,agreeing] [--seconds 2]

Logistic regression on scikit-learn's breast cancer data, sorted by diagnosis, by four real peers in a ring, one process each,
over TCP on this machine. Each row is a separate run, during which another thread sends messages to all peers for some seconds.
It knows the experiment and the topology, so it can write any header in any peer's name, but it hears nothing of what peers send
each other. Attacks begin when all learn; those "from the start" before anybody listens. "halt" is the longest time between two
lines of metrics of any peer, which are 0.1 to 0.2 s apart without an attack. "memory" is how much larger the largest peer was
than without an attack, "log" is the largest log. The distance is that of the farthest peer to the pooled optimum at the end,
relative to it.

Then peers that agree: one of them is killed in the middle and started again. The seconds are from its start until all learn.
"""

import argparse
import json
import multiprocessing
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
import zmq

from gossipfl import topology
from gossipfl.config.file import parse
from gossipfl.experiment.launch.launch import run
from gossipfl.experiment.launch.processes import Processes
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.study.make import study
from gossipfl.peer.rumours import Rumours
from gossipfl.peer.wire import Header, Opening, encode, ident
from gossipfl.runs import folder as files
from gossipfl.runs.events import Finished, Progress

HALT_S, MEMORY_MB, LOG_MB, DISTANCE = 1.0, 64.0, 1.0, 1e-8
PARAMETERS = 31
WORDS = 88  # bytes of the rows with which these peers agree on classes
AFTER = 4.0  # seconds of learning after the attack
MOST = 200_000  # messages of an attack to each peer
Messages = Iterator[bytes]


class Target(NamedTuple):
    """What is known of the peer that is attacked."""

    study: bytes
    neighbour: int  # what messages call one of its neighbours
    graph: bytes  # the fingerprint of the topology

    def says(self, number: int, payload: bytes = b"", **more: Any) -> bytes:
        """A message in the neighbour's name."""
        return joined(encode(Header(self.study, self.neighbour, number, **more)), payload)

    @property
    def opens(self) -> Opening:
        return Opening(1 / 3, self.graph)


def joined(header: bytes, payload: bytes) -> bytes:
    return b"".join(part for frame in (header, payload) for part in (len(frame).to_bytes(4, "little"), frame))


def numbers(value: float) -> bytes:
    return np.full(PARAMETERS, value).tobytes()


ATTACKS: dict[str, Callable[[Target], Messages]] = {
    "none": lambda _: iter(()),
    "zeros": lambda _: (bytes(size) for size in (2**27, *[2**20] * 500)),
    "large": lambda t: (t.says(10**6 + k, bytes(2**20)) for k in range(1000)),
    "early": lambda t: (t.says(k, bytes(8 * k % 2**19)) for k in range(20_000)),
    "small": lambda _: (b"\1\0\0\0" * 3 for _ in range(MOST)),
    "strangers": lambda t: (joined(encode(Header(t.study, k, k)), b"") for k in range(MOST)),
    "other-study": lambda t: (joined(encode(Header(b"another!", t.neighbour, k)), b"") for k in range(MOST)),
    "not-finite": lambda t: (t.says(k, numbers(float("nan")), mine=5, opens=t.opens) for k in range(MOST)),
    "short": lambda t: (t.says(k, numbers(1.0)[:-1]) for k in range(MOST)),
    "words": lambda t: (t.says(k % 60, b"\xff\xfe".ljust(WORDS, b"[")) for k in range(MOST)),
    "over": lambda t: (t.says(k, rumours=Rumours(over=True)) for k in range(MOST)),
    "rumours": lambda t: (t.says(k, rumours=Rumours(2**61, 20_000, True)) for k in range(MOST)),
    "step": lambda t: (
        t.says(0, mine=k, opens=t.opens.__class__(1 / 3, t.graph, 1e-300)) for k in range(1, MOST)
    ),
    "far": lambda t: (t.says(2**61, numbers(1.0)) for _ in range(MOST)),
    "goodbyes": lambda t: (
        t.says(k, leaving=("diverged", "settled", "failed")[k % 3], mine=7) for k in range(MOST)
    ),
    "transfers": lambda t: (t.says(k, bytes(k % 999), transfer=True) for k in range(MOST)),
    "attempts": lambda t: (t.says(k << 55, numbers(1.0), mine=k + 1, opens=t.opens) for k in range(60)),
}
FROM_THE_START = ("zeros", "small", "words", "goodbyes", "transfers", "attempts")


class Row(NamedTuple):
    """The result of one attack."""

    attack: str
    halt: float
    memory: float
    log: float
    distance: float
    stopped: str

    @property
    def fine(self) -> bool:
        return (
            self.halt <= HALT_S
            and self.memory <= MEMORY_MB
            and self.log <= LOG_MB
            and self.distance <= DISTANCE
            and self.stopped in ("seconds", "rounds")
        )


def experiment(graph: str, **stop: float) -> dict[str, Any]:
    return {
        "reference": True,
        "data": {"source": "breast_cancer", "partition": {"scheme": "sorted"}, "test": 0.0},
        "topology": {"graph": graph},
        "model": {"kind": "logistic", "l2": 0.1},
        "algorithm": {"kind": "auto"},
        "stop": {"rounds": 2**40, **stop},
        "peers": {"report": 1, "security": "none"},  # open links: strangers get in
    }


def with_endpoints(graph: nx.Graph, file: Path) -> None:
    """Write the graph with a free port for each peer."""
    with_ports = nx.Graph(graph)
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in graph]
    for name, holder in zip(graph, taken, strict=True):
        with_ports.nodes[name]["endpoint"] = f"tcp://127.0.0.1:{holder.getsockname()[1]}"
        holder.close()
    topology.write(with_ports, file)


def memory() -> float:
    """The most memory that a peer ever had, in MB."""
    status = [Path(f"/proc/{child.pid}/status").read_text() for child in multiprocessing.active_children()]
    sizes = [text.partition("VmHWM:")[2].split() for text in status]
    return max((int(size[0]) / 1024 for size in sizes if size), default=0.0)  # one that has ended has none


class Attack(threading.Thread):
    """Sends the messages of an attack to all peers, in turn, for so many seconds."""

    def __init__(self, messages: dict[str, Messages], seconds: float) -> None:
        super().__init__()
        self._messages, self._seconds = messages, seconds

    def run(self) -> None:
        context = zmq.Context()
        lines = {}
        for endpoint in self._messages:
            lines[endpoint] = context.socket(zmq.DEALER)
            lines[endpoint].setsockopt(zmq.SNDTIMEO, 50)
            lines[endpoint].setsockopt(zmq.SNDHWM, 1000)
            lines[endpoint].connect(endpoint)
        until, left = time.monotonic() + self._seconds, dict(self._messages)
        while left and time.monotonic() < until:
            for endpoint in list(left):
                message = next(left[endpoint], None)
                if message is None:
                    del left[endpoint]
                    continue
                try:
                    lines[endpoint].send(message)
                except zmq.Again:
                    continue
        context.destroy(linger=0)


def attacked(name: str, seconds: float, from_the_start: bool) -> Row:
    """Run an experiment under an attack."""
    with tempfile.TemporaryDirectory() as place:
        graph, folder = Path(place) / "graph.json", Path(place) / "run"
        with_endpoints(topology.load("ring:4"), graph)
        # Nobody's time can be up where there are no seconds: then the rounds must all be done.
        stop = {"rounds": 5_000} if name == "over" else {"seconds": seconds + AFTER}
        made = study(parse(experiment(str(graph), **stop)))
        messages = {
            made.graph.nodes[peer]["endpoint"]: ATTACKS[name](
                Target(made.fingerprint, ident(next(iter(made.graph[peer]))), made.wiring)
            )
            for peer in made.names
        }
        attack = Attack(messages, seconds)
        if from_the_start:
            attack.start()
        most = 0.0
        for event in run(made.experiment, folder):
            if isinstance(event, Progress):
                most = max(most, memory())
                if not (attack.is_alive() or from_the_start or attack.ident):
                    attack.start()
            elif isinstance(event, Finished):
                summary = event.summary
        attack.join()
        own = [folder / "peers" / peer for peer in made.names]
        lines = [[json.loads(line)["seconds"] for line in (one / "metrics.jsonl").open()] for one in own]
        halt = max(b - a for times in lines for a, b in pairwise([0.0, *times]))
        logs = [(one / "log.jsonl").stat().st_size / 2**20 for one in own if (one / "log.jsonl").exists()]
        label = f"{name}, from the start" if from_the_start else name
        distance = summary["distance_to_optimum"]
        return Row(
            label, halt, most, max(logs, default=0.0), float("inf") if distance is None else distance,
            summary["stopped"],
        )  # fmt: skip


def agreeing(graph: str, pause: float) -> tuple[float, set[str]]:
    """Kill a peer `pause` seconds after all begin to agree, and start it again: seconds until all learn, and all ends."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        made = study(parse(experiment(graph) | {"stop": {"rounds": 50}}))
        files.create(made.experiment, made.graph, folder, made.names)
        placement = Processes(made, tables(made), folder)
        victim, again, began = 1, False, 0.0
        near = {
            me: [made.names.index(other) for other in made.graph[name]] for me, name in enumerate(made.names)
        }
        places: dict[int, str] = {}
        learning, ends = set[int](), dict[int, str]()
        for me in range(len(made.names)):
            placement.start(me, placement.endpoint(me), rejoin=False)
        while placement.present:
            for me in placement.wait(None):
                said = placement.hear(me)
                if said is None:
                    placement.outcome(me)
                    if me == victim and not again:
                        again, began = True, time.monotonic()
                        learning.discard(me)
                        placement.start(me, places[me], rejoin=False)
                    continue
                word, what = said
                if word == "endpoint":
                    places[me] = what
                    ready = len(places) == len(made.names)
                    for one in () if not ready else (me,) if again else near:
                        placement.say(one, {other: places[other] for other in near[one]})
                    if ready and not again:
                        time.sleep(pause)
                        placement.signal(victim, "kill")
                elif word == "learning":
                    learning.add(me)
                    if again and len(learning) == len(near):
                        seconds = time.monotonic() - began
                elif word == "report":
                    ends[me] = what.error or what.stopped
        placement.close()
        return seconds if len(learning) == len(near) else float("inf"), set(ends.values())


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--only", default=",".join([*ATTACKS, "agreeing"]))
    asked.add_argument("--seconds", type=float, default=2.0)
    told = asked.parse_args()
    only: Sequence[str] = told.only.split(",")
    print(f"{'attack':28} {'halt, s':>8} {'memory, MB':>11} {'log, MB':>8} {'distance':>9}  stopped by")
    print(f"{'aim':28} {HALT_S:8.2f} {MEMORY_MB:11.1f} {LOG_MB:8.2f} {DISTANCE:9.0e}")
    fine, calm = True, attacked("none", 0.0, False).memory
    for name, early in [*((name, False) for name in ATTACKS), *((name, True) for name in FROM_THE_START)]:
        if name in only:
            r = attacked(name, told.seconds, early)
            r = r._replace(memory=r.memory - calm)
            fine &= r.fine
            print(
                f"{r.attack:28} {r.halt:8.2f} {r.memory:11.1f} {r.log:8.3f} {r.distance:9.1e}  {r.stopped}",
                flush=True,
            )
    for graph in ("ring:8", "regular:16:4") if "agreeing" in only else ():
        for pause in (0.0, 0.02, 0.05):
            seconds, ends = agreeing(graph, pause)
            fine &= ends == {"rounds"}
            print(
                f"{graph}, killed {pause:g} s after all began to agree: all learn {seconds:.1f} s after its restart; "
                f"ended by {', '.join(sorted(ends))}",
                flush=True,
            )
    if not fine:
        sys.exit(1)


if __name__ == "__main__":
    main()
