"""Ports for peers that tests start by hand."""

import os
import socket
from collections.abc import Iterator
from itertools import count, islice

FIRST, MANY = (
    10_000,
    2_000,
)  # a worker's own ports; all lie below those that systems give to whoever asks for any


def _ports() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
    for k in count(os.getpid()):  # two runs of the tests at once begin at different ports
        port = FIRST + worker * MANY + k % MANY
        with socket.socket() as asked:
            try:
                asked.bind(("127.0.0.1", port))
            except OSError:
                continue  # in use
        yield port


_PORTS = _ports()


def free_ports(many: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses, and that nobody else is given while the tests run."""
    return list(islice(_PORTS, many))
