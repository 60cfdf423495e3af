"""Ports for peers that tests start by hand."""

import os
import socket
from collections.abc import Iterator
from itertools import islice

FIRST = 10_000  # the workers share 10,000 to 30,000; a system chooses higher ports itself
MANY = 2_000  # for each worker


def _ports() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
    for k in range(os.getpid(), os.getpid() + MANY):  # two runs of the tests at once begin at different ports
        port = FIRST + worker * MANY + k % MANY
        with socket.socket() as asked:
            try:
                asked.bind(("127.0.0.1", port))
            except OSError:
                continue  # in use
        yield port


_PORTS = _ports()


def free_ports(many: int) -> list[int]:
    """Ports of 127.0.0.1 that are free. No other test of this run gets them."""
    found = list(islice(_PORTS, many))
    assert len(found) == many, "a worker has no more ports"
    return found
