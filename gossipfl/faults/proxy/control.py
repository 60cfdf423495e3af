"""The proxy's process, and the launcher's hold on it; must not know faults or peers' lives."""

import asyncio
import os
import resource
import socket
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import Any

from gossipfl import rng
from gossipfl.errors import NetworkError
from gossipfl.faults.proxy.relay import Half, Route, Weather
from gossipfl.signals import uninterrupted

Pair = tuple[int, int]  # who connects, to whom


class Proxy:
    """A process through which peers connect to each other, by 127.0.0.1 only. Each call returns when it is done.

    It ends when the launcher closes it, or ends in whatever way.

    Args:
        context: how processes begin.
        seed: where the jitter is drawn from.
    """

    def __init__(self, context: ForkServerContext, seed: int) -> None:
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=main, args=(theirs, seed), name="proxy", daemon=True)
        with uninterrupted():
            self._process.start()
        theirs.close()

    def open(self, targets: Mapping[Pair, str]) -> dict[Pair, str]:
        """The endpoints by which each pair is to connect from now on, to what listens at the targets."""
        found: dict[Pair, str] = self._ask("open", dict(targets))
        return found

    def become(self, weather: Mapping[Pair, Weather]) -> None:
        """Change how the links of these pairs are."""
        self._ask("become", dict(weather))

    def reset(self, pairs: Iterable[Pair]) -> None:
        """Break their connections off, what is on its way included; new ones are welcome."""
        self._ask("reset", list(pairs))

    def close(self) -> None:
        self._pipe.close()
        self._process.join()

    def _ask(self, what: str, about: Any) -> Any:
        try:
            self._pipe.send((what, about))
            return self._pipe.recv()
        except (OSError, EOFError):
            raise NetworkError(
                "the proxy between the peers has ended: the experiment's faults cannot go on"
            ) from None


def main(pipe: Connection, seed: int) -> None:
    """The proxy's whole life."""
    os.setpgid(0, 0)  # a terminal's Ctrl-C must not cut the peers' goodbyes off
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(_serve(pipe, seed))


async def _serve(pipe: Connection, seed: int) -> None:
    loop = asyncio.get_running_loop()
    gone = loop.create_future()
    desk = Desk(seed)

    def hear() -> None:
        try:
            pipe.send(desk.answer(*pipe.recv()))
        except (OSError, EOFError):
            loop.remove_reader(pipe.fileno())
            gone.set_result(None)

    loop.add_reader(pipe.fileno(), hear)
    await gone


class Desk:
    """Where commands are carried out, in the proxy's process."""

    def __init__(self, seed: int) -> None:
        self._routes: dict[Pair, Route] = {}
        self._uniform = rng.generator(seed, "jitter").random
        self._tasks: list[asyncio.Task[asyncio.Server]] = []

    def answer(self, what: str, about: Any) -> Any:
        match what:
            case "open":
                return {pair: self._open(pair, target) for pair, target in about.items()}
            case "become":
                for pair, weather in about.items():
                    self._routes[pair].become(weather)
            case "reset":
                for pair in about:
                    self._routes[pair].reset()
        return None

    def _open(self, pair: Pair, target: str) -> str:
        """Listen, from this moment on."""
        route = self._routes[pair] = Route(target, self._uniform)
        listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(loop.create_server(lambda: Half(route), sock=listening)))
        return f"tcp://127.0.0.1:{listening.getsockname()[1]}"
