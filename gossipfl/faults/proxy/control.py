"""The proxy's process, and the launcher's interface to it; must not know faults or peers' lives."""

import asyncio
import os
import socket
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import Any

from gossipfl import rng
from gossipfl.errors import NetworkError
from gossipfl.faults.proxy.relay import Half, Route, Weather
from gossipfl.signals import many_files, uninterrupted

Pair = tuple[int, int]  # who connects, to whom


class Proxy:
    """A process through which peers connect to each other, on 127.0.0.1 only.

    Each call returns when the proxy has done it. The process ends when the launcher closes it, and when the launcher dies.

    Args:
        context: starts processes.
        seed: of the jitter.
    """

    def __init__(self, context: ForkServerContext, seed: int) -> None:
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=main, args=(theirs, seed), name="proxy", daemon=True)
        with uninterrupted():
            self._process.start()
        theirs.close()

    def open(self, targets: Mapping[Pair, str]) -> dict[Pair, str]:
        """New endpoints, one for each pair; the proxy connects each on to the pair's target."""
        found: dict[Pair, str] = self._ask("open", dict(targets))
        return found

    def become(self, weather: Mapping[Pair, Weather]) -> None:
        """Change the state of the links of these pairs."""
        self._ask("become", dict(weather))

    def reset(self, pairs: Iterable[Pair]) -> None:
        """Reset the connections of these pairs, and drop the data in transit. New connections are accepted."""
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
                "the proxy between the peers has ended, so that no more faults can be carried out: run the experiment again"
            ) from None


def main(pipe: Connection, seed: int) -> None:
    """The main function of the proxy's process."""
    os.setpgid(0, 0)  # Ctrl-C on a terminal must not end the proxy before the peers have said goodbye
    many_files()
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
    """Carries out commands, in the proxy's process."""

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
        """Listen for a pair; the endpoint. Connections are accepted as soon as this returns."""
        route = self._routes[pair] = Route(target, self._uniform)
        listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(loop.create_server(lambda: Half(route), sock=listening)))
        return f"tcp://127.0.0.1:{listening.getsockname()[1]}"
